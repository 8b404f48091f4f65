# SPDX-License-Identifier: ISC
"""Clusters of nodes on the console: what pgweir knows of them, and what an operator can tell it."""
import re
import time

import pytest

from harness import wire
from harness.replicas import node_of, state_of, wait_nodes_up, wait_state
from harness.wait import stays_true, wait_until

NODES = "cluster node host port role state reason timeline lsn lag_bytes lag_ms rtt_us weight zone servers".split()
CLUSTERS = "cluster primary reign consistency balance max_lag_ms nodes up reign_s switching".split()
EVENTS = "time cluster node event".split()
LSN = re.compile(r"^[0-9A-F]+/[0-9A-F]+$")


@pytest.fixture
def weir(trio, trio_weir):
    return trio_weir(trio, cluster={"balance": "round_robin"})


@pytest.fixture
def calm_weir(trio, module_trio_weir):
    """For tests that only look."""
    wait_nodes_up(module_trio_weir)
    return module_trio_weir


def nodes_read(weir, count=30):
    """Names of the nodes that COUNT reads went to."""
    w = weir.wire()
    found = {node_of(w) for _ in range(count)}
    w.close()
    return found


def lag(weir, node, what):
    """-1 when it is not known."""
    value = state_of(weir, node)[what]
    return -1 if value is None else int(value)


# --- SHOW

def test_show_nodes_tells_roles_positions_and_lag(calm_weir, trio):
    rows = calm_weir.console("SHOW NODES")
    assert [list(r) for r in rows] == [NODES] * 3
    assert [(r["cluster"], r["node"], r["host"], r["port"]) for r in rows] \
        == [("main", n.name, "127.0.0.1", str(n.port)) for n in trio.nodes]
    assert [(r["role"], r["state"], r["timeline"], r["weight"]) for r in rows] \
        == [("primary", "up", "1", "1"), ("replica", "up", "1", "1"), ("replica", "up", "1", "1")]
    assert all(LSN.match(r["lsn"]) and not r["reason"] for r in rows)
    wait_until(lambda: all(lag(calm_weir, n, what) >= 0 for n in ("pg2", "pg3") for what in ("lag_bytes", "lag_ms")))
    wait_until(lambda: all(int(r["rtt_us"] or 0) > 0 for r in calm_weir.console("SHOW NODES")))
    assert [r["node"] for r in calm_weir.console("SHOW NODES WHERE role = primary")] == ["pg1"]


def test_show_nodes_counts_the_servers_of_each_node(calm_weir):
    holders = [calm_weir.wire() for _ in range(3)]
    for w in holders:
        w.query("BEGIN; SELECT 1")
    assert int(state_of(calm_weir, "pg1")["servers"]) >= 3
    nodes_read(calm_weir)
    assert int(state_of(calm_weir, "pg2")["servers"]) >= 1


def test_show_nodes_sees_lag(weir, trio):
    trio.pause_replay(1)
    trio.sql(0, "INSERT INTO notes SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i")
    wait_until(lambda: lag(weir, "pg2", "lag_bytes") > 100_000)
    wait_until(lambda: lag(weir, "pg2", "lag_ms") > 300)
    wait_until(lambda: 0 <= lag(weir, "pg3", "lag_bytes") < 10_000)
    trio.resume_replay(1)
    wait_until(lambda: 0 <= lag(weir, "pg2", "lag_bytes") < 10_000)


def test_lag_stays_zero_while_the_primary_is_idle(calm_weir, trio):
    """The replicas' own clocks would say that they fall ever further behind."""
    trio.wait_caught_up()
    wait_until(lambda: all(r["lag_ms"] == "0" for r in calm_weir.console("SHOW NODES")[1:]))
    for _ in range(10):
        assert all(lag(calm_weir, n, "lag_ms") < 300 for n in ("pg2", "pg3"))


