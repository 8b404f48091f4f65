# SPDX-License-Identifier: ISC
"""The console of a [pgbouncer] file: PgBouncer's columns, types, tags, texts and SQLSTATEs, and nothing else."""
import json
import os

import pytest

from harness import wire
from harness.wait import run_all, stays_true, wait_until
from test_show import COLUMNS

ALL_KEYS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "include", "conf", "pgbouncer_keys.def")


@pytest.fixture(scope="module")
def compat_weir(module_weir_of):
    return module_weir_of(section="pgbouncer", server_login_retry=1)


@pytest.fixture
def console(compat_weir):
    return compat_weir.raw().login("admin", "pgbouncer")


def ask(w, request):
    w.send(request)
    return w.until("Z")


def tag(w, sql):
    messages = ask(w, wire.query(sql))
    return [m.text() for m in messages if m.kind == "C"]


def refused(w, sql):
    error, = [m.fields() for m in ask(w, wire.query(sql)) if m.kind == "E"]
    return error["S"], error["C"], error["M"]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_pgbouncers_and_no_others(compat_weir, console, name, protocol):
    compat_weir.wire().query("SELECT 1")
    sql = f"SHOW {name}"
    messages = ask(console, wire.query(sql) if protocol == "simple" else wire.extended(sql) + wire.sync())
    found = next(m for m in messages if m.kind == "T").columns()
    assert [(n, oid) for n, oid, _ in found] == COLUMNS[name]
    assert {len(m.row()) for m in messages if m.kind == "D"} <= {len(found)}
    assert [m.text() for m in messages if m.kind == "C"] == ["SHOW"]


def test_drivers_see_names_and_types(compat_weir):
    """psycopg reads by the extended protocol when it prepares, psycopg2 by the simple one."""
    for name, columns in COLUMNS.items():
        c = compat_weir.connect(user="admin", dbname="pgbouncer").execute(f"SHOW {name}", prepare=True)
        assert [(d.name, d.type_code) for d in c.description] == columns
        cursor = compat_weir.connect2(user="admin", dbname="pgbouncer").cursor()
        cursor.execute(f"SHOW {name}")
        assert [(d[0], d[1]) for d in cursor.description] == columns


def test_the_login_tells_what_pgbouncer_tells(console):
    assert {k: v for k, v in console.parameters.items()} == {
        "server_version": "1.25.2/bouncer", "client_encoding": "UTF8", "server_encoding": "UTF8", "DateStyle": "ISO",
        "TimeZone": "GMT", "standard_conforming_strings": "on", "is_superuser": "on"}


def test_version_is_pgbouncers(compat_weir):
    assert compat_weir.console("SHOW VERSION") == [{"version": "PgBouncer 1.25.2"}]


@pytest.mark.parametrize("name, value", [("client_encoding", "UTF-8"), ("default_transaction_isolation", "read committed"),
                                         ("standard_conforming_strings", "on"), ("datestyle", "ISO"), ("timezone", "GMT"),
                                         ("extra_float_digits", "2")])
def test_faked_settings(console, name, value):
    messages = ask(console, wire.query(f"SHOW {name}"))
    assert [m.row() for m in messages if m.kind == "D"] == [[value.encode()]]
    messages = ask(console, wire.query(f"SET {name} = 'x'"))
    assert [(m.fields()["M"], m.fields()["C"]) for m in messages if m.kind == "N"] == [("SET ignored", "00000")]
    assert [m.text() for m in messages if m.kind == "C"] == ["SET"]


def test_what_drivers_ask_first(console):
    assert console.value("SELECT 1") == "1"
    assert console.value("SELECT version()") == "PgBouncer 1.25.2"
    assert console.query("SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
                         "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname ~ '^(x)$'") == []


