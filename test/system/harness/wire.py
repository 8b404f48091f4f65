# SPDX-License-Identifier: ISC
"""PostgreSQL messages built and read by hand: for what drivers cannot do, must not do, or hide."""
import collections
import socket
import ssl
import struct
import time

from . import scram

PROTOCOL_3_0, PROTOCOL_3_2 = 0x30000, 0x30002
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class Closed(Exception):
    """The other side ended the connection."""


class ServerError(Exception):
    """An ErrorResponse. Fields by their letter; level, sqlstate, message for the usual ones."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('V')} {fields.get('C')} {fields.get('M')}")
        self.fields = fields
        self.level, self.sqlstate, self.message = fields.get("V"), fields.get("C"), fields.get("M")
        self.detail, self.hint = fields.get("D"), fields.get("H")


# --- building

def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def cstring(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def packet(code, body=b""):
    """A message without a type byte, as they come before the login."""
    return struct.pack("!iI", len(body) + 8, code) + body


def startup(version=PROTOCOL_3_0, **params):
    body = b"".join(cstring(k) + cstring(v) for k, v in params.items())
    return packet(version, body + b"\0")


def cancel(pid, secret):
    return packet(CANCEL_REQUEST, struct.pack("!I", pid) + secret)


def query(sql):
    return message("Q", cstring(sql))


def parse(name, sql, types=()):
    return message("P", cstring(name) + cstring(sql) + struct.pack(f"!h{len(types)}I", len(types), *types))


def bind(portal="", name="", values=(), formats=(), results=()):
    body = cstring(portal) + cstring(name) + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        raw = None if value is None else value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    return message("B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(kind="P", name=""):
    return message("D", kind.encode() + cstring(name))


def execute(portal="", rows=0):
    return message("E", cstring(portal) + struct.pack("!i", rows))


def close(kind, name):
    return message("C", kind.encode() + cstring(name))


def sync():
    return message("S")


def flush():
    return message("H")


def function_call(oid, *values):
    """All values and the result in binary."""
    body = struct.pack("!Ihhh", oid, 1, 1, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return message("F", body + struct.pack("!h", 1))


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", cstring(why))


def terminate():
    return message("X")


def extended(sql, values=(), name="", types=()):
    """One whole statement by the extended protocol, without Sync."""
    return parse(name, sql, types) + bind("", name, values) + describe("P", "") + execute()


# --- reading

class Message(collections.namedtuple("Message", "kind body")):
    def fields(self):
        """Of an ErrorResponse or NoticeResponse."""
        return {f[:1].decode(): f[1:].decode(errors="replace") for f in self.body.split(b"\0") if f}

    def row(self):
        """Values of a DataRow: bytes or None."""
        count, at, values = struct.unpack_from("!h", self.body)[0], 2, []
        for _ in range(count):
            n = struct.unpack_from("!i", self.body, at)[0]
            at += 4
            values.append(None if n < 0 else self.body[at:at + n])
            at += max(n, 0)
        assert at == len(self.body), "a DataRow with bytes left over"
        return values

    def columns(self):
        """(name, type oid, format) of each column of a RowDescription."""
        count, at, out = struct.unpack_from("!h", self.body)[0], 2, []
        for _ in range(count):
            end = self.body.index(b"\0", at)
            name = self.body[at:end].decode()
            _, _, oid, _, _, form = struct.unpack_from("!IhIhih", self.body, end + 1)
            out.append((name, oid, form))
            at = end + 1 + 18
        assert at == len(self.body), "a RowDescription with bytes left over"
        return out

    def text(self):
        return self.body.rstrip(b"\0").decode(errors="replace")


class Wire:
    """One raw connection, blocking with a deadline for each read."""

    def __init__(self, host, port, seconds=10.0, tls=None, server_hostname=None):
        self.seconds = seconds
        self.parameters, self.notices, self.notifications, self.senders = {}, [], [], []
        self.pid = self.secret = None
        self._buffer = bytearray()
        if host.startswith(("/", "\0")):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(seconds)
            self.socket.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.socket = socket.create_connection((host, port), timeout=seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.start_tls(tls, server_hostname)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def reset(self):
        """Close so that the other side sees RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- bytes

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def _more(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer within the deadline")
        self.socket.settimeout(left)
        try:
            got = self.socket.recv(1 << 18)
        except (ConnectionError, ssl.SSLError) as e:
            if isinstance(e, ssl.SSLWantReadError):
                return
            raise Closed(str(e)) from e
        if not got:
            raise Closed("end of connection")
        self._buffer += got

    def take(self, n, seconds=None):
        """Exactly N bytes."""
        end = time.monotonic() + (seconds or self.seconds)
        while len(self._buffer) < n:
            self._more(end)
        out = bytes(self._buffer[:n])
        del self._buffer[:n]
        return out

    def start_tls(self, context, server_hostname=None):
        """SSLRequest, then the handshake."""
        self.send(packet(SSL_REQUEST))
        answer = self.take(1)
        assert answer == b"S", f"TLS refused: {answer!r}"
        assert not self._buffer, "bytes before the handshake"
        self.wrap(context, server_hostname)

    def wrap(self, context, server_hostname=None):
        self.socket = context.wrap_socket(self.socket, server_hostname=server_hostname)

    def expect_closed(self, seconds=None):
        """All messages until the other side closes; it must do so within the deadline."""
        out = []
        try:
            while True:
                out.append(self.receive(seconds))
        except Closed:
            return out

    # --- messages

    def receive(self, seconds=None):
        """The next message of any kind."""
        seconds = seconds or self.seconds
        head = self.take(5, seconds)
        length = struct.unpack("!i", head[1:])[0]
        assert length >= 4, f"a message of length {length}"
        m = Message(head[:1].decode("latin1"), self.take(length - 4, seconds))
        self._note(m)
        return m

    def _note(self, m):
        if m.kind == "S":
            name, value = m.body.split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode()
        elif m.kind == "N":
            self.notices.append(m.fields())
        elif m.kind == "A":
            channel, payload = m.body[4:].split(b"\0")[:2]
            self.senders.append(int.from_bytes(m.body[:4], "big"))
            self.notifications.append((channel.decode(errors="replace"), payload.decode(errors="replace")))
        elif m.kind == "K":
            self.pid, self.secret = struct.unpack_from("!I", m.body)[0], m.body[4:]

    def until(self, kinds="Z", seconds=None):
        """All messages up to and with the first of KINDS."""
        out = []
        while not out or out[-1].kind not in kinds:
            out.append(self.receive(seconds))
        return out

    def kinds(self, kinds="Z", seconds=None):
        """The kinds of until() as a string, without S, N and A, which may come at any time."""
        return "".join(m.kind for m in self.until(kinds, seconds) if m.kind not in "SNA")

    # --- usual conversations

    def login(self, user="app", database="app", password=None, version=PROTOCOL_3_0, **params):
        self.send(startup(version, user=user, database=database, **params))
        self.authenticate(user, password)
        return self

    def authenticate(self, user, password, seconds=None):
        """Answer whatever is asked until ReadyForQuery; ServerError when refused."""
        machine = None
        while True:
            m = self.receive(seconds)
            if m.kind == "E":
                raise ServerError(m.fields())
            if m.kind == "Z":
                return
            if m.kind != "R":
                continue
            code, rest = struct.unpack_from("!I", m.body)[0], m.body[4:]
            if code == 3:
                self.send(message("p", cstring(password)))
            elif code == 5:
                self.send(message("p", cstring(scram.md5_answer(user, password, rest))))
            elif code == 10:
                assert b"SCRAM-SHA-256" in rest.split(b"\0")
                machine = scram.Client(password)
                first = machine.first()
                self.send(message("p", cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
            elif code == 11:
                self.send(message("p", machine.final(rest)))
            elif code == 12:
                machine.verify(rest)
            else:
                assert code == 0, f"authentication request {code}"

    def finish(self, seconds=None):
        """Read to ReadyForQuery: rows as lists of text. The first error is raised after the whole answer, or when the other
        side has closed after it."""
        rows, error = [], None
        try:
            while True:
                m = self.receive(seconds)
                if m.kind == "D":
                    rows.append([None if v is None else v.decode(errors="replace") for v in m.row()])
                elif m.kind == "E" and error is None:
                    error = ServerError(m.fields())
                elif m.kind == "Z":
                    self.status = m.body.decode()
                    break
        except Closed:
            if error is None:
                raise
        if error:
            raise error
        return rows

    def query(self, sql, seconds=None):
        self.send(query(sql))
        return self.finish(seconds)

    def extended(self, sql, values=(), name="", seconds=None):
        self.send(extended(sql, values, name), sync())
        return self.finish(seconds)

    def value(self, sql, seconds=None):
        return self.query(sql, seconds)[0][0]


def send_cancel(host, port, pid, secret):
    """A CancelRequest; returns when the other side has closed, as libpq waits."""
    with Wire(host, port) as w:
        w.send(cancel(pid, secret))
        try:
            w.expect_closed(10)
        except ConnectionError:
            pass