def test_show_clusters(calm_weir):
    [row] = calm_weir.console("SHOW CLUSTERS")
    assert list(row) == CLUSTERS
    assert (row["cluster"], row["primary"], row["consistency"], row["balance"]) == ("main", "pg1", "session", "round_robin")
    assert (row["max_lag_ms"], row["nodes"], row["up"]) == ("10000", "3", "3")
    assert int(row["reign"]) > 0 and int(row["reign_s"]) >= 0 and row["switching"] == "no"


def test_show_events_keeps_what_happened(weir, trio):
    trio.kill(2)
    wait_state(weir, "pg3", "down")
    trio.restart(2)
    wait_nodes_up(weir)
    rows = weir.console("SHOW EVENTS")
    assert all(list(r) == EVENTS for r in rows)
    assert sum(r["node"] == "pg3" and r["cluster"] == "main" for r in rows) >= 2, "it went and it came back"
    assert [r["time"] for r in rows] == sorted(r["time"] for r in rows)


def test_a_node_that_is_down_says_why(weir, trio):
    trio.kill(2)
    wait_state(weir, "pg3", "down")
    assert state_of(weir, "pg3")["reason"]
    assert weir.console("SHOW CLUSTERS")[0]["up"] == "2"


# --- coming back

def test_a_node_comes_back_after_as_many_good_checks_as_asked_for(trio, trio_weir):
    weir = trio_weir(trio, cluster={"healthy_threshold": 25, "check_interval_fast": "50ms"}, warm=False)
    trio.kill(2)
    wait_state(weir, "pg3", "down")
    trio.restart(2)
    stays_true(lambda: state_of(weir, "pg3")["state"] == "down", 0.9)
    wait_state(weir, "pg3", "up")


@pytest.mark.parametrize("balance", ["least_conn", "round_robin"])
def test_a_replica_that_comes_back_starts_slowly(trio, trio_weir, balance):
    weir = trio_weir(trio, cluster={"balance": balance, "slow_start": "6s", "consistency": "eventual"})
    trio.kill(2)
    wait_state(weir, "pg3", "down")
    trio.restart(2)
    wait_state(weir, "pg3", "up")
    w = weir.wire()

    def share():
        found = [node_of(w) for _ in range(60)]
        return found.count("pg3") / (found.count("pg2") + found.count("pg3"))
    first = share()
    wait_until(lambda: share() > 0.35, 20)
    assert first < 0.3


# --- BAN, UNBAN, DRAIN

def test_a_banned_replica_serves_nobody_until_it_is_unbanned(weir):
    weir.console("BAN pg2")
    assert state_of(weir, "pg2")["state"] == "banned"
    wait_until(lambda: nodes_read(weir) == {"pg3"})
    stays_true(lambda: nodes_read(weir) == {"pg3"}, 0.2)
    weir.console("UNBAN pg2")
    wait_state(weir, "pg2", "up")
    wait_until(lambda: "pg2" in nodes_read(weir))
    assert any(r["node"] == "pg2" for r in weir.console("SHOW EVENTS"))


def test_with_all_replicas_banned_the_primary_reads(weir):
    weir.console("BAN pg2")
    weir.console("BAN pg3")
    wait_until(lambda: nodes_read(weir) == {"pg1"})
    w = weir.wire()
    node_of(w)
    assert w.value("SHOW pgweir.last_route_reason") == "no replica is up"


def test_a_draining_replica_finishes_its_transactions_and_takes_no_new_ones(weir):
    w = weir.wire()
    w.query("BEGIN READ ONLY")
    node = node_of(w)
    weir.console(f"DRAIN {node}")
    assert state_of(weir, node)["state"] == "draining"
    wait_until(lambda: node not in nodes_read(weir))
    assert node_of(w) == node
    w.query("COMMIT")
    assert node_of(w) != node


