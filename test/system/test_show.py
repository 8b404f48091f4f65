# SPDX-License-Identifier: ISC
"""SHOW answers with PgBouncer's columns: names, order, types; and with true figures."""
import pytest

from harness import wire
from harness.wait import run_all, wait_until

OIDS = {"t": 25, "i": 23, "b": 20, "n": 1700, "y": 17}


def typed(text, default=None):
    """'a t, b, c i' as [(name, oid)]: a type stays until the next one."""
    out, kind = [], default
    for word in text.split(","):
        name, *given = word.split()
        kind = given[0] if given else kind
        out.append((name, OIDS[kind]))
    return out


CLIENTS = typed("type t, user, database, replication, state, addr, port i, local_addr t, local_port i, connect_time t, "
                "request_time, wait i, wait_us, close_needed, ptr t, link, remote_pid i, tls t, application_name, "
                "prepared_statements i, id")
SOCKETS = CLIENTS + typed("recv_pos i, pkt_pos, pkt_remain, send_pos, send_remain, pkt_avail, send_avail")
COUNTS = "server_assignment_count, xact_count, query_count"
TIMES = "xact_time, query_time, wait_time"
PARSES = "client_parse_count, server_parse_count, bind_count, client_login_count"


def prefixed(prefix, names):
    return ", ".join(prefix + n.strip() for n in names.split(","))


COLUMNS = {
    "CLIENTS": CLIENTS, "SERVERS": CLIENTS, "SOCKETS": SOCKETS, "ACTIVE_SOCKETS": SOCKETS,
    "POOLS": typed("database t, user, cl_active i, cl_waiting, cl_active_cancel_req, cl_waiting_cancel_req, sv_active, "
                   "sv_active_cancel, sv_being_canceled, sv_idle, sv_used, sv_tested, sv_login, maxwait, maxwait_us, pool_mode t, "
                   "load_balance_hosts"),
    "PEER_POOLS": typed("peer_id i, cl_active_cancel_req, cl_waiting_cancel_req, sv_active_cancel, sv_login"),
    "DATABASES": typed("name t, host, port i, database t, force_user, pool_size i, min_pool_size, reserve_pool_size, "
                       "server_lifetime, pool_mode t, load_balance_hosts, max_connections i, current_connections, "
                       "max_client_connections, current_client_connections, paused, disabled"),
    "USERS": typed("name t, pool_size, reserve_pool_size, pool_mode, max_user_connections i, current_connections, "
                   "max_user_client_connections, current_client_connections"),
    "PEERS": typed("peer_id i, host t, port i, pool_size"),
    "LISTS": typed("list t, items i"),
    "STATS": typed("database t") + typed(", ".join([
        prefixed("total_", f"{COUNTS}, received, sent, {TIMES}, {PARSES}"),
        prefixed("avg_", f"{COUNTS}, recv, sent, {TIMES}, {PARSES}")]), "n"),
    "STATS_TOTALS": typed("database t") + typed(f"{COUNTS}, bytes_received, bytes_sent, {TIMES}, {PARSES}", "n"),
    "STATS_AVERAGES": typed("database t") + typed(f"{COUNTS}, bytes_received, bytes_sent, {TIMES}, " + prefixed("avg_", PARSES), "n"),
    "TOTALS": typed("name t, value n"),
    "CONFIG": typed("key t, value, default, changeable"),
    "MEM": typed("name t, size i, used, free, memtotal"),
    "STATE": typed("key t, value"),
    "DNS_HOSTS": typed("hostname t, ttl b, addrs t"),
    "DNS_ZONES": typed("zonename t, serial b, count i"),
    "VERSION": typed("version t"),
    "FDS": typed("fd i, task t, user, database, addr, port i, cancel b, link i, client_encoding t, std_strings, datestyle, "
                 "timezone, password, scram_client_key y, scram_server_key"),
}


@pytest.fixture(params=["pgweir", "pgbouncer"])
def console(request, module_weir):
    module_weir.wire().query("SELECT 1")
    return module_weir.raw().login("admin", request.param)


