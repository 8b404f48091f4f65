# SPDX-License-Identifier: ISC
"""pgweir while the system calls below it fail or do less than was asked, as the manuals allow (test/tools/faults.c).

    WEIR_SECONDS=60 WEIR_SEED=7 pytest test/system/test_faults.py        for long, and otherwise"""
import os

import pytest

from harness import talk, wire
from harness.faults import HARMLESS, Faults
from harness.tellers import Tellers
from harness.wait import run_all, wait_until

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))


@pytest.fixture
def faulty(make_weir):
    """faulty(option=value): (pgweir, its faults)"""
    def make(**kwargs):
        weir = make_weir(start=False, **kwargs)
        faults = Faults(weir, SEED)
        return weir.start(), faults
    return make


@pytest.fixture
def told(cluster):
    cluster.sql("DROP TABLE IF EXISTS told; CREATE TABLE told (n int); GRANT ALL ON told TO app, app2")
    return lambda: [r[0] for r in cluster.sql("SELECT n FROM told")]


def wait_quiet(weir, cluster, clients=0):
    """Nobody has a server, and those that pgweir knows of are those there are; CLIENTS are connected."""
    def quiet():
        pools = [p for p in weir.console("SHOW POOLS") if p["database"] == "app"]
        servers = [s for s in weir.console("SHOW SERVERS") if s["database"] == "app"]
        busy = [p for p in pools for what in ("cl_waiting", "sv_active", "sv_login", "sv_used") if p[what] != "0"]
        return not busy and sum(int(p["cl_active"]) for p in pools) == clients and sorted(int(s["remote_pid"]) for s in servers) == cluster.pids()
    try:
        wait_until(quiet, 15)
    except AssertionError:
        raise AssertionError([weir.console(f"SHOW {what}") for what in ("POOLS", "SERVERS", "CLIENTS")] + [cluster.pids()]) from None


@pytest.mark.deadline(60 + 20 * SECONDS)
def test_calls_that_do_less_than_was_asked_change_no_answer(faulty, cluster):
    """The same conversations, said to PostgreSQL and said through pgweir, read the same."""
    turns, seeds = int(20 * SECONDS), [SEED * 1000 + i for i in range(6)]
    wanted = []
    for seed in seeds:
        with wire.Wire("127.0.0.1", cluster.port, 30) as w:
            wanted.append(talk.hold(seed, w.login(), turns))
    weir, faults = faulty(default_pool_size=3)
    faults.often(**{kind: 0.05 for kind in HARMLESS})
    faults.often(recv_short=0.3, send_short=0.3, log_slow=0.001)

    def again(seed, want):
        with weir.wire(seconds=60) as w:
            for a, b in zip(want, talk.hold(seed, w, turns), strict=True):
                assert a == b, (seed, str(a)[:600], str(b)[:600])
    run_all([lambda seed=seed, want=want: again(seed, want) for seed, want in zip(seeds, wanted)], 30 + 20 * SECONDS)
    faults.stop()
    assert all(faults.count(kind) for kind in HARMLESS if not kind.startswith(("log", "accept")))
    wait_quiet(weir, cluster)


HARMFUL = dict(client_reset=0.002, server_reset=0.002, client_epipe=0.002, server_epipe=0.002, client_enobufs=0.002, server_enobufs=0.002,
               connect_refused=0.1, connect_unreachable=0.05, dial_timeout=0.05, socket_emfile=0.05, accept_emfile=0.05,
               accept_aborted=0.05, recv_short=0.05, send_short=0.05, recv_eagain=0.02, send_eagain=0.02, lookup_again=0.2)


@pytest.mark.deadline(120 + 2 * SECONDS)
def test_calls_that_fail_lose_connections_and_nothing_else(faulty, cluster, told):
    weir, faults = faulty(default_pool_size=4, query_wait_timeout=20)
    tellers = Tellers(lambda: weir.raw(40).login(), 12, SEED)
    faults.often(**HARMFUL)
    tellers.run(SECONDS)
    faults.stop()
    assert tellers.errors() and any(faults.count(k) for k in ("client_reset", "server_reset"))
    tellers.run(1)  # those that are still to see an end see it now
    tellers.forget_errors()
    assert all(tellers.run(1)) and tellers.errors() == [], "all is well as soon as the faults are over"
    tellers.close()
    tellers.check(told())
    wait_quiet(weir, cluster)
    assert len(cluster.pids()) <= 4


# --- one at a time

def test_a_client_that_cannot_be_told_is_closed(faulty):
    """Bytes that the system did not take (ENOBUFS) are gone: what comes next would be read as if they had come."""
    weir, faults = faulty()
    w = weir.wire()
    faults.once("client_enobufs")
    w.send(wire.query("SELECT 1"))
    assert w.expect_closed(5) == []
    assert faults.count("client_enobufs") == 1


def test_a_server_that_cannot_be_told_is_closed(faulty, told):
    weir, faults = faulty()
    w = weir.wire()
    w.query("SELECT 1")
    faults.once("server_enobufs")
    assert w.query("SELECT 2") == [["2"]], "a read goes to another one"
    faults.once("server_enobufs")
    with pytest.raises(wire.ServerError, match="08007"):
        w.query("INSERT INTO told VALUES (1)")
    assert faults.count("server_enobufs") == 2 and told() == []


def test_an_interrupted_look_at_an_idle_server_costs_no_server(faulty, cluster):
    """A server that was idle for a while is looked at before it is lent."""
    weir, faults = faulty(workers=1, default_pool_size=1)
    w = weir.wire(seconds=5)
    for nth in range(1, 5):
        w.query("SELECT 1")
        wait_quiet(weir, cluster, 1)
        faults.once("recv_eintr", nth)
        assert w.query("SELECT 2") == [["2"]]
    assert faults.count("recv_eintr") > 1


def test_a_look_at_an_idle_server_that_fails_ends_that_server(faulty, cluster):
    weir, faults = faulty(workers=1, default_pool_size=1)
    w = weir.wire(seconds=5)
    for _ in range(3):
        w.query("SELECT 1")
        wait_quiet(weir, cluster, 1)
        faults.once("server_reset", 1)
        assert w.query("SELECT 2") == [["2"]]
    wait_quiet(weir, cluster, 1)
    assert faults.count("server_reset") == 3