@pytest.mark.parametrize("command", ["BAN pg1", "DRAIN pg1"])
def test_no_order_stays_in_a_process_that_no_operator_reaches(trio, trio_weir, command):
    """UNBAN and UNDRAIN go to the process that took over: what the old one holds goes on."""
    weir = trio_weir(trio)
    console, waiting = weir.raw().login("admin", "pgbouncer"), weir.wire(seconds=20)
    console.query(command)
    waiting.send(wire.query("INSERT INTO once VALUES (1) RETURNING node"))
    wait_until(lambda: any(r["state"] == "waiting" for r in weir.console("SHOW CLIENTS")), 5, "held")
    old = weir.take_over()
    assert waiting.finish() == [["pg1"]]
    assert old.wait(10) == 0
    assert weir.wire().value("INSERT INTO once VALUES (2) RETURNING node") == "pg1"


def test_an_order_is_answered_when_every_worker_has_heard_of_it(trio, trio_weir):
    weir = trio_weir(trio, workers=8, warm=False)
    console, clients = weir.raw().login("admin", "pgbouncer"), [weir.wire(seconds=20) for _ in range(24)]
    for word in ["BAN", "DRAIN"] * 5:
        console.query(f"{word} pg1")
        for w in clients:
            w.send(wire.query("INSERT INTO once VALUES (1) RETURNING node"))
        wait_until(lambda: sum(r["state"] == "waiting" for r in weir.console("SHOW CLIENTS")) == len(clients), 5, "all held")
        console.query(f"UN{word} pg1")
        assert {w.finish()[0][0] for w in clients} == {"pg1"}


@pytest.mark.parametrize("command", ["BAN nowhere", "UNBAN nowhere", "BAN", "DRAIN nowhere", "UNBAN main"])
def test_an_order_that_makes_no_sense_is_an_error(calm_weir, command):
    with pytest.raises(wire.ServerError) as e:
        calm_weir.console(command)
    assert e.value.level == "ERROR"
    assert {r["state"] for r in calm_weir.console("SHOW NODES")} == {"up"}


def test_orders_need_the_admin_role(calm_weir):
    for command in ("BAN pg2", "UNBAN pg2", "DRAIN pg2"):
        with pytest.raises(wire.ServerError):
            calm_weir.console(command, user="viewer")
    assert len(calm_weir.console("SHOW NODES", user="viewer")) == 3
    assert calm_weir.console("SHOW CLUSTERS", user="viewer") and calm_weir.console("SHOW EVENTS", user="viewer") is not None


# --- configuration

def test_a_reload_adds_and_forgets_nodes(trio, trio_weir):
    weir = trio_weir(trio, cluster={"balance": "round_robin"})
    third = weir.nodes.pop("pg3")
    weir.reload()
    wait_until(lambda: [r["node"] for r in weir.console("SHOW NODES")] == ["pg1", "pg2"])
    assert nodes_read(weir) == {"pg2"}
    weir.nodes["pg3"] = third
    weir.reload()
    wait_nodes_up(weir)
    wait_until(lambda: nodes_read(weir) == {"pg2", "pg3"})


def test_pools_that_nobody_needs_are_forgotten(trio, trio_weir):
    """Those of clients that left after pool_idle_timeout, those of a database that a reload took out soon."""
    weir = trio_weir(trio, databases={"app": {"cluster": "main"}, "app2": {"cluster": "main"}}, pool_idle_timeout="1s",
                     server_idle_timeout="1s")
    clients = [weir.wire(user=user, database="app2") for user in ("app", "app2")]
    for w in clients:
        w.query("CREATE TEMP TABLE a (i int)")
        w.query("DISCARD ALL")
        wait_until(lambda: node_of(w) != "pg1")
    clients[0].close()
    wait_until(lambda: weir.pool("app2", "app") is None, 20)
    stays_true(lambda: weir.pool("app2", "app2"), 2)
    assert node_of(weir.wire(user="app", database="app2"))
    del weir.databases["app2"]
    weir.reload(pool_idle_timeout=0)
    for w in [*clients, *weir._open]:
        w.close()
    wait_until(lambda: weir.pool("app2", "app2") is None and weir.pool("app2", "app") is None, 20)
    assert weir.wire().value("SELECT 'served'") == "served"


