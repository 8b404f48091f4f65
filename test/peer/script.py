# SPDX-License-Identifier: ISC
"""A PostgreSQL server that follows a script: one function, called with each connection that comes."""
import socket
import struct
import threading

from harness import place, wire
from harness.wire import Closed, cstring, message

PARAMETERS = {
    "server_version": "15.3", "server_encoding": "UTF8", "client_encoding": "UTF8", "application_name": "",
    "default_transaction_read_only": "off", "in_hot_standby": "off", "is_superuser": "off", "session_authorization": "app",
    "DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "TimeZone": "Etc/UTC", "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}


# --- what servers say

def authentication(code, rest=b""):
    return message("R", struct.pack("!I", code) + rest)


AUTHENTICATED = authentication(0)


def parameter(name, value):
    return message("S", cstring(name) + cstring(value))


PARAMETER_BLOCK = b"".join(parameter(k, v) for k, v in PARAMETERS.items())


def key(pid=4242, secret=b"\1\2\3\4"):
    return message("K", struct.pack("!I", pid) + secret)


def ready(status="I"):
    return message("Z", status.encode())


def columns(*names):
    body = struct.pack("!h", len(names))
    for name in names:
        body += cstring(name) + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)
    return message("T", body)


def row(*values):
    body = struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value.encode()
    return message("D", body)


def complete(tag):
    return message("C", cstring(tag))


def report(kind, level, sqlstate, text):
    fields = {"S": level, "V": level, "C": sqlstate, "M": text}
    return message(kind, b"".join(k.encode() + cstring(v) for k, v in fields.items()) + b"\0")


def error(level, sqlstate, text):
    return report("E", level, sqlstate, text)


def notice(text):
    return report("N", "WARNING", "01000", text)


def result(value="x"):
    """The whole answer to a simple SELECT."""
    return columns("v") + row(value) + complete("SELECT 1") + ready()


class Peer(wire.Wire):
    """One connection from pgweir. number counts from 0; startup is what it asked for."""

    def __init__(self, accepted, number, server):
        self.socket, self.number, self.server = accepted, number, server
        self.seconds, self._buffer = 20.0, bytearray()
        self.parameters, self.notices, self.notifications = {}, [], []
        self.status, self.startup, self.statements = "I", {}, []
        self._parsed = {}

    def _note(self, m):
        """What comes from pgweir is a client's message: an S is a Sync."""

    # --- login

    def hello(self, tls=b"N"):
        """The start-up packet, after declining whatever is asked before it. A cancel request ends here."""
        while True:
            length = struct.unpack("!i", self.take(4))[0]
            body = self.take(length - 4)
            code = struct.unpack_from("!I", body)[0]
            if code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
                self.send(tls if code == wire.SSL_REQUEST else b"N")
            elif code == wire.CANCEL_REQUEST:
                self.server.cancels.append((struct.unpack_from("!I", body, 4)[0], body[8:]))
                self.close()
                raise Closed("that was a cancel request")
            else:
                words = body[4:].split(b"\0")
                self.version = code
                self.startup = {k.decode(): v.decode() for k, v in zip(words[0::2], words[1::2]) if k}
                return self.startup

    def accept(self, pid=None, secret=b"\1\2\3\4"):
        """A login without questions."""
        self.hello()
        self.welcome(pid, secret)

    def welcome(self, pid=None, secret=b"\1\2\3\4"):
        self.send(AUTHENTICATED, PARAMETER_BLOCK, key(pid or 5000 + self.number, secret), ready())

    # --- statements

    def serve(self):
        """Answer everything as a dull but correct server, until pgweir leaves."""
        while True:
            self.answer(self.receive(60))

    def expect(self, marker):
        """Answer everything until a statement that contains MARKER; it is left to the script."""
        while True:
            m = self.receive(60)
            if m.kind in "QP" and marker.encode() in m.body:
                self.statements.append(m.text())
                return m
            self.answer(m)

    def answer(self, m):
        if m.kind == "Q":
            self.statements.append(m.text())
            self.send(self._execute(m.text(), True), ready(self.status))
        elif m.kind == "P":
            name, text = m.body.split(b"\0")[:2]
            self._parsed[name] = text.decode()
            self.statements.append(text.decode())
            self.send(message("1"))
        elif m.kind == "B":
            self._bound = self._parsed.get(m.body.split(b"\0")[1], "")
            self.send(message("2"))
        elif m.kind == "D":
            if m.body[:1] == b"S":
                self.send(message("t", struct.pack("!h", 0)))
            self.send(columns("v"))
        elif m.kind == "E":
            self.send(self._execute(self._bound, False))
        elif m.kind == "C":
            self.send(message("3"))
        elif m.kind == "S":
            self.send(ready(self.status))
        elif m.kind == "X":
            self.server.farewells += 1
            raise Closed("Terminate")

    def _execute(self, text, describe):
        word = text.strip().split(" ")[0].upper().rstrip(";")
        if word == "":
            return message("I")
        if word in ("BEGIN", "START"):
            self.status = "T"
        if word in ("COMMIT", "ROLLBACK", "END"):
            self.status = "I"
        if word in ("SELECT", "SHOW"):
            return (columns("v") if describe else b"") + row(text) + complete("SELECT 1")
        return complete("INSERT 0 1" if word == "INSERT" else word)


class Server:
    """Listens on port; runs SCRIPT(peer) in a thread for each connection. What the script raises fails the test."""

    def __init__(self, script):
        self.script, self.peers, self.errors, self.cancels, self.farewells = script, [], [], [], 0
        self.port = place.free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(accepted, len(self.peers), self)
            self.peers.append(peer)
            threading.Thread(target=self._play, args=(peer,), daemon=True).start()

    def _play(self, peer):
        try:
            self.script(peer)
        except (Closed, ConnectionError, TimeoutError):
            pass
        except OSError as e:
            if not self._closed(peer):
                self.errors.append(e)
        except BaseException as e:
            self.errors.append(e)
        finally:
            peer.close()

    @staticmethod
    def _closed(peer):
        return peer.socket.fileno() < 0

    def statements(self):
        """Every statement that any connection received."""
        return [s for p in self.peers for s in p.statements]

    def finish(self):
        self._listener.close()
        for p in self.peers:
            p.close()
        if self.errors:
            raise self.errors[0]
