# SPDX-License-Identifier: ISC
"""SHOW FDS with descriptors: another pooler, PgBouncer's own -R among them, goes on with the clients of a pgweir that ends."""
import array
import contextlib
import os
import shutil
import socket
import struct
import subprocess

import psycopg2
import pytest

from harness import place, wire
from harness.wait import wait_until

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


@contextlib.contextmanager
def as_plain_user():
    """What connects here is pgweir's own user, for SO_PEERCRED."""
    who = place.plain_user()
    if who:
        os.seteuid(who[0])
    try:
        yield
    finally:
        if who:
            os.seteuid(0)


def own_console(weir, ours=True):
    with as_plain_user() if ours else contextlib.nullcontext():
        return weir.raw(host=weir.folder).login("pgbouncer" if ours else "admin", "pgbouncer")


class Row:
    """One row of SHOW FDS, and the socket that came with it."""

    def __init__(self, values, fd):
        self.values = values
        self.task, self.link, self.fd = (values.get(k) for k in ("task", "link", "fd"))
        self.socket = None if fd is None else socket.socket(fileno=fd)

    def client(self, weir):
        """The other end's reader and writer, as if it had logged in with us."""
        w = weir.keep(wire.Wire.__new__(wire.Wire))
        w.seconds, w._buffer, w.socket = 10.0, bytearray(), self.socket
        w.parameters, w.notices, w.notifications, w.senders = {}, [], [], []
        return w


def next_bytes(w):
    """As PgBouncer reads: whole messages, and one row at most, beside which its descriptor comes."""
    data, control, flags, _ = w.socket.recvmsg(2048, socket.CMSG_SPACE(4 * 8))
    fds = array.array("i")
    for level, kind, body in control:
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        fds.frombytes(body)
    assert not flags & socket.MSG_CTRUNC
    messages = []
    while data:
        end = 1 + struct.unpack_from("!i", data, 1)[0]
        assert end <= len(data), "half a message"
        messages.append(wire.Message(data[:1].decode(), data[5:end]))
        data = data[end:]
    return messages, list(fds)


def show_fds(w, command="SHOW FDS;"):
    w.send(wire.query(command))
    names, rows, end = [], [], False
    while not end:
        messages, fds = next_bytes(w)
        of_rows = [m for m in messages if m.kind == "D"]
        assert len(fds) == len(of_rows) <= 1 or not fds
        for m in messages:
            if m.kind == "T":
                names = [c[0] for c in m.columns()]
            elif m.kind == "D":
                values = dict(zip(names, [None if v is None else v.decode() for v in m.row()]))
                rows.append(Row(values, fds.pop() if fds else None))
            elif m.kind == "E":
                raise wire.ServerError(m.fields())
            end = end or m.kind == "Z"
    return rows


def tag(w, command):
    w.send(wire.query(command))
    return [m.text() for m in w.until("Z", 10) if m.kind == "C"]


def take_all(weir):
    """What a process does that takes over: a console, and what it was given."""
    c = own_console(weir)
    assert tag(c, "SUSPEND;") == ["SUSPEND"]
    return c, show_fds(c)


def shut_down(weir, c):
    c.send(wire.query("SHUTDOWN;"))
    assert c.expect_closed(10) == []
    assert weir.wait() == 0


def forget(rows):
    for r in rows:
        r.socket.close()


def row_of(rows, w):
    return next((r for r in rows if r.task == "client" and r.values["cancel"] == str(w.pid << 32 | int.from_bytes(w.secret, "big"))), None)


def serves(weir, row, w, word):
    """The row's socket has W at its other end, and nobody else reads it."""
    w.send(wire.query(word))
    theirs = row.client(weir)
    assert theirs.receive().body == wire.cstring(word)
    theirs.send(wire.message("D", struct.pack("!hi", 1, len(word)) + word.encode()), wire.message("Z", b"I"))
    assert w.finish() == [[word]]


# --- a receiver that is a script