def test_several_hosts_of_a_database_are_a_cluster(trio, make_lone_weir):
    ports = ",".join(str(n.port) for n in trio.nodes)
    weir = make_lone_weir(databases={"app": {"host": "127.0.0.1,127.0.0.1,127.0.0.1", "port": ports}},
                          auth_user="monitor")
    rows = wait_nodes_up(weir)
    assert sorted(r["role"] for r in rows) == ["primary", "replica", "replica"]
    w = weir.wire()
    assert w.value("INSERT INTO notes VALUES (1, 'x') RETURNING current_setting('cluster_name')") == "pg1"
    other = weir.wire()
    wait_until(lambda: node_of(other) in ("pg2", "pg3"))


def test_a_node_that_is_down_at_the_start_hinders_nobody(trio, trio_weir):
    trio.kill(2)
    weir = trio_weir(trio, wait=False)
    w = weir.wire()
    assert w.value("INSERT INTO notes VALUES (1, 'x') RETURNING current_setting('cluster_name')") == "pg1"
    wait_state(weir, "pg3", "down")
    trio.restart(2)
    wait_nodes_up(weir)


def test_clients_that_come_before_the_nodes_are_known_are_served(trio, trio_weir):
    weir = trio_weir(trio, wait=False)
    w = weir.wire()
    assert w.value("SELECT 1") == "1"
    assert w.value("INSERT INTO notes VALUES (1, 'x') RETURNING current_setting('cluster_name')") == "pg1"


def test_a_server_of_another_system_is_no_member(trio, trio_weir, new_cluster):
    """Routing to it would show other data, and electing it would be worse."""
    weir = trio_weir(trio)
    stranger = new_cluster(copied=False).start()
    weir.nodes["stranger"] = {"cluster": "main", "host": "127.0.0.1", "port": stranger.port}
    weir.reload()
    wait_until(lambda: state_of(weir, "stranger")["state"] != "up" and state_of(weir, "stranger")["reason"])
    assert weir.console("SHOW CLUSTERS")[0]["primary"] == "pg1"
    assert state_of(weir, "pg1")["state"] == "up"
    assert nodes_read(weir) <= {"pg2", "pg3"}


def test_checks_hold_the_certificate_against_the_name_in_the_configuration(new_trio, trio_weir, certs):
    """Not against the address that it was found at; the catalog's reader does the same."""
    trio, named = new_trio(), certs.leaf("named", "localhost", "DNS:localhost")
    for node in trio.nodes:
        node.set(ssl_cert_file=named[0], ssl_key_file=named[1])
    options = {"server_tls_sslmode": "verify-full", "server_tls_ca_file": certs.ca}
    weir = trio_weir(trio, nodes={n.name: {"host": "localhost"} for n in trio.nodes}, **options)
    w = weir.wire()
    wait_until(lambda: w.value("SELECT twice(2)") == "4" and w.value("SHOW pgweir.last_node") != "pg1")
    wrong = trio_weir(trio, wait=False, **options)
    wait_until(lambda: "certificate" in (state_of(wrong, "pg1")["reason"] or ""))
    assert state_of(wrong, "pg1")["state"] == "down"


def test_wal_that_waits_for_a_commit_makes_no_replica_lag(trio, trio_weir):
    """PostgreSQL sends what it has flushed: not yet the end of what an open transaction wrote."""
    primary, weir = trio.nodes[trio.primary], trio_weir(trio, cluster={"max_lag": "1s"})
    primary.sql("CREATE TABLE slow (n int)")
    with primary.connect(dbname="app") as c:
        def is_left():
            c.execute("INSERT INTO slow VALUES (1)")
            time.sleep(0.5) # the background writer may have it flushed, once in 15 s
            return c.execute("SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()").fetchone()[0]
        c.execute("BEGIN")
        wait_until(is_left)
        stays_true(lambda: all(r["state"] == "up" for r in weir.console("SHOW NODES")), 2.5)
        c.execute("DROP TABLE slow; COMMIT")