def test_show_config_has_pgbouncers_hundred_rows(compat_weir):
    rows = compat_weir.console("SHOW CONFIG")
    with open(ALL_KEYS) as f:
        keys = [line[4:].split(",")[0] for line in f if line.startswith("KEY(")]
    assert [r["key"] for r in rows] == keys and len(keys) == 100
    by_key = {r["key"]: r for r in rows}
    for key, default, changeable in [("default_pool_size", "20", "yes"), ("listen_port", "6432", "no"), ("auth_user", None, "yes"),
                                     ("pkt_buf", "4096", "no"), ("query_wait_timeout", "120", "yes"), ("verbose", None, "yes"),
                                     ("server_check_query", "<empty>", "yes"), ("unix_socket_mode", "0777", "no"),
                                     ("tcp_defer_accept", "1", "yes"), ("track_extra_parameters", "IntervalStyle", "no")]:
        assert (by_key[key]["default"], by_key[key]["changeable"]) == (default, changeable), key
    assert by_key["conffile"]["value"] == compat_weir.ini
    assert by_key["auth_user"]["value"] is None and by_key["verbose"]["value"] == "0"


@pytest.mark.parametrize("command, message", [
    ("NONSENSE", "invalid command 'NONSENSE', use SHOW HELP;"), ("SHOW NOTHING", "invalid command 'SHOW NOTHING', use SHOW HELP;"),
    ("SET nothing = 1", "SET failed"), ("SET default_pool_size = banana", "SET failed"), ("PAUSE nowhere", "no such database: nowhere"),
    ("RESUME nowhere", "no such database: nowhere"), ("KILL nowhere", "no such database: nowhere"),
    ("DISABLE nowhere", "no such database: nowhere"), ("ENABLE nowhere", "no such database: nowhere"),
    ("RECONNECT nowhere", "no such database: nowhere"), ("WAIT_CLOSE nowhere", "no such database: nowhere"),
    ("DISABLE", "a database is required"), ("ENABLE", "a database is required"), ("PAUSE pgbouncer", "cannot pause admin db: pgbouncer"),
    ("KILL pgbouncer", "cannot kill admin db: pgbouncer"), ("DISABLE pgbouncer", "cannot disable admin db: pgbouncer"),
    ("ENABLE pgbouncer", "cannot enable admin db: pgbouncer"), ("RECONNECT pgbouncer", "cannot reconnect admin db: pgbouncer"),
    ("WAIT_CLOSE pgbouncer", "cannot wait in admin db: pgbouncer"), ("RESUME", "pooler is not paused/suspended"),
    ("RESUME app", "database app is not paused"), ("RESUME pgbouncer", "database pgbouncer is not paused"), ("KILL_CLIENT x", "invalid client pointer supplied"),
    ("KILL_CLIENT", "invalid client pointer supplied"), ("KILL_CLIENT 99999", "client not found")])
def test_errors_have_pgbouncers_words(console, command, message):
    assert refused(console, command) == ("ERROR", "08P01", message)
    assert tag(console, "SHOW STATE") == ["SHOW"], "the console stays"


@pytest.mark.parametrize("command", ["PAUSE", "RELOAD", "SHUTDOWN", "KILL app", "DISABLE app", "SET default_pool_size = 1", "RECONNECT",
                                     "SUSPEND", "SHOW FDS", "KILL_CLIENT 1", "WAIT_CLOSE", "RESUME", "ENABLE app"])
def test_who_may_only_look(compat_weir, command):
    assert refused(compat_weir.raw().login("viewer", "pgbouncer"), command) == ("ERROR", "08P01", "admin access needed")


def test_tags_are_the_words_of_the_command(make_weir):
    weir = make_weir(section="pgbouncer")
    c = weir.raw().login("admin", "pgbouncer")
    victim = weir.wire(application_name="victim")
    client = next(r["id"] for r in weir.console("SHOW CLIENTS") if r["application_name"] == "victim")
    for command, expected in [("PAUSE app", "PAUSE"), ("RESUME app", "RESUME"), ("PAUSE", "PAUSE"), ("RESUME", "RESUME"),
                              ("DISABLE app", "DISABLE"), ("ENABLE app", "ENABLE"), ("RECONNECT", "RECONNECT"),
                              ("WAIT_CLOSE", "WAIT_CLOSE"), ("RELOAD", "RELOAD"), ("SUSPEND", "SUSPEND"), ("RESUME", "RESUME"),
                              ("SET default_pool_size = 3", "SET default_pool_size=3"),
                              ("SET server_check_query TO 'select 2'", "SET server_check_query=select 2"),
                              ("SET listen_port = 1", "SET listen_port=1"), ("SET pkt_buf = 8192", "SET pkt_buf=8192"),
                              (f"KILL_CLIENT {client}", "KILL_CLIENT"), ("KILL app", "KILL"), ("RESUME app", "RESUME")]:
        assert tag(c, command) == [expected], command
    victim.expect_closed()
    config = {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}
    assert config["listen_port"] == str(weir.port) and config["pkt_buf"] == "4096", "what is read at start does not change"
    assert config["server_check_query"] == "select 2"


