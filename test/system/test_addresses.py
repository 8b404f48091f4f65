# SPDX-License-Identifier: ISC
"""A node's address that leads to somebody else: to a server of another cluster, or to another node of its own."""
import time

import pytest

from harness import wire
from harness.mangler import Mangler
from harness.replicas import SCHEMA, node_of, wait_nodes_up, wait_reads_spread
from harness.wait import Worker, wait_until


@pytest.fixture
def ways(trio):
    """By name of a node, its address as pgweir knows it; lead(name, to) leads it elsewhere."""
    made = {n.name: Mangler(n.port) for n in trio.nodes}

    def lead(name, to):
        made[name].target_port = to.port
        made[name].reset_all()
    yield {name: {"port": m.port} for name, m in made.items()}, lead
    for m in made.values():
        m.close()


def go_on_writing(weir, end):
    """How many writes were acknowledged."""
    n = 0
    while time.monotonic() < end():
        try:
            with weir.raw(20).login() as w:
                while time.monotonic() < end():
                    w.query("INSERT INTO once VALUES (1)")
                    n += 1
        except wire.ServerError as e:
            assert e.sqlstate in ("57P03", "08007", "40001"), str(e)
        except (wire.Closed, ConnectionError):
            pass
    return n


def test_nothing_is_written_to_another_cluster_at_the_address_of_the_primary(trio, ways, trio_weir, new_cluster):
    nodes, lead = ways
    stranger = new_cluster(copied=False).start()
    stranger.sql(SCHEMA)
    weir = trio_weir(trio, nodes, cluster={"failover_wait": "1s", "check_interval": "500ms"}, warm=False)
    before, stop = trio.value("SELECT count(*) FROM once"), [time.monotonic() + 30]
    writers = [Worker(go_on_writing, weir, lambda: stop[0]) for _ in range(6)]
    for _ in range(10):
        lead("pg1", stranger)
        wait_until(lambda: next(r for r in weir.console("SHOW NODES") if r["node"] == "pg1")["state"] != "up", 10)
        lead("pg1", trio[0])
        wait_nodes_up(weir)
        n = trio.value("SELECT count(*) FROM once")
        wait_until(lambda: trio.value("SELECT count(*) FROM once") > n, 10, "writes go on")
    stop[0] = 0
    acknowledged = sum(w.result() for w in writers)
    assert stranger.value("SELECT count(*) FROM once") == 0
    assert trio.value("SELECT count(*) FROM once") - before >= acknowledged


def test_who_may_not_ask_who_a_server_is_uses_it(trio, trio_weir):
    trio.sql(0, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_control_system() TO monitor")
    try:
        weir = trio_weir(trio)
        wait_reads_spread(weir, trio)
        weir.wire().query("INSERT INTO once VALUES (1)")
    finally:
        trio.sql(0, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


def test_a_server_that_is_behind_what_its_node_has_had_serves_no_read(trio, ways, trio_weir):
    nodes, lead = ways
    trio.pause_replay(1)
    weir = trio_weir(trio, nodes, cluster={"check_interval": "1h", "max_lag": "1h", "balance": "round_robin"}, warm=False)
    w = weir.wire(seconds=20)
    w.query("UPDATE register SET v = v + 1 WHERE k = 3")
    value = w.value("SELECT v FROM register WHERE k = 3")
    trio.wait_caught_up(2)
    wait_until(lambda: node_of(w) == "pg3", 20)
    lead("pg3", trio[1])
    assert {w.value("SELECT v FROM register WHERE k = 3") for _ in range(20)} == {value}
    lead("pg3", trio[2])
    wait_until(lambda: node_of(w) == "pg3", 20)
