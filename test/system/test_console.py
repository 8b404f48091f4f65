# SPDX-License-Identifier: ISC
"""The admin console: who may, what it does, and that drivers can connect."""
import time

import psycopg
import psycopg2
import pytest

from harness import wire
from harness.wait import Worker, stays_true, wait_until


@pytest.mark.parametrize("database", ["pgweir", "pgbouncer"])
def test_drivers_connect_and_ask_their_usual_questions(weir, database):
    c = weir.connect(user="admin", dbname=database, application_name="driver", options="-c statement_timeout=5s")
    assert c.execute("SELECT 1").fetchone()[0] in (1, "1")
    assert c.execute("SELECT version()").fetchone()[0]
    assert c.execute("SHOW server_version").fetchone()[0]
    c.execute("SET client_encoding TO 'UTF8'")
    assert c.execute("SELECT oid, typname FROM pg_catalog.pg_type WHERE typname = 'hstore'").fetchall() == []
    assert len(c.execute("SHOW DATABASES").fetchall()) >= 2
    assert c.execute("SHOW POOLS", prepare=True, binary=False).description
    cursor = weir.connect2(user="admin", dbname=database).cursor()
    cursor.execute("SHOW LISTS")
    assert cursor.fetchall()


def test_roles_are_denied_by_default(weir):
    with pytest.raises(wire.ServerError) as e:
        weir.raw().login("app", "pgbouncer")
    assert e.value.level == "FATAL"
    viewer = weir.raw().login("viewer", "pgbouncer")
    assert viewer.query("SHOW POOLS") is not None
    for command in ("PAUSE", "RELOAD", "SHUTDOWN", "KILL app", "DISABLE app", "SET default_pool_size = 1", "RECONNECT", "SUSPEND",
                    "SHOW FDS", "KILL_CLIENT 1", "WAIT_CLOSE", "RESUME", "ENABLE app"):
        with pytest.raises(wire.ServerError) as e:
            viewer.query(command)
        assert e.value.level == "ERROR", command
    assert weir.wire().value("SELECT 1") == "1"


