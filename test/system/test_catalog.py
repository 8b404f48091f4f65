# SPDX-License-Identifier: ISC
"""When pgweir reads the catalog of a cluster's database again, and when it does not."""
import pytest

from harness.replicas import WHERE, node_of
from harness.wait import wait_until

REPLICAS = {"pg2", "pg3"}
SOON = 6  # seconds: less than pgweir waits before it looks of its own accord


@pytest.fixture
def made(new_trio, trio_weir):
    trio = new_trio()
    trio.sql(0, "SELECT pg_stat_force_next_flush()")  # that its tables were made is counted
    return trio, trio_weir(trio, cluster={"check_timeout": "10s"})  # a new reign is reason enough to read it again


def define(volatility):
    return f"CREATE OR REPLACE FUNCTION f() RETURNS text {volatility} LANGUAGE sql AS $$SELECT {WHERE}$$"


def runs_on(weir):
    return weir.wire().value("SELECT f()")


def test_what_a_client_changes_is_seen_at_once(made):
    """Also what was judged before, by the same text."""
    trio, weir = made
    w = weir.wire()
    w.query(define("STABLE"))
    wait_until(lambda: runs_on(weir) in REPLICAS, SOON)
    w.query("BEGIN")
    w.query(define("VOLATILE"))
    w.query("COMMIT")
    wait_until(lambda: runs_on(weir) == "pg1", SOON)
    w.extended("ALTER FUNCTION f() STABLE", [])
    wait_until(lambda: runs_on(weir) in REPLICAS, SOON)
    w.query("DROP FUNCTION f()")


def scans(trio):
    """How often the tables that the catalog is read from were read from end to end, and connections were made for that."""
    return trio[0].sql("SELECT sum(seq_scan), (SELECT sessions FROM pg_stat_database WHERE datname = 'app') "
                       "FROM pg_stat_sys_tables WHERE relname IN ('pg_rewrite', 'pg_policy')")[0]


def test_a_catalog_that_did_not_change_is_not_read_again(made):
    trio, weir = made
    assert node_of(weir.wire()) in REPLICAS, "it was read"
    wait_until(lambda: trio[0].pids("monitor") == [])
    before = scans(trio)
    looked = wait_until(lambda: (now := scans(trio))[1] > before[1] and now, 25, "another look", step=0.1)
    assert looked[0] == before[0]
    trio.sql(0, define("STABLE"))
    wait_until(lambda: runs_on(weir) in REPLICAS, 25, "what did not come through pgweir is seen too", step=0.1)


@pytest.mark.deadline(90)
def test_the_catalog_of_a_database_that_nobody_uses_is_forgotten(trio, trio_weir):
    """One that no line of its own names: there may be any number of them."""
    weir = trio_weir(trio, databases={"*": {"cluster": "main"}}, warm=False)
    for _ in range(2):
        w = weir.wire(seconds=20)
        wait_until(lambda: w.value(f"SELECT {WHERE} FROM notes LIMIT 1") in REPLICAS)
        seen = weir.log().count("database=app nobody uses it")
        w.close()
        wait_until(lambda: weir.log().count("database=app nobody uses it") > seen, 40, step=0.1)
