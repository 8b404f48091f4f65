# SPDX-License-Identifier: ISC
"""A new process takes over from the one that runs (-R): nobody is refused, nothing breaks, no cancel is lost."""
import os
import signal
import threading
import time

import psycopg
import pytest

from harness import wire
from harness.wait import Worker, gone, stays_true, wait_until


# --- one client of each kind

def test_an_idle_client_moves_with_all_its_state(weir):
    w = weir.wire(application_name="mover", options="-c extra_float_digits=0")
    w.query("SET TimeZone = 'Asia/Tokyo'")
    w.query("SET search_path = pg_catalog, public")
    w.query("SET my.thing = 'it''s \\ here'")
    w.send(wire.parse("one", "SELECT $1::int + 1", [23]), wire.parse("two", "SELECT current_setting('TimeZone')"), wire.sync())
    w.until("Z")
    w.send(wire.parse("", "SELECT 'unnamed'"), wire.sync())
    w.until("Z")
    row = next(r for r in weir.console("SHOW CLIENTS") if r["application_name"] == "mover")
    old = weir.take_over()
    assert gone(old) == 0
    assert w.value("SHOW TimeZone") == "Asia/Tokyo"
    assert w.value("SHOW search_path") == "pg_catalog, public"
    assert w.value("SHOW my.thing") == "it's \\ here"
    assert w.value("SHOW extra_float_digits") == "0"
    assert w.value("SHOW application_name") == "mover"
    w.send(wire.bind("", "one", ["41"]), wire.execute(), wire.bind("", "two"), wire.execute(), wire.sync())
    assert w.finish() == [["42"], ["Asia/Tokyo"]]
    w.query("RESET TimeZone")
    assert w.value("SHOW TimeZone") != "Asia/Tokyo"
    after = next(r for r in weir.console("SHOW CLIENTS") if r["application_name"] == "mover")
    assert [after[k] for k in ("id", "addr", "port", "connect_time", "user", "database")] == \
        [row[k] for k in ("id", "addr", "port", "connect_time", "user", "database")]


@pytest.mark.parametrize("command", ["PAUSE", "PAUSE app", "SUSPEND"])
def test_nobody_stays_held_in_a_process_that_no_operator_reaches(weir, command):
    """RESUME goes to the new process: what the old one holds goes on as soon as it is replaced."""
    idle, waiting, stays = [weir.wire() for _ in range(3)]
    stays.query("BEGIN READ ONLY; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT")  # cannot move
    console, late = [weir.raw().login("admin", "pgbouncer") for _ in range(2)]
    console.send(wire.query(command))  # PAUSE ends when all servers are idle
    wait_until(lambda: any(d["paused"] == "1" for d in weir.console("SHOW DATABASES")) or
               any(r["value"] == "yes" for r in weir.console("SHOW STATE") if r["key"] in ("paused", "suspended")), 5, "held")
    waiting.send(wire.query("SELECT 'served'"))
    old = weir.take_over()
    assert waiting.finish() == [["served"]]
    with pytest.raises(wire.ServerError, match="another process has taken over"):
        late.query(command)
    assert stays.value("SELECT 'served'") == "served"
    stays.close()
    assert gone(old) == 0
    assert idle.value("SELECT 'moved'") == "moved"


def test_the_unnamed_statement_moves(weir):
    w = weir.wire()
    w.send(wire.parse("", "SELECT 'kept'"), wire.sync())
    w.until("Z")
    assert gone(weir.take_over()) == 0
    w.send(wire.bind(), wire.execute(), wire.sync())
    assert w.finish() == [["kept"]]


def test_a_transaction_ends_in_the_old_process_and_its_client_moves_then(weir, cluster):
    w = weir.wire()
    w.query("BEGIN")
    backend = w.value("SELECT pg_backend_pid()")
    old = weir.take_over()
    for _ in range(5):
        assert w.value("SELECT pg_backend_pid()") == backend
    assert old.poll() is None
    w.query("COMMIT")
    assert gone(old) == 0
    assert w.value("SELECT pg_backend_pid()") != backend


@pytest.mark.parametrize("sql", ["SELECT 1", None])
def test_a_transaction_without_a_statement_ends_in_the_old_process(weir, sql):
    w = weir.wire()
    w.query("BEGIN")
    old = weir.take_over()
    assert old.poll() is None
    if sql:
        assert w.value(sql) == "1" and w.status == "T"
    w.query("COMMIT")
    assert gone(old) == 0
    assert w.value("SELECT 1") == "1" and w.status == "I"