def test_the_console_asks_for_a_password_like_any_database(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    with pytest.raises(wire.ServerError, match="28P01"):
        weir.raw().login("admin", "pgbouncer", "wrong")
    assert weir.raw().login("admin", "pgbouncer", "admin-pw").query("SHOW STATE")


@pytest.mark.parametrize("command", ["NONSENSE", "SHOW NOTHING", "PAUSE nowhere", "KILL_CLIENT 999999", "SET nothing = 1",
                                     "SET default_pool_size = banana", "ENABLE", "DISABLE", "SHOW", "'", '"', "SHOW POOLS x y z",
                                     "KILL pgbouncer", "RESUME app", "\x01\x02", "A" * 5000])
def test_a_bad_command_is_an_error_and_the_console_stays(weir, command):
    c = weir.raw().login("admin", "pgbouncer")
    with pytest.raises(wire.ServerError) as e:
        c.query(command)
    assert e.value.level == "ERROR"
    assert c.query("SHOW VERSION")


def test_pause_waits_for_transactions_and_holds_new_ones(weir):
    busy, other = weir.wire(), weir.wire()
    busy.query("BEGIN; SELECT 1")
    console = weir.raw().login("admin", "pgbouncer")
    console.send(wire.query("PAUSE"))
    other.send(wire.query("SELECT 'held'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    with pytest.raises(TimeoutError):
        console.receive(0.3)
    assert busy.value("SELECT 'goes on'") == "goes on"
    busy.query("COMMIT")
    assert [m.text() for m in console.until("Z") if m.kind == "C"] == ["PAUSE"]
    assert {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["paused"] == "yes"
    with pytest.raises(TimeoutError):
        other.receive(0.2)
    weir.console("RESUME")
    assert other.finish() == [["held"]]


def test_pause_closes_the_servers(weir, cluster):
    weir.wire().query("SELECT 1")
    weir.console("PAUSE")
    wait_until(lambda: not cluster.pids())
    weir.console("RESUME")
    assert weir.wire().value("SELECT 1") == "1"


def test_pause_of_one_database_leaves_the_others(weir):
    weir.console("PAUSE app")
    assert weir.wire(database="app2").value("SELECT 1") == "1"
    held = weir.wire(database="app2")
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    assert {r["name"]: r["paused"] for r in weir.console("SHOW DATABASES")}["app"] == "1"
    weir.console("RESUME app")
    w.authenticate("app", None)
    assert w.value("SELECT 1") == held.value("SELECT 1") == "1"


def test_a_paused_client_is_held_as_long_as_the_pause(make_weir):
    """PgBouncer's PAUSE is for restarts: nobody may be thrown out meanwhile by a login or query that just waits."""
    weir = make_weir(query_wait_timeout=0)
    w = weir.wire()
    w.query("SELECT 1")
    weir.console("PAUSE")
    w.send(wire.query("SELECT 'later'"))
    with pytest.raises(TimeoutError):
        w.receive(1)
    weir.console("RESUME")
    assert w.finish() == [["later"]]


def test_who_waited_during_a_pause_does_not_wait_for_ever_afterwards(make_weir):
    weir = make_weir(default_pool_size=1, query_wait_timeout=1)
    busy, before, after = [weir.wire() for _ in range(3)]
    busy.query("BEGIN; SELECT 1")
    before.send(wire.query("SELECT 1"))
    console = weir.raw().login("admin", "pgbouncer")
    console.send(wire.query("PAUSE"))
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["paused"] == "yes")
    after.send(wire.query("SELECT 1"))
    with pytest.raises(TimeoutError):
        before.receive(1.5)
    weir.console("RESUME")
    for w in (before, after):
        with pytest.raises(TimeoutError):
            w.receive(0.3)  # the pause does not count
    for w in (before, after):
        with pytest.raises(wire.ServerError, match="53300"):
            w.finish()
    busy.query("COMMIT")
    assert before.value("SELECT 'kept'") == after.value("SELECT 'kept'") == "kept"


def test_cancel_on_the_console_ends_a_waiting_pause(weir):
    busy = weir.wire()
    busy.query("BEGIN; SELECT 1")
    console = weir.raw().login("admin", "pgbouncer")
    console.send(wire.query("PAUSE"))
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["paused"] == "yes")
    wire.send_cancel("127.0.0.1", weir.port, console.pid, console.secret)
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["paused"] == "no")
    assert weir.wire().value("SELECT 1") == "1"


def test_reconnect_replaces_servers_without_a_trace_for_clients(make_weir):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    first = w.value("SELECT pg_backend_pid()")
    weir.console("RECONNECT app")
    assert w.value("SELECT pg_backend_pid()") != first
    w.query("BEGIN")
    second = w.value("SELECT pg_backend_pid()")
    weir.console("RECONNECT")
    assert w.value("SELECT pg_backend_pid()") == second, "not inside a transaction"
    w.query("COMMIT")
    assert w.value("SELECT pg_backend_pid()") != second


def test_kill_ends_the_clients_of_a_database_with_57P01(weir, cluster):
    w, other = weir.wire(), weir.wire(database="app2")
    w.query("BEGIN; SELECT 1")
    weir.console("KILL app")
    errors = [m.fields() for m in w.expect_closed() if m.kind == "E"]
    assert [(f["V"], f["C"], f["M"]) for f in errors] \
        == [("FATAL", "57P01", "terminating connection due to administrator command")]
    assert other.value("SELECT 1") == "1"
    wait_until(lambda: not cluster.pids())
    weir.console("RESUME app")
    assert weir.wire().value("SELECT 1") == "1"


def test_kill_client_ends_one_client(weir):
    a, b = weir.wire(application_name="a"), weir.wire(application_name="b")
    victim = next(r["id"] for r in weir.console("SHOW CLIENTS") if r["application_name"] == "a")
    weir.console(f"KILL_CLIENT {victim}")
    assert [m.fields()["C"] for m in a.expect_closed() if m.kind == "E"] == ["57P01"]
    assert b.value("SELECT 1") == "1"


def test_ids_count_up(weir):
    clients = [weir.wire(application_name=f"n{i}") for i in range(10)]
    ids = [int(next(r["id"] for r in weir.console("SHOW CLIENTS") if r["application_name"] == f"n{i}")) for i in range(10)]
    assert ids == sorted(set(ids)) and len(clients) == 10


def test_a_disabled_database_takes_no_new_clients(weir):
    old, idle = weir.wire(), weir.wire()
    old.query("BEGIN")
    weir.console("DISABLE app")
    with pytest.raises(wire.ServerError) as e:
        weir.wire()
    assert e.value.level == "FATAL" and "disabled" in e.value.message
    for i in range(3):  # those that are there go on, with more servers if need be
        assert old.value(f"SELECT {i}") == idle.value(f"SELECT {i}") == str(i)
    old.query("COMMIT")
    weir.console("ENABLE app")
    assert weir.wire().value("SELECT 1") == "1"


def test_suspend_and_resume_lose_nothing(weir):
    w = weir.wire()
    weir.console("SUSPEND")
    weir.console("RESUME")
    assert w.value("SELECT 1") == "1"


def test_wait_close_waits_for_old_servers(make_weir):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    weir.console("RECONNECT app")
    waiter = Worker(weir.console, "WAIT_CLOSE app")
    stays_true(lambda: waiter.is_alive(), 0.3)
    w.query("COMMIT")
    waiter.result(5)


def test_set_changes_an_option_until_the_next_reload(make_weir):
    weir = make_weir(default_pool_size=4)

    def value():
        return next(r["value"] for r in weir.console("SHOW CONFIG") if r["key"] == "default_pool_size")
    for command, expected in (("SET default_pool_size = 2", "2"), ("SET default_pool_size TO '3'", "3")):
        weir.console(command)
        assert value() == expected
    weir.console("RELOAD")
    assert value() == "4"


@pytest.mark.parametrize("command", ["SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"])
def test_shutdown_ends_the_process(weir, command):
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    console = weir.raw().login("admin", "pgbouncer")
    console.send(wire.query(command))
    if command == "SHUTDOWN":
        assert "Z" not in {m.kind for m in console.expect_closed()}, "it closes without answering"
    else:
        assert w.value("SELECT 1") == "1", "a transaction may end"
        w.query("COMMIT")
        console.close()
        if command.endswith("CLIENTS"):
            w.send(wire.terminate())
            w.close()
    assert weir.wait(10) == 0


def test_shutdown_tells_clients_57P01(weir):
    w = weir.wire()
    console = weir.raw().login("admin", "pgbouncer")
    console.send(wire.query("SHUTDOWN"))
    assert [m.fields()["C"] for m in w.expect_closed() if m.kind == "E"] == ["57P01"]
    assert weir.wait() == 0


def test_the_console_is_not_counted_and_not_paused(make_weir):
    weir = make_weir(max_client_conn=3)
    weir.console("PAUSE")
    start = time.monotonic()
    for _ in range(10):
        assert weir.console("SHOW STATE")
    assert time.monotonic() - start < 5
    weir.console("RESUME")


def test_psycopg_sees_console_errors_as_errors(weir):
    c = weir.connect(user="admin", dbname="pgbouncer")
    with pytest.raises(psycopg.Error):
        c.execute("FROBNICATE")
    assert c.execute("SHOW VERSION").fetchone()
    with pytest.raises(psycopg2.Error):
        weir.connect2(user="admin", dbname="pgbouncer").cursor().execute("FROBNICATE")