def test_a_pause_of_all_and_one_of_a_database_are_two_things(make_weir):
    weir = make_weir(section="pgbouncer")
    c = weir.raw().login("admin", "pgbouncer")
    weir.wire().query("SELECT 1")

    def paused():
        return next(r["paused"] for r in weir.console("SHOW DATABASES") if r["name"] == "app")
    tag(c, "PAUSE app")
    assert paused() == "1"
    assert refused(c, "RESUME")[2] == "pooler is not paused/suspended"
    assert refused(c, "SUSPEND")[2] == "cannot suspend with paused databases"
    tag(c, "RESUME app")
    tag(c, "PAUSE")
    assert paused() == "0" and {r["key"]: r["value"] for r in weir.console("SHOW STATE")} \
        == {"active": "no", "paused": "yes", "suspended": "no"}
    for command in ("PAUSE", "PAUSE app", "SUSPEND", "KILL", "KILL app"):
        assert refused(c, command)[2] == "already suspended/paused", command
    assert refused(c, "RESUME app")[2] == "database app is not paused"
    tag(c, "RESUME")
    w = weir.wire()
    tag(c, "KILL")
    w.expect_closed()
    assert paused() == "1" and {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["active"] == "yes"
    tag(c, "RESUME app")


def test_reload_error_is_a_configuration_error(make_weir):
    weir = make_weir(section="pgbouncer")
    c = weir.raw().login("admin", "pgbouncer")
    weir.general["pool_mode"] = "nonsense"
    weir.write()
    assert refused(c, "RELOAD") == ("ERROR", "F0000", "RELOAD failed, see logs for additional details")


def test_reload_forgets_what_was_set_but_for_keys_without_a_default(make_weir):
    weir = make_weir(section="pgbouncer", default_pool_size=7)
    c = weir.raw().login("admin", "pgbouncer")
    for command in ("SET default_pool_size = 3", "SET max_client_conn = 55", "SET auth_user = app", "SET verbose = 1",
                    "SET scram_iterations = 5000"):
        tag(c, command)
    weir.general["listen_backlog"] = 77
    weir.write()
    tag(c, "RELOAD")
    config = {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}
    assert [config[k] for k in ("default_pool_size", "max_client_conn", "auth_user", "verbose", "listen_backlog", "scram_iterations")] \
        == ["7", "100", "app", "1", "128", "4096"]


def test_conffile_names_the_file_of_the_next_reload(make_weir):
    weir = make_weir(section="pgbouncer", default_pool_size=7)
    c = weir.raw().login("admin", "pgbouncer")
    other = weir.ini + ".other"
    with open(weir.ini) as f, open(other, "w") as o:
        o.write(f.read().replace("default_pool_size = 7", "default_pool_size = 8"))
    os.chmod(other, 0o644)
    tag(c, f"SET conffile = '{other}'")
    tag(c, "RELOAD")
    config = {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}
    assert (config["conffile"], config["default_pool_size"]) == (other, "8")
    tag(c, "RELOAD")
    assert {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}["default_pool_size"] == "8"


def test_clients_are_idle_active_or_waiting(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", default_pool_size=1)

    def state(name):
        return next(r["state"] for r in weir.console("SHOW CLIENTS") if r["application_name"] == name)
    a, b = weir.wire(application_name="a"), weir.wire(application_name="b")
    assert state("a") == "idle"
    a.query("BEGIN")
    assert state("a") == "active"
    b.send(wire.query("SELECT 1"))
    wait_until(lambda: state("b") == "waiting")
    sockets = {r["application_name"]: r["state"] for r in weir.console("SHOW SOCKETS") if r["type"] == "C"}
    assert (sockets["a"], sockets["b"]) == ("cl_active", "cl_waiting")
    a.query("COMMIT")
    b.finish()
    assert {r["state"] for r in weir.console("SHOW SOCKETS") if r["type"] == "S"} <= {"sv_idle", "sv_active"}


def test_servers_that_were_idle_for_long_are_used(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", server_check_delay=0.2)
    weir.wire().query("SELECT 1")
    assert wait_until(lambda: weir.pool()["sv_used"] == "1" and weir.pool()["sv_idle"] == "0")
    assert {r["state"] for r in weir.console("SHOW SERVERS")} == {"used"}


def test_the_console_is_a_database_and_a_pool(compat_weir):
    assert next(r for r in compat_weir.console("SHOW DATABASES") if r["name"] == "pgbouncer")["pool_mode"] == "statement"
    pool = next(r for r in compat_weir.console("SHOW POOLS") if r["database"] == "pgbouncer")
    assert (pool["user"], pool["pool_mode"]) == ("pgbouncer", "statement") and int(pool["cl_active"]) >= 1
    before = next(r for r in compat_weir.console("SHOW STATS_TOTALS") if r["database"] == "pgbouncer")
    after = next(r for r in compat_weir.console("SHOW STATS_TOTALS") if r["database"] == "pgbouncer")
    assert int(after["query_count"]) - int(before["query_count"]) == 1
    assert int(after["client_login_count"]) - int(before["client_login_count"]) == 1


def test_unset_sizes_of_users_are_empty(make_weir):
    weir = make_weir(section="pgbouncer", users={"app": {"pool_size": 1}})
    rows = {r["name"]: r["pool_size"] for r in weir.console("SHOW USERS")}
    assert (rows["app"], rows["app2"]) == ("1", "")


def test_suspend_stops_reading_until_resume(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w = weir.wire()
    w.query("BEGIN")
    c = weir.raw().login("admin", "pgbouncer")
    assert tag(c, "SUSPEND") == ["SUSPEND"]
    assert {r["key"]: r["value"] for r in weir.console("SHOW STATE")} == {"active": "no", "paused": "no", "suspended": "yes"}
    w.send(wire.query("SELECT 'even inside a transaction'"))
    with pytest.raises(TimeoutError):
        w.receive(0.3)
    assert tag(c, "RESUME") == ["RESUME"]
    assert w.finish() == [["even inside a transaction"]]
    w.query("COMMIT")


def test_suspend_waits_for_slow_readers_and_then_closes_them(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", suspend_timeout=1)
    slow = weir.wire()
    slow.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 40000)"))
    wait_until(lambda: any(int(r["send_remain"]) > 0 for r in weir.console("SHOW SOCKETS") if r["type"] == "C"))
    c = weir.raw().login("admin", "pgbouncer")
    c.send(wire.query("SUSPEND"))
    with pytest.raises(TimeoutError):
        c.receive(0.4)
    assert [m.text() for m in c.until("Z", 10) if m.kind == "C"] == ["SUSPEND"]
    weir.wait_log("closing because: suspend_timeout")
    tag(c, "RESUME")


def test_a_suspend_that_waits_holds_nobody_after_resume(make_weir):
    """Not even when all is paused right after, which it may take for its own doing."""
    weir = make_weir(suspend_timeout=0)
    slow, w, c, other = weir.wire(), weir.wire(), *[weir.raw().login("admin", "pgbouncer") for _ in range(2)]
    w.query("BEGIN; SELECT 1")
    slow.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 40000)"))
    wait_until(lambda: any(int(r["send_remain"]) > 0 for r in weir.console("SHOW SOCKETS") if r["type"] == "C"))
    c.send(wire.query("SUSPEND"))
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["suspended"] == "yes")
    other.send(wire.query("RESUME"), wire.query("PAUSE"))
    assert [m.text() for m in c.until("Z", 5) if m.kind == "C"] == ["SUSPEND"]
    assert w.value("SELECT 'in a transaction'") == "in a transaction"
    w.query("COMMIT")
    assert len(slow.finish(30)) == 40000
    other.until("Z")
    assert [m.text() for m in other.until("Z", 5) if m.kind == "C"] == ["PAUSE"]


def test_cancel_on_the_console_ends_a_waiting_suspend(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", suspend_timeout=0)
    slow = weir.wire()
    slow.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 40000)"))
    wait_until(lambda: any(int(r["send_remain"]) > 0 for r in weir.console("SHOW SOCKETS") if r["type"] == "C"))
    c = weir.raw().login("admin", "pgbouncer")
    c.send(wire.query("SUSPEND"))
    is_suspended = lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["suspended"] == "yes"  # noqa: E731
    wait_until(is_suspended)
    stays_true(is_suspended, 0.2)
    wire.send_cancel("127.0.0.1", weir.port, c.pid, c.secret)
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["active"] == "yes")
    assert len(slow.finish(30)) == 40000


def test_counts_are_what_clients_did(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", workers=2, default_pool_size=3)
    ready, go_on = [], []

    def work():
        w = weir.wire(application_name="busy")
        for _ in range(50):
            w.query("SELECT 1")
        ready.append(1)
        wait_until(lambda: go_on, 30)
        return w
    run_all([work] * 7 + [lambda: (wait_until(lambda: len(ready) == 7, 30), check(weir), go_on.append(1))])


def check(weir):
    pool = weir.pool()
    assert (pool["cl_active"], pool["cl_waiting"], pool["sv_active"]) == ("7", "0", "0")
    assert sum(r["application_name"] == "busy" for r in weir.console("SHOW CLIENTS")) == 7
    totals = next(r for r in weir.console("SHOW STATS_TOTALS") if r["database"] == "app")
    assert (totals["query_count"], totals["xact_count"], totals["client_login_count"]) == ("350", "350", "7")
    lists = {}
    read = lambda: lists.update({r["list"]: int(r["items"]) for r in weir.console("SHOW LISTS")})  # noqa: E731
    wait_until(lambda: read() or lists["used_clients"] == 8, what="a console that was left is gone from its worker")
    assert lists["used_servers"] == int(pool["sv_idle"])


def test_show_fds_lists_what_has_no_tls(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", workers=2)
    w = weir.wire()
    w.query("SET timezone TO 'Europe/Paris'")
    w.query("BEGIN")
    rows = weir.console("SHOW FDS")
    poolers = [r for r in rows if r["task"] == "pooler"]
    assert sorted(r["addr"] for r in poolers) == ["127.0.0.1", "127.0.0.1", "unix"]
    assert {r["port"] for r in poolers} == {str(weir.port)}
    client, = [r for r in rows if r["task"] == "client"]
    server, = [r for r in rows if r["task"] == "server"]
    assert (client["user"], client["database"], client["timezone"]) == ("app", "app", "Europe/Paris")
    assert client["link"] == server["fd"] and server["link"] == client["fd"]
    fds = set(os.listdir(f"/proc/{weir.process.pid}/fd"))
    assert {r["fd"] for r in rows} <= fds
    assert {r["password"] for r in rows} == {None}
    w.query("COMMIT")


def test_show_mem_counts_objects(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    clients = [weir.wire() for _ in range(5)]
    clients[0].query("SELECT 1")
    rows = {r["name"]: r for r in weir.console("SHOW MEM")}
    assert rows["client"]["used"] == "6" and rows["server"]["used"] == weir.pool()["sv_idle"] == "1"
    assert int(rows["client"]["memtotal"]) == 6 * int(rows["client"]["size"])


def test_where_and_json_work_here_too(compat_weir):
    assert [r["name"] for r in compat_weir.console("SHOW DATABASES WHERE name = 'app'")] == ["app"]
    row, = compat_weir.console("SHOW DATABASES WHERE name = 'app' FORMAT JSON")
    assert json.loads(row["json"])["name"] == "app"