def ask(w, request):
    w.send(request)
    return w.until("Z")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_pgbouncers_and_ours_come_after(console, name, protocol):
    sql = f"SHOW {name}"
    messages = ask(console, wire.query(sql) if protocol == "simple" else wire.extended(sql) + wire.sync())
    found = next(m for m in messages if m.kind == "T").columns()
    assert [(n, oid) for n, oid, _ in found][:len(COLUMNS[name])] == COLUMNS[name]
    assert len({n for n, _, _ in found}) == len(found), "no name twice"
    for m in messages:
        if m.kind == "D":
            assert len(m.row()) == len(found)
    assert [m.text() for m in messages if m.kind == "C"] == ["SHOW"]


@pytest.mark.parametrize("name", ["CLIENTS", "POOLS", "DATABASES", "STATS", "LISTS"])
def test_select_and_case_and_semicolon_do_not_matter(console, name):
    kinds = {"".join(m.kind for m in ask(console, wire.query(sql)) if m.kind != "D")
             for sql in (f"SHOW {name}", f"show {name.lower()};", f"  SHOW   {name} ; ", f"SELECT {name}")}
    assert kinds == {"TCZ"}


def test_show_help_is_a_notice(console):
    messages = ask(console, wire.query("SHOW HELP"))
    notice = next(m for m in messages if m.kind == "N").fields()
    assert notice["M"] == "Console usage" and "SHOW" in notice["D"] and "PAUSE" in notice["D"]
    assert "D" not in {m.kind for m in messages}


def test_show_pools_counts_true(make_weir):
    weir = make_weir(default_pool_size=2)
    active = [weir.wire() for _ in range(2)]
    idle = weir.wire()
    waiting = weir.wire()
    for w in active:
        w.query("BEGIN; SELECT 1")
    waiting.send(wire.query("SELECT 1"))
    row = wait_until(lambda: (lambda r: r if r["cl_waiting"] == "1" else None)(weir.pool()))
    assert (row["cl_active"], row["sv_active"], row["sv_idle"]) == ("3", "2", "0"), "an idle client counts as active, as in PgBouncer"
    assert (row["pool_mode"], row["user"]) == ("transaction", "app")
    wait_until(lambda: int(weir.pool()["maxwait"]) + int(weir.pool()["maxwait_us"]) > 0)
    for w in active:
        w.query("COMMIT")
    waiting.finish()
    row = weir.pool()
    assert (row["cl_waiting"], row["sv_active"], row["sv_idle"], row["maxwait"]) == ("0", "0", "2", "0")
    assert idle.value("SELECT 1") == "1"


def test_show_clients_and_servers_point_at_each_other(make_weir):
    weir = make_weir()
    w = weir.wire(application_name="looked at")
    w.query("BEGIN")
    pid = w.value("SELECT pg_backend_pid()")
    client = next(r for r in weir.console("SHOW CLIENTS") if r["database"] == "app")
    server = next(r for r in weir.console("SHOW SERVERS") if r["database"] == "app")
    assert (client["type"], client["state"], client["user"], client["application_name"]) == ("C", "active", "app", "looked at")
    assert (server["type"], server["state"], server["user"], server["remote_pid"]) == ("S", "active", "app", pid)
    assert client["link"] == server["ptr"] and server["link"] == client["ptr"]
    assert client["port"] == str(w.socket.getsockname()[1]) and client["local_port"] == str(weir.port)
    w.query("COMMIT")