def test_a_long_query_outlasts_the_drain_timeout(make_weir, cluster):
    weir = make_weir(drain_timeout=1)
    w = weir.wire()
    w.send(wire.query("SELECT 'done' FROM pg_sleep(3)"))
    wait_until(lambda: cluster.at_work("pg_sleep"))
    old = weir.take_over()
    assert w.finish() == [["done"]]
    assert gone(old) == 0
    assert w.value("SELECT 1") == "1"


def test_a_waiting_client_is_served(make_weir):
    weir = make_weir(default_pool_size=1)
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    waiter.send(wire.query("SELECT 'waited'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    old = weir.take_over()
    holder.query("COMMIT")
    assert waiter.finish() == [["waited"]]
    assert gone(old) == 0
    assert [holder.value("SELECT 1"), waiter.value("SELECT 2")] == ["1", "2"]


def test_servers_of_the_old_process_are_closed(weir, cluster):
    clients = [weir.wire() for _ in range(4)]
    for w in clients:
        w.query("SELECT 1")
    assert gone(weir.take_over()) == 0
    wait_until(lambda: not cluster.pids(), 5, "the old process's servers gone")


def test_a_client_by_unix_socket_moves(weir):
    w = weir.raw(host=weir.folder).login()
    assert gone(weir.take_over()) == 0
    assert w.value("SELECT 1") == "1"
    row = next(r for r in weir.console("SHOW CLIENTS") if r["database"] == "app")
    assert row["addr"] == "unix"


def test_scram_clients_move_with_the_key_to_the_servers(make_weir, cluster):
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    weir = make_weir(auth_type="scram-sha-256", userlist={"in_scram": secret, "admin": "admin-pw"})
    w = weir.wire("in_scram", password="in_scram-pw")
    w.query("SELECT 1")
    assert gone(weir.take_over()) == 0
    assert w.value("SELECT current_user") == "in_scram"


def test_pinned_clients_stay_until_the_pin_is_gone(make_weir):
    weir = make_weir(drain_timeout=30)
    w = weir.wire()
    w.query("CREATE TEMP TABLE t (i int)")
    old = weir.take_over()
    assert w.value("SELECT count(*) FROM t") == "0"
    w.query("DISCARD TEMP")
    w.query("SELECT 1")
    assert gone(old) == 0
    assert w.value("SELECT 'moved'") == "moved"


def test_a_pinned_client_is_told_after_the_drain_timeout(make_weir):
    weir = make_weir(drain_timeout=1)
    w = weir.wire()
    w.query("CREATE TEMP TABLE t (i int)")
    old = weir.take_over()
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0


def test_a_tls_client_is_served_by_the_old_process(make_weir, certs):
    weir = make_weir(drain_timeout=30, client_tls_sslmode="allow", client_tls_key_file=certs.server_key,
                     client_tls_cert_file=certs.server_cert)
    c = weir.connect(sslmode="require")
    old = weir.take_over()
    for i in range(20):
        assert c.execute("SELECT %s::int", (i,)).fetchone() == (i,)
    assert old.poll() is None
    c.close()
    assert gone(old) == 0


def test_who_is_refused_after_the_drain_timeout_is_told(make_weir):
    weir = make_weir(drain_timeout=1)
    w = weir.wire(database="app2")
    w.query("BEGIN; SELECT 1")
    del weir.databases["app2"]
    weir.write()
    old = weir.take_over()
    weir.wait_log("1 clients could not move")
    w.query("COMMIT")
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0


def test_half_a_message_does_not_keep_the_old_process(make_weir):
    weir = make_weir(drain_timeout=1)
    w = weir.wire()
    before = int(weir.console("SHOW CLIENTS WHERE database = 'app'")[0]["bytes_received"])
    w.send(b"Q\0\0")
    wait_until(lambda: int(weir.console("SHOW CLIENTS WHERE database = 'app'")[0]["bytes_received"]) == before + 3, 5, "it was read")
    old = weir.take_over()
    assert [m.fields()["C"] for m in w.expect_closed(15) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0


def test_a_database_that_is_no_more_keeps_its_client_in_the_old_process(make_weir):
    weir = make_weir(drain_timeout=1)
    w, other = weir.wire(database="app2"), weir.wire()
    del weir.databases["app2"]
    weir.write()
    old = weir.take_over()
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0
    assert other.value("SELECT 1") == "1"


# --- cancel

def test_a_cancel_finds_its_client_in_the_old_process(weir, cluster):
    w = weir.wire()
    w.send(wire.query("SELECT pg_sleep(30) /* old_one */"))
    wait_until(lambda: cluster.at_work("old_one"))
    old = weir.take_over()
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish(5)
    assert gone(old) == 0
    w.send(wire.query("SELECT pg_sleep(30) /* new_one */"))
    wait_until(lambda: cluster.at_work("new_one"))
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish(5)


# --- the processes

def test_without_a_process_that_runs_it_starts_as_ever(make_weir):
    weir = make_weir(start=False)
    weir.start("-R")
    assert weir.wire().value("SELECT 1") == "1"


def test_the_files_belong_to_the_new_process(make_weir):
    weir = make_weir(pidfile="pgweir.pid")
    path = f"{weir.folder}/pgweir.pid"
    wait_until(lambda: os.path.exists(path))
    for _ in range(2):
        assert gone(weir.take_over()) == 0
        with open(path) as f:
            assert int(f.read()) == weir.process.pid
    assert weir.raw(host=weir.folder).login().value("SELECT 1") == "1"
    assert sorted(n for n in os.listdir(weir.folder) if n.startswith(".s.")) == \
        [f".s.PGSQL.{weir.port}", f".s.PGWEIR.{weir.port}"]
    assert os.stat(f"{weir.folder}/.s.PGWEIR.{weir.port}").st_mode & 0o777 == 0o600
    weir.stop()
    assert [n for n in os.listdir(weir.folder) if n.startswith(".s.") or n.endswith(".pid")] == []


def test_another_number_of_workers_serves_the_same_sockets(make_weir):
    weir = make_weir(workers=3)
    for workers in (1, 4, 2):
        weir.general["workers"] = workers
        weir.write()
        assert gone(weir.take_over()) == 0
        clients = [weir.wire() for _ in range(12)]
        assert [w.value("SELECT 1") for w in clients] == ["1"] * 12
        for w in clients:
            w.close()


def test_a_bad_configuration_changes_nothing(weir):
    w = weir.wire()
    with open(weir.ini) as f:
        good = f.read()
    with open(weir.ini, "a") as f:
        f.write("[nonsense]\n")
    old = weir.take_over(wait=False)
    assert weir.process.wait(10) == 2
    with open(weir.ini, "w") as f:
        f.write(good)
    weir.process = weir.olds.pop()
    assert weir.process is old
    assert w.value("SELECT 1") == "1"
    assert weir.wire().value("SELECT 2") == "2"
    gone(weir.take_over())
    assert w.value("SELECT 3") == "3"


def test_the_old_process_goes_on_when_the_new_one_is_killed(make_weir):
    weir = make_weir(drain_timeout=30, pidfile="pgweir.pid")
    busy, idle = weir.wire(), weir.wire()
    busy.query("BEGIN; SELECT 1")
    old = weir.take_over()
    wait_until(lambda: len([r for r in weir.console("SHOW CLIENTS") if r["database"] == "app"]) == 1)
    weir.process.kill()
    weir.process.wait(10)
    weir.process = weir.olds.pop()
    assert weir.process is old
    weir.wait_log("this one goes on")
    assert busy.value("SELECT 1") == "1"
    busy.query("COMMIT")
    assert busy.value("SELECT 2") == "2"
    assert weir.wire().value("SELECT 3") == "3"
    idle.expect_closed(5)
    with open(f"{weir.folder}/pgweir.pid") as f:
        assert int(f.read()) == old.pid
    assert gone(weir.take_over()) == 0
    assert busy.value("SELECT 4") == "4"


def test_term_to_the_old_process_cuts_off_who_is_left(make_weir):
    weir = make_weir(drain_timeout=1)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    old = weir.take_over()
    old.send_signal(signal.SIGTERM)
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    assert old.wait(10) == 4
    weir.olds.clear()
    assert weir.wire().value("SELECT 1") == "1"


def test_term_to_the_new_process_ends_the_old_one_too(make_weir):
    weir = make_weir(drain_timeout=20)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    old = weir.take_over()
    assert weir.stop() == 0
    weir.status = 0
    w.query("COMMIT")
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0


def test_one_restart_after_the_other_while_clients_stay_behind(make_weir):
    weir = make_weir(drain_timeout=60)
    clients = []
    for i in range(4):
        w = weir.wire()
        w.query("BEGIN; SELECT 1")
        clients.append(w)
        weir.take_over()
    assert [w.value("SELECT 1") for w in clients] == ["1"] * 4
    for w in clients:
        w.query("COMMIT")
    assert [gone(old) for old in weir.olds] == [0] * 4
    assert [w.value("SELECT 2") for w in clients] == ["2"] * 4
    assert {r["list"]: r["items"] for r in weir.console("SHOW LISTS")}["used_clients"] == "5"


def test_in_the_background(make_weir):
    weir = make_weir(start=False, pidfile="pgweir.pid", logfile="daemon.log", drain_timeout=10)
    weir.start("-d", wait=False)
    assert weir.process.wait(20) == 0
    path = f"{weir.folder}/pgweir.pid"

    def pid():
        with open(path) as f:
            return int(f.read())
    first = pid()
    try:
        w = weir.wire()
        w.query("SELECT 1")
        weir.process = None
        weir.start("-d", "-R", wait=False)
        assert weir.process.wait(20) == 0
        assert pid() != first
        wait_until(lambda: not os.path.exists(f"/proc/{first}"), 10, "end of the old process")
        assert w.value("SELECT 2") == "2"
    finally:
        os.kill(pid(), signal.SIGTERM)
        wait_until(lambda: not os.path.exists(path), 10, "end of the daemon")
        weir.process = None


# --- under load

class Load:
    """Threads that do one thing over and over; whatever fails ends the test."""

    def __init__(self, weir):
        self.weir, self.over, self.counts, self.threads = weir, threading.Event(), {}, []

    def add(self, name, once, prepare=None):
        self.counts[name] = 0
        self.threads.append(Worker(self._run, name, once, prepare))

    def _run(self, name, once, prepare):
        thing = prepare() if prepare else None
        while not self.over.is_set():
            once(thing)
            self.counts[name] += 1

    def grown(self, before, by):
        assert all(t.is_alive() for t in self.threads), [t.result(1) for t in self.threads if not t.is_alive()]
        return all(self.counts[n] >= before[n] + by for n in before)

    def end(self):
        self.over.set()
        for t in self.threads:
            t.result(30)


def connects(weir):
    with psycopg.connect(weir.dsn(), autocommit=True) as c:
        assert c.execute("SELECT 'hello'").fetchone() == ("hello",)


def connects_by_unix(weir):
    with psycopg.connect(weir.dsn(host=weir.folder), autocommit=True) as c:
        assert c.execute("SELECT 'hello'").fetchone() == ("hello",)


def transacts(c):
    with c.transaction():
        c.execute("UPDATE load_counter SET n = n + 1 WHERE i = 1")
        c.execute("UPDATE load_counter SET n = n + 1 WHERE i = 2")


def cancels(c):
    query = Worker(c.execute, "SELECT pg_sleep(20)")
    end = time.monotonic() + 15
    while query.is_alive():
        assert time.monotonic() < end, "a cancel was lost"
        c.cancel()
        query.join(0.05)
    with pytest.raises(psycopg.errors.QueryCanceled):
        query.result(1)


@pytest.mark.deadline(200)
@pytest.mark.parametrize("workers", [1, 2])
def test_five_restarts_under_load(make_weir, cluster, certs, workers):
    weir = make_weir(workers=workers, drain_timeout=100, default_pool_size=8, max_client_conn=500, query_wait_timeout=60,
                     client_tls_sslmode="allow", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert)
    cluster.sql("DROP TABLE IF EXISTS load_counter")
    cluster.sql("CREATE TABLE load_counter (i int PRIMARY KEY, n int)")
    cluster.sql("INSERT INTO load_counter VALUES (1, 0), (2, 0)")
    cluster.sql("GRANT ALL ON load_counter TO PUBLIC")

    def settled():
        c = weir.connect(prepare_threshold=0)
        c.execute("SET TimeZone = 'Asia/Tokyo'")
        c.execute("SET application_name = 'settled'")
        return c

    def check(c):
        for i in range(3):
            assert c.execute(f"SELECT %s::int, current_setting('TimeZone') /* {i} */", (i,)).fetchone() == (i, "Asia/Tokyo")
        assert c.execute("SHOW application_name").fetchone() == ("settled",)

    load = Load(weir)
    load.add("connect", lambda _: connects(weir))
    load.add("unix", lambda _: connects_by_unix(weir))
    load.add("settled", check, settled)
    load.add("settled2", check, settled)
    load.add("transact", transacts, weir.connect)
    load.add("cancel", cancels, weir.connect)
    load.add("tls", lambda c: c.execute("SELECT 1"), lambda: weir.connect(sslmode="require"))
    load.add("tls connect", lambda _: psycopg.connect(weir.dsn(sslmode="require")).close())
    for _ in range(5):
        before = dict(load.counts)
        wait_until(lambda: load.grown(before, 2), 30, f"everybody served {load.counts}")
        weir.take_over()
    before = dict(load.counts)
    wait_until(lambda: load.grown(before, 2), 30, f"everybody served {load.counts}")
    load.end()
    one, two = [r[0] for r in cluster.sql("SELECT n FROM load_counter ORDER BY i")]
    assert one == two == load.counts["transact"]


@pytest.mark.deadline(120)
def test_the_new_process_is_killed_at_any_moment(make_weir):
    """Whoever had been moved is lost with it; everybody else goes on, and so do the sockets."""
    weir = make_weir(drain_timeout=60)
    for i in range(8):
        idle = [weir.wire() for _ in range(20)]
        busy = [weir.wire() for _ in range(3)]
        for w in busy:
            w.query("BEGIN; SELECT 1")
        old = weir.take_over(wait=False)
        deadline = time.monotonic() + i * 0.04
        wait_until(lambda: time.monotonic() > deadline)
        weir.process.kill()
        weir.process.wait(10)
        weir.process = weir.olds.pop()
        assert weir.process is old
        for w in busy:
            assert w.value("SELECT 'busy'") == "busy"
            w.query("COMMIT")
        kept = 0
        for w in idle:
            try:
                kept += w.value("SELECT 'idle'") == "idle"
            except (wire.Closed, OSError):
                pass
        print(f"round {i}: {kept} of 20 idle clients stayed")
        stays_true(lambda: weir.wire().value("SELECT 1") == "1", 0.2)
        for w in idle + busy:
            w.close()


def serves(weir, process):
    """Not if it is on its way out."""
    try:
        return process.poll() is None and weir.wire().value("SELECT 'served'") == "served"
    except (wire.Closed, wire.ServerError, OSError) as e:
        assert not isinstance(e, TimeoutError), "a client that nobody serves"
        wait_until(lambda: process.poll() is not None, 15, "who does not serve ends")
        return False


@pytest.mark.deadline(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("which", ["old", "new"])
def test_either_is_asked_to_end_at_any_moment(make_weir, number, which):
    """None hangs: each process ends, or serves; and so do the clients."""
    for i in range(4):
        weir = make_weir(drain_timeout=1)
        clients = [weir.wire() for _ in range(20)]
        clients[0].query("BEGIN; SELECT 1")
        old = weir.take_over(wait=False)
        deadline = time.monotonic() + i * 0.06
        wait_until(lambda: time.monotonic() > deadline)
        asked = old if which == "old" else weir.process
        asked.send_signal(number)
        wait_until(lambda: asked.poll() is not None, 15, "end of who was asked to")
        other = weir.process if which == "old" else old
        if which == "old":
            wait_until(lambda: "took over from" in weir.log() or other.poll() is not None, 15, "the new one serves, or could not")
        elif "took over from" in weir.log():
            wait_until(lambda: other.poll() is not None, 15, "they end together")
        for w in clients[1:]:
            try:
                assert other.poll() is None and w.value("SELECT 1") == "1"
            except (AssertionError, wire.Closed, wire.ServerError, OSError) as e:
                assert not isinstance(e, TimeoutError), "a client that nobody serves"
        if serves(weir, other):
            for w in clients:
                w.close()
            other.send_signal(signal.SIGTERM)
            wait_until(lambda: other.poll() is not None, 15, "end of the other")
        assert {old.returncode, weir.process.returncode} <= {0, 1, 4, -signal.SIGTERM, -signal.SIGINT}
        weir.olds.clear()
        weir.status, weir.wanted_status = weir.process.returncode, (0, 1, 4, -signal.SIGTERM, -signal.SIGINT)


def test_one_of_both_processes_promotes_a_replica(new_trio, trio_weir):
    """Who has the listeners: two might not choose the same."""
    trio = new_trio()
    with trio[0].connect(dbname="postgres") as c:
        c.execute("GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor")
    weir = trio_weir(trio, cluster={"auto_failover": 1})
    stays = weir.wire(seconds=20)
    stays.query("BEGIN")
    stays.query("DECLARE c CURSOR FOR SELECT 1")
    old = weir.take_over()
    assert old.poll() is None
    wait_until(lambda: all(r["state"] == "up" for r in weir.console("SHOW NODES")), 20)
    trio.wait_caught_up()
    trio.kill(0)
    wait_until(lambda: any(r["role"] == "primary" and r["node"] != "pg1" and r["state"] == "up" for r in weir.console("SHOW NODES")), 20)
    told = [line for line in weir.log().splitlines() if "promoting it" in line]
    assert len(told) == 1 and f"[{weir.process.pid}]" in told[0]
    trio.primary = trio.index(told[0].partition("node=")[2].split()[0])
