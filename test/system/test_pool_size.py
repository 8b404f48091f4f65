# SPDX-License-Identifier: ISC
"""How many servers there are: exact over all workers, fair to those who wait."""
import time

import pytest

from harness import wire
from harness.wait import Worker, run_all, stays_true, wait_until


def hammer(weir, clients, seconds, sql="SELECT pg_sleep(0.001)", user="app"):
    """CLIENTS threads of short queries; how many each one got through."""
    end = time.monotonic() + seconds

    def one():
        w, count = weir.wire(user), 0
        while time.monotonic() < end:
            w.query(sql)
            count += 1
        return count
    return [Worker(one) for _ in range(clients)]


def most(cluster, workers, **who):
    """The largest number of back ends seen while WORKERS ran."""
    high = 0
    while any(w.is_alive() for w in workers):
        high = max(high, len(cluster.pids(**who)))
    return high


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_pool_size_is_exact_over_all_workers(make_weir, cluster, workers):
    weir = make_weir(workers=workers, default_pool_size=5)
    threads = hammer(weir, 40, 1.5)
    assert most(cluster, threads) == 5
    assert min(t.result() for t in threads) > 0


def test_a_pool_of_one_is_fair_between_workers(make_weir):
    weir = make_weir(workers=2, default_pool_size=1)
    counts = [t.result() for t in hammer(weir, 12, 2, "SELECT 1")]
    assert min(counts) * 4 >= max(counts), f"somebody is left behind: {sorted(counts)}"


def test_waiters_are_served_first_come_first_served(make_weir):
    weir = make_weir(default_pool_size=1, workers=1)  # between workers a millisecond's difference does not count
    holder = weir.wire()
    holder.query("BEGIN; SELECT 1")
    waiting = []
    for i in range(8):
        w = weir.wire()
        w.send(wire.query("SELECT clock_timestamp()::text, pg_sleep(0.01)"))
        wait_until(lambda: weir.pool()["cl_waiting"] == str(i + 1))
        waiting.append(w)
    holder.query("COMMIT")
    times = [w.finish()[0][0] for w in waiting]
    assert times == sorted(times)


def test_pool_size_of_database_and_user_beat_the_default(make_weir, cluster):
    weir = make_weir(default_pool_size=20, databases={"app": {"pool_size": 3}}, users={"app2": {"pool_size": 2}})
    threads = hammer(weir, 15, 1)
    assert most(cluster, threads) == 3
    threads = hammer(weir, 15, 1, user="app2")
    assert most(cluster, threads, user="app2") == 2


@pytest.mark.parametrize("option", ["max_db_connections", "max_user_connections"])
def test_limits_over_several_pools_hold(make_weir, cluster, option):
    weir = make_weir(default_pool_size=5, **{option: 4})
    other = {"max_db_connections": ("app2", "app"), "max_user_connections": ("app", "app2")}[option]
    end = time.monotonic() + 2

    def one(user, database):
        w, count = weir.wire(user, database), 0
        while time.monotonic() < end:
            w.query("SELECT pg_sleep(0.001)")
            count += 1
        return count
    threads = [Worker(one, *who) for who in [("app", "app"), other] * 10]
    both = "SELECT count(*) FROM pg_stat_activity WHERE (usename, datname) IN (('app', 'app'), (%s, %s))"
    high = 0
    while any(t.is_alive() for t in threads):
        high = max(high, cluster.value(both, other))
    assert high == 4
    counts = [t.result() for t in threads]
    assert sum(counts[0::2]) > 0 and sum(counts[1::2]) > 0, "no pool starves the other"


def test_a_full_limit_evicts_an_idle_server_of_another_pool(make_weir, cluster):
    weir = make_weir(default_pool_size=5, max_db_connections=1)
    for _ in range(3):
        assert weir.wire("app").value("SELECT current_user") == "app"
        assert weir.wire("app2").value("SELECT current_user") == "app2"


def test_min_pool_size_keeps_servers_ready(make_weir, cluster):
    weir = make_weir(min_pool_size=3, default_pool_size=10)
    w = weir.wire()
    w.query("SELECT 1")
    wait_until(lambda: len(cluster.pids()) == 3, 15)
    cluster.terminate(cluster.pids()[0])
    wait_until(lambda: len(cluster.pids()) == 3, 15, "a lost server replaced")


def test_the_reserve_opens_after_its_timeout_only(make_weir, cluster):
    weir = make_weir(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    holder, waiter, third = weir.wire(), weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    start = time.monotonic()
    waiter.query("BEGIN; SELECT 1")
    assert 0.8 <= time.monotonic() - start < 5
    third.send(wire.query("SELECT 1"))
    stays_true(lambda: len(cluster.pids()) <= 2, 1.5, "pool and reserve bound the servers")
    holder.query("COMMIT")
    assert third.finish() == [["1"]]


def test_server_lifetime_replaces_old_servers(make_weir, cluster):
    weir = make_weir(server_lifetime=1, default_pool_size=1)
    w = weir.wire()
    first = w.value("SELECT pg_backend_pid()")
    wait_until(lambda: w.value("SELECT pg_backend_pid()") != first, 10)


def test_server_lifetime_spares_a_transaction(make_weir, cluster):
    weir = make_weir(server_lifetime="200ms", default_pool_size=1)
    w = weir.wire()
    w.query("BEGIN")
    first = w.value("SELECT pg_backend_pid()")
    w.query("SELECT pg_sleep(1)")
    assert w.value("SELECT pg_backend_pid()") == first
    w.query("COMMIT")


def test_server_lifetime_of_zero_uses_each_server_once(make_weir):
    weir = make_weir(server_lifetime=0, default_pool_size=1)
    w = weir.wire()
    assert len({w.value("SELECT pg_backend_pid()") for _ in range(4)}) == 4


def test_idle_servers_are_closed(make_weir, cluster):
    weir = make_weir(server_idle_timeout=1)
    clients = [weir.wire() for _ in range(3)]
    run_all([lambda c=c: c.query("SELECT pg_sleep(0.1)") for c in clients])
    assert cluster.pids()
    wait_until(lambda: not cluster.pids(), 10)
    assert clients[0].value("SELECT 'back'") == "back"


def test_a_crowd_at_once_gets_its_servers_quickly(make_weir):
    weir = make_weir(default_pool_size=20)
    clients = [weir.wire() for _ in range(20)]
    start = time.monotonic()
    run_all([lambda c=c: c.query("SELECT pg_sleep(0.3)") for c in clients])
    assert time.monotonic() - start < 4, "servers are opened side by side, not one after another"


def test_nothing_is_opened_that_nobody_asked_for(make_weir, cluster):
    weir = make_weir(default_pool_size=20)
    w = weir.wire()
    for _ in range(50):
        w.query("SELECT 1")
    assert len(cluster.pids()) == 1