def test_each_row_brings_its_own_socket(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", workers=2)
    clients = [weir.wire() for _ in range(5)] + [weir.raw(host=weir.folder).login() for _ in range(3)]
    for w in clients[:2]:
        w.query("SELECT 1")
    c, rows = take_all(weir)
    assert all(r.socket is not None for r in rows)
    assert sum(r.task == "client" for r in rows) == 8 and not [r for r in rows if r.task == "server"]
    for i, w in enumerate(clients):
        row = row_of(rows, w)
        if w.socket.family == socket.AF_INET:
            assert row.socket.getpeername() == w.socket.getsockname() == (row.values["addr"], int(row.values["port"]))
        serves(weir, row, w, f"client {i}")
    poolers = [r.socket for r in rows if r.task == "pooler"]
    assert sorted((s.family, s.getsockname()) for s in poolers) == \
        sorted([(socket.AF_INET, ("127.0.0.1", weir.port))] * 2 + [(socket.AF_UNIX, f"{weir.folder}/.s.PGSQL.{weir.port}")])
    shut_down(weir, c)
    for i, w in enumerate(clients):
        serves(weir, row_of(rows, w), w, f"client {i} again")
    late = weir.raw(host=weir.folder)  # the file is still there, and leads to us
    late.send(b"knock")
    unix = next(s for s in poolers if s.family == socket.AF_UNIX)
    unix.settimeout(10)
    came, _ = unix.accept()
    assert came.recv(10) == b"knock"
    came.close()
    assert "closed" not in weir.log().split("SHUTDOWN")[-1]
    forget(rows)


def test_what_pgbouncer_follows_stands_in_the_row(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w = weir.wire(application_name="named", client_encoding="latin1")
    w.query("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET standard_conforming_strings = off")
    c, rows = take_all(weir)
    values = row_of(rows, w).values
    assert [values[k] for k in ("user", "database", "client_encoding", "std_strings", "datestyle", "timezone")] == \
        ["app", "app", "LATIN1", "off", "German, DMY", "Asia/Tokyo"]
    assert values["password"] is values["scram_client_key"] is None
    assert tag(c, "RESUME") == ["RESUME"]
    assert w.value("SHOW TimeZone") == "Asia/Tokyo"


def parsed(w, _=None):
    w.send(wire.parse("named", "SELECT 1"), wire.sync())
    w.until("Z")


def half_a_message(w, weir):
    received = lambda: sum(int(r["bytes_received"]) for r in weir.console("SHOW CLIENTS WHERE database = 'app'"))  # noqa: E731
    before = received()
    w.send(b"Q\0\0")
    wait_until(lambda: received() == before + 3, 5, "it was read")


STAYS = {"half a message": half_a_message, "prepared": parsed,
         **{sql: lambda w, _, sql=sql: w.query(sql) for sql in ("SET search_path = pg_catalog", "PREPARE p AS SELECT 1", "LISTEN here",
                                                                "CREATE TEMP TABLE t (i int)", "BEGIN; SELECT 1", "BEGIN")}}


@pytest.mark.parametrize("what", STAYS)
def test_who_would_lose_something_stays_and_is_told(make_weir, what):
    weir = make_weir()
    w, other = weir.wire(), weir.wire()
    STAYS[what](w, weir)
    c, rows = take_all(weir)
    assert row_of(rows, w) is None and row_of(rows, other)
    shut_down(weir, c)
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    serves(weir, row_of(rows, other), other, "went")
    weir.wait_log("sockets and those of 1 clients; 1 clients cannot go along")
    weir.wait_log("closed 1 clients that were left")


def test_a_client_with_tls_stays(make_weir, certs):
    weir = make_weir(section="pgbouncer", client_tls_sslmode="allow", client_tls_key_file=certs.server_key,
                     client_tls_cert_file=certs.server_cert)
    secure = weir.connect2(sslmode="require")
    c, rows = take_all(weir)
    assert not [r for r in rows if r.task == "client"]
    shut_down(weir, c)
    with pytest.raises(psycopg2.OperationalError):
        secure.cursor().execute("SELECT 1")
    weir.wait_log("closed 1 clients that were left")


def test_in_session_mode_the_server_goes_along_with_all_that_it_has(make_weir, cluster):
    weir = make_weir(section="pgbouncer", pool_mode="session")
    w, named = weir.wire(), weir.wire()
    w.query("SET search_path = pg_catalog, public; CREATE TEMP TABLE t AS SELECT 'kept' AS word; PREPARE p AS SELECT word FROM t")
    backend = w.value("SELECT pg_backend_pid()")
    parsed(named)
    c, rows = take_all(weir)
    client, (server,) = row_of(rows, w), [r for r in rows if r.task == "server"]
    assert (client.link, server.link) == (server.fd, client.fd)
    assert str(int(server.values["cancel"]) >> 32) == backend
    assert row_of(rows, named) is None
    shut_down(weir, c)
    with server.client(weir) as theirs:
        assert theirs.value("EXECUTE p") == "kept"
        assert theirs.value("SELECT pg_backend_pid()") == backend
    serves(weir, client, w, "still there")


def test_when_the_receiver_vanishes_all_goes_on(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", workers=2)
    clients = [weir.wire() for _ in range(4)]
    c, rows = take_all(weir)
    late = weir.raw()
    late.send(wire.startup(user="app", database="app"))
    clients[0].send(wire.query("SELECT 'held'"))
    with pytest.raises(TimeoutError):
        late.receive(0.2)
    forget(rows)
    c.close()
    assert clients[0].finish() == [["held"]]
    late.authenticate("app", None)
    assert [w.value("SELECT 1") for w in (late, *clients)] == ["1"] * 5
    weir.wait_log("who was given our sockets is gone: this process goes on")
    shut_down(weir, own_console(weir))
    assert [m.fields()["C"] for m in clients[0].expect_closed() if m.kind == "E"] == ["57P01"]


def test_resume_makes_the_gift_void(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w, other = weir.wire(), own_console(weir)
    c, rows = take_all(weir)
    assert tag(other, "RESUME") == ["RESUME"]
    assert weir.wire().value("SELECT 1") == "1" and w.value("SELECT 2") == "2"
    forget(rows)
    shut_down(weir, c)
    assert [m.fields()["C"] for m in w.expect_closed() if m.kind == "E"] == ["57P01"]
    assert not os.path.exists(f"{weir.folder}/.s.PGSQL.{weir.port}")
    weir.wait_log("closed 2 clients that were left")


def test_without_suspend_they_are_for_a_look(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w, c = weir.wire(), own_console(weir)
    rows = show_fds(c)
    assert row_of(rows, w).socket.getpeername() == w.socket.getsockname()
    forget(rows)
    c.close()
    assert w.value("SELECT 1") == "1"
    assert "was given" not in weir.log()


def test_nobody_else_gets_any(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w = weir.wire()
    consoles = [weir.raw().login("admin", "pgbouncer")]
    if place.plain_user():
        consoles.append(own_console(weir, ours=False))
    for c in consoles:
        rows = show_fds_plain(c)
        assert rows[-1]["cancel"] == "0"
    ours = own_console(weir)
    assert all(r.socket is None for r in show_fds(ours, "SHOW FDS FORMAT JSON"))
    assert all(r.socket is None for r in show_fds(ours, "SHOW FDS WHERE task = 'client'"))
    ours.send(wire.extended("SHOW FDS"), wire.sync())
    while True:
        messages, fds = next_bytes_of_any_size(ours)
        assert not fds
        if messages.endswith(b"Z\0\0\0\5I"):
            break
    assert w.value("SELECT 1") == "1"


def show_fds_plain(c):
    c.send(wire.query("SHOW FDS"))
    names, rows, end = [], [], b""
    while not end.endswith(b"Z\0\0\0\5I"):
        more, fds = next_bytes_of_any_size(c)
        assert not fds
        end += more
    while end:
        size = 1 + struct.unpack_from("!i", end, 1)[0]
        m, end = wire.Message(end[:1].decode(), end[5:size]), end[size:]
        if m.kind == "T":
            names = [x[0] for x in m.columns()]
        elif m.kind == "D":
            rows.append(dict(zip(names, [None if v is None else v.decode() for v in m.row()])))
    return rows


def next_bytes_of_any_size(w):
    data, control, _, _ = w.socket.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 8))
    return data, control


@pytest.mark.deadline(120)
def test_more_than_a_socket_holds(make_weir):
    """And who does not read them for too long loses its console, and nobody else anything."""
    weir = make_weir(section="pgbouncer", pool_mode="transaction", suspend_timeout=2, workers=2, max_client_conn=1000)
    clients = [weir.wire() for _ in range(700)]
    deaf = own_console(weir)
    assert tag(deaf, "SUSPEND;") == ["SUSPEND"]
    deaf.send(wire.query("SHOW FDS;"))
    weir.wait_log("cannot be given our descriptors: it does not read")
    deaf.close()
    assert clients[-1].value("SELECT 1") == "1"
    c, rows = take_all(weir)
    assert sum(r.task == "client" for r in rows) == 700
    for i in (0, 350, 699):
        serves(weir, row_of(rows, clients[i]), clients[i], f"client {i}")
    own = f"/proc/{weir.process.pid}/fd"
    wait_until(lambda: len(os.listdir(own)) < 900, 5, "no copy is left open")
    shut_down(weir, c)
    forget(rows)


def test_secrets_that_the_other_cannot_know_go_along(make_weir, cluster):
    """auth_query's, and what logs in to a server for who came by SCRAM."""
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    weir = make_weir(section="pgbouncer", pool_mode="transaction", auth_type="scram-sha-256", auth_user="lookup",
                     auth_query="SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1", userlist={"lookup": "lookup-pw"})
    w = weir.wire("in_scram", password="in_scram-pw")
    w.query("SELECT 1")
    c, rows = take_all(weir)
    values = row_of(rows, w).values
    assert values["password"] == secret
    assert values["scram_client_key"].startswith("\\x") and len(values["scram_client_key"]) == 66
    assert len(values["scram_server_key"]) == 66
    assert tag(c, "RESUME") == ["RESUME"]
    assert secret not in weir.log()


# --- PgBouncer

class Bouncer:
    """A pgbouncer -R in the place of a pgweir."""

    def __init__(self, weir, **general):
        self.weir, self.log_path = weir, f"{weir.folder}/pgbouncer.log"
        kept = {k: weir.general[k] for k in ("listen_addr", "listen_port", "unix_socket_dir", "auth_file", "auth_type", "pool_mode", "admin_users")}
        kept["logfile"] = self.log_path
        lines = ["[databases]"] + [f"{name} = host=127.0.0.1 port={weir.cluster.port}" for name in weir.databases]
        lines += ["[pgbouncer]"] + [f"{k} = {v}" for k, v in {**kept, **general}.items() if v is not None]
        self.ini = place.write(f"{weir.folder}/pgbouncer.ini", "\n".join(lines) + "\n")
        self.process = subprocess.Popen(place.command(PGBOUNCER, "-R", self.ini), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def close(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def take_place():
    """Call it for a PgBouncer that takes over from a pgweir."""
    made = []

    def start(weir, **general):
        made.append(Bouncer(weir, **general))
        return made[-1]
    yield start
    for b in made:
        b.close()
        print(b.log())


@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
def test_pgbouncer_takes_over_and_no_idle_client_is_lost(make_weir, take_place, mode):
    weir = make_weir(section="pgbouncer", pool_mode=mode, workers=2, pidfile="pid")
    clients = [weir.wire() for _ in range(6)] + [weir.raw(host=weir.folder).login() for _ in range(2)]
    for i, w in enumerate(clients):
        w.query(f"SET TimeZone = 'Etc/GMT+{i}'")
    driver, stays = weir.connect2(), weir.wire()
    driver.cursor().execute("SELECT 1")
    parsed(stays)
    b = take_place(weir, pidfile=f"{weir.folder}/pid")
    assert weir.wait() == 0
    assert [w.value("SHOW TimeZone") for w in clients] == [f"Etc/GMT+{i}" for i in range(8)]
    with driver.cursor() as cursor:
        cursor.execute("SELECT 'the driver saw nothing'")
        assert cursor.fetchone() == ("the driver saw nothing",)
    assert [m.fields()["C"] for m in stays.expect_closed() if m.kind == "E"] == ["57P01"]
    weir.wait_log("closed 1 clients that were left")
    for late in (weir.wire(), weir.raw(host=weir.folder).login()):
        assert late.value("SELECT 'a new one'") == "a new one"
    assert weir.console("SHOW VERSION")[0]["version"].startswith("PgBouncer 1.")
    with open(f"{weir.folder}/pid") as f:
        assert int(f.read()) == b.process.pid


def test_cancel_keys_stay_good_behind_pgbouncer(make_weir, take_place, cluster):
    weir = make_weir(section="pgbouncer", pool_mode="session")
    w = weir.wire()
    backend = w.value("SELECT pg_backend_pid()")
    take_place(weir)
    assert weir.wait() == 0
    assert w.value("SELECT pg_backend_pid()") == backend
    w.send(wire.query("SELECT pg_sleep(60)"))
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'") == 1)
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="canceling statement due to user request"):
        w.finish()


def test_pgbouncer_logs_in_for_scram_clients_that_moved(make_weir, take_place, cluster):
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    weir = make_weir(section="pgbouncer", pool_mode="transaction", auth_type="scram-sha-256",
                     userlist={"in_scram": secret, "admin": "admin-pw"})
    w = weir.wire("in_scram", password="in_scram-pw")
    w.query("SELECT 1")
    take_place(weir)
    assert weir.wait() == 0
    assert w.value("SELECT current_user") == "in_scram"


def test_a_pgbouncer_that_fails_leaves_all_with_us(make_weir, take_place):
    """It does not know the user, and gives up in the middle."""
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    clients = [weir.wire() for _ in range(4)]
    empty = place.write(f"{weir.folder}/nobody.txt", '"other" "x"\n')
    b = take_place(weir, auth_file=empty)
    assert b.process.wait(20) != 0
    weir.wait_log("who was given our sockets is gone: this process goes on")
    assert [w.value("SELECT 1") for w in clients] == ["1"] * 4
    assert weir.wire().value("SELECT 1") == "1"
    take_place(weir)
    assert weir.wait() == 0
    assert [w.value("SELECT 1") for w in clients] == ["1"] * 4