def test_stats_are_exact_over_all_workers(make_weir):
    weir = make_weir(workers=4)

    def work():
        w = weir.wire()
        for i in range(25):
            w.query("SELECT 1")
        w.query("BEGIN")
        w.query("SELECT 2")
        w.query("COMMIT")
        for i in range(5):
            w.extended("SELECT $1::int", [i])
    run_all([work] * 8)
    totals = next(r for r in weir.console("SHOW STATS_TOTALS") if r["database"] == "app")
    assert (totals["query_count"], totals["xact_count"]) == (str(8 * 33), str(8 * 31))
    assert totals["client_login_count"] == "8"
    assert int(totals["bytes_received"]) > 8 * 33 * 10 and int(totals["bytes_sent"]) > 8 * 33 * 10
    stats = next(r for r in weir.console("SHOW STATS") if r["database"] == "app")
    assert stats["total_query_count"] == totals["query_count"]


def test_show_totals_has_its_24_rows(console):
    rows = [m.row()[0].decode() for m in ask(console, wire.query("SHOW TOTALS")) if m.kind == "D"]
    names = f"{COUNTS}, client_bytes, server_bytes, {TIMES}, " \
            "ps_client_parse_count, ps_server_parse_count, ps_bind_count, client_login_count"
    assert rows == [n.strip() for p in ("total_", "avg_") for n in prefixed(p, names).split(",")]


def test_show_lists_has_its_rows_in_order(console):
    rows = [m.row()[0].decode() for m in ask(console, wire.query("SHOW LISTS")) if m.kind == "D"]
    assert rows[:14] == ["databases", "users", "peers", "pools", "peer_pools", "free_clients", "used_clients", "login_clients",
                         "free_servers", "used_servers", "dns_names", "dns_zones", "dns_queries", "dns_pending"]


def test_show_config_hides_secrets_and_knows_defaults(make_weir):
    weir = make_weir(default_pool_size=9, databases={"app": {"password": "hush-hush"}})
    rows = {r["key"]: r for r in weir.console("SHOW CONFIG")}
    assert (rows["default_pool_size"]["value"], rows["default_pool_size"]["default"]) == ("9", "20")
    assert (rows["default_pool_size"]["changeable"], rows["listen_port"]["changeable"]) == ("yes", "no")
    for command in ("SHOW CONFIG", "SHOW DATABASES", "SHOW USERS", "SHOW SERVERS", "SHOW CLIENTS"):
        text = str(weir.console(command))
        assert "hush-hush" not in text and "app-pw" not in text, command


def test_show_databases_and_users_tell_limits_and_counts(make_weir, cluster):
    weir = make_weir(databases={"app": {"pool_size": 3, "max_db_connections": 11, "user": "app2"}, "app2": {}},
                     users={"lookup": {"pool_mode": "session", "max_user_connections": 12}})
    w = weir.wire("app")
    w.query("SELECT 1")
    row = next(r for r in weir.console("SHOW DATABASES") if r["name"] == "app")
    assert (row["host"], row["port"], row["database"], row["force_user"]) == ("127.0.0.1", str(cluster.port), "app", "app2")
    assert (row["pool_size"], row["max_connections"], row["current_connections"], row["current_client_connections"]) \
        == ("3", "11", "1", "1")
    user = next(r for r in weir.console("SHOW USERS") if r["name"] == "lookup")
    assert (user["pool_mode"], user["max_user_connections"]) == ("session", "12")


def test_show_where_filters(module_weir):
    w = module_weir.wire()
    assert w
    rows = module_weir.console("SHOW DATABASES WHERE name = 'app2'", database="pgweir")
    assert [r["name"] for r in rows] == ["app2"]


def test_show_limits_tells_what_is_used_up(make_weir):
    weir = make_weir(max_client_conn=50, databases={"app": {"max_db_connections": 7}, "app2": {}},
                     users={"app": {"max_user_client_connections": 9}}, default_pool_size=3)
    clients = [weir.wire() for _ in range(2)]
    clients[0].query("SELECT 1")
    rows = {(r["limit"], r["name"]): (r["used"], r["most"]) for r in weir.console("SHOW LIMITS")}
    assert rows == {("max_client_conn", ""): ("2", "50"), ("pool_size", "app/app"): ("1", "3"),
                    ("max_db_connections", "app"): ("1", "7"), ("max_user_client_connections", "app"): ("2", "9")}
