# SPDX-License-Identifier: ISC
"""Pools that nobody uses cost nothing: neither while all is quiet nor for those who use another."""
import os

from harness import wire
from harness.wait import wait_until

POOLS = 2000


def cpu_ms(weir):
    """What all threads have used."""
    total = 0
    for task in os.listdir(f"/proc/{weir.process.pid}/task"):
        with open(f"/proc/{weir.process.pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e6


def make(make_weir, n):
    """A pgweir with N pools, made by clients that left before they got a server."""
    names = [f"d{i}" for i in range(n)]
    weir = make_weir(databases={"app": {"pool_size": 1}, **{name: {"dbname": "app"} for name in names}}, workers=1,
                     log_connections=0, log_disconnections=0)
    weir.console("PAUSE")
    for some in range(0, n, 200):
        clients = [weir.raw() for _ in names[some:some + 200]]
        for client, name in zip(clients, names[some:]):
            client.send(wire.startup(user="app", database=name))
        wait_until(lambda: len(weir.console("SHOW POOLS")) == min(some + 200, n), 20)
        for client in clients:
            client.close()
        weir._open.clear()
    weir.console("RESUME")
    return weir


def idle_cost(weir, seconds=3):
    w = weir.wire()
    w.query("SELECT 1")
    before = cpu_ms(weir)
    w.value(f"SELECT pg_sleep({seconds})", seconds + 5)
    return cpu_ms(weir) - before


def query_cost(weir, n=4000):
    w = weir.wire()
    w.query("SELECT 1")
    before = cpu_ms(weir)
    batch = wire.query("SELECT 1") * 50
    for _ in range(n // 50):
        w.send(batch)
        for _ in range(50):
            w.until("Z")
    return cpu_ms(weir) - before


def waiting_cost(weir, seconds=3):
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 'at last'"))
    before = cpu_ms(weir)
    holder.value(f"SELECT pg_sleep({seconds})", seconds + 5)
    cost = cpu_ms(weir) - before
    holder.query("COMMIT")
    assert waiter.finish() == [["at last"]]
    return cost


def test_two_thousand_pools_cost_nothing(make_weir):
    few, many = make(make_weir, 1), make(make_weir, POOLS)
    for name, cost, most in [("idle", idle_cost, 20), ("busy", query_cost, 50), ("waiting", waiting_cost, 50)]:
        costs = cost(few), cost(many)
        print(f"{name}: {costs} ms of CPU")
        assert costs[1] <= costs[0] * 1.5 + most, name
