# SPDX-License-Identifier: ISC
"""How long each fault of CONTRACT section 4 takes, and whom it hurts, with pgweir's own defaults for checks.

WEIR_CELLS (1): how often each fault happens. The medians of more than one must keep the limits of the contract; a single one
may take SLACK longer. The table comes at the end: pytest -s -p no:xdist test/system/test_figures.py"""
import os
import time

import pytest

from harness import wire
from harness.crowd import Readers
from harness.figures import Figures, Writers
from harness.replicas import primary_of, state_of, wait_nodes_up, wait_reads_spread, wait_state
from harness.wait import Worker, wait_until

CELLS = int(os.environ.get("WEIR_CELLS", "1"))
SLACK = 0.0 if CELLS > 1 else 3.0  # a sanitized build on a busy machine
DEFAULTS = {"check_interval": "500ms", "check_interval_fast": "50ms", "check_timeout": "1s"}
GRANT = "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor"
pytestmark = pytest.mark.deadline(60 + 20 * CELLS)


@pytest.fixture(scope="module")
def figures(request):
    figures = Figures()
    yield figures
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(figures.lines()))


@pytest.fixture
def setting(new_trio, trio_weir):
    """setting(options of the cluster): (trio, pgweir). Whatever a client was told is there survives a failover, unless
    SYNCHRONOUS is False."""
    def make(cluster=None, synchronous=True):
        trio = new_trio(synchronous_standby_names="ANY 1 (*)" if synchronous else "")
        return trio, trio_weir(trio, cluster={**DEFAULTS, **(cluster or {})}, default_pool_size=10)
    return make


def stored(trio):
    return [r[0] for r in trio[trio.primary].sql("SELECT id FROM once")]


class Load:
    """Writers and readers around one fault."""

    def __init__(self, trio, weir):
        self.trio, self.weir = trio, weir
        trio[trio.primary].sql("TRUNCATE once")
        trio.wait_caught_up()
        self.writers, self.readers = Writers(lambda: weir.wire(seconds=30)), Readers(weir)
        self.writers.more()

    def end(self, split=None):
        """SPLIT: when a second primary came; what the first took since is on a timeline that is no more."""
        self.writers.more()
        self.writers.stop()
        assert self.readers.stop() > 0
        new = self.trio[self.trio.primary].name
        self.writers.check(stored(self.trio), {id for at, node, id in self.writers.commits if split and at > split and node != new})


def heal(trio, weir, *nodes):
    """They are replicas of the primary, as if nothing had happened."""
    for i in nodes:
        if trio[i].running():
            trio[i].thaw()
            trio[i].stop()
        trio.rebuild(i)
    wait_nodes_up(weir)
    wait_reads_spread(weir, trio)


# --- the primary

def test_planned_switchover(figures, setting):
    event = "switchover by the console"
    trio, weir = setting()
    with trio[0].connect(dbname="postgres") as c:
        c.execute(GRANT)
    for _ in range(CELLS):
        load, old = Load(trio, weir), trio.primary
        weir.console("SWITCHOVER main")
        trio.primary = trio.index(primary_of(weir))
        trio.follow(({0, 1, 2} - {old, trio.primary}).pop(), trio.primary)
        load.end()
        figures.note(event, "errors of writers", load.writers.errors(), 0)
        figures.note(event, "errors of readers", len(load.readers.errors), 0)
        figures.note(event, "longest stall of a writer", max(load.writers.gaps), 1.0)
        figures.note(event, "longest gap of a reader", max(load.readers.gaps))
        heal(trio, weir, old)
    figures.check(event, SLACK)


def shut_down(trio, i):
    trio[i].stop()


def leave_it_alone(trio, i):
    pass


def kill(trio, i):
    trio.kill(i)


def kill_the_postmaster(trio, i):
    trio.kill_postmaster(i)


# What the old primary acknowledged so long before may not have reached the new one, when nothing waits for replicas.
LAG = 1.0


@pytest.mark.parametrize("event, fault, first, gap", [
    ("killed, promotion from outside", kill, 2.0, 0.25),
    ("postmaster alone killed, promotion", kill_the_postmaster, 2.0, 0.25),
    ("shut down, promotion from outside", shut_down, 2.0, 0.25),
    ("promotion while the old one lives", leave_it_alone, 2.0, None),
], ids=lambda v: getattr(v, "__name__", ""))
def test_another_primary(figures, setting, event, fault, first, gap):
    # The old primary, or what lives on of it, may take the third node so far that it cannot follow the new one.
    split = fault in (leave_it_alone, kill_the_postmaster)
    trio, weir = setting(synchronous=not split)
    for _ in range(CELLS):
        load, old = Load(trio, weir), trio.primary
        began = time.monotonic()
        fault(trio, old)
        heir = trio.fail_over()
        promoted = time.monotonic()
        figures.note(event, "first commit after the fault", load.writers.first_commit(began, trio[heir].name), first)
        figures.note(event, "  of that, after the promotion", time.monotonic() - promoted)
        load.end(began - LAG if split else None)
        figures.note(event, "errors of readers", len(load.readers.errors), 0)
        figures.note(event, "longest gap of a reader", max(load.readers.gaps), gap)
        figures.note(event, "writes of unknown outcome (4 writers)", len(load.writers.unknown))
        heal(trio, weir, *{0, 1, 2} - {heir} if split else {old})
    figures.check(event, SLACK)


def test_a_primary_that_hangs(figures, setting):
    event = "primary hangs, promotion from outside"
    trio, weir = setting()
    for _ in range(CELLS):
        load, old = Load(trio, weir), trio.primary
        began = time.monotonic()
        trio.stop_signal(old)
        wait_until(lambda: state_of(weir, trio[old].name)["state"] == "down", 20)
        figures.note(event, "found after", time.monotonic() - began, 3.0)
        heir = trio.fail_over()
        promoted = time.monotonic()
        load.writers.first_commit(began, trio[heir].name)
        figures.note(event, "first commit after the promotion", time.monotonic() - promoted)
        load.end()
        figures.note(event, "errors of readers", len(load.readers.errors), 0)
        figures.note(event, "longest gap of a reader", max(load.readers.gaps))
        heal(trio, weir, old)
    figures.check(event, SLACK)


def test_a_primary_that_is_back(figures, setting):
    event = "primary crashes and restarts"
    trio, weir = setting()
    for _ in range(CELLS):
        load = Load(trio, weir)
        trio.kill(0)
        wait_state(weir, "pg1", "down")
        trio.restart(0)
        began = time.monotonic()
        figures.note(event, "waiting clients served after it accepts", load.writers.first_commit(began), 0.5)
        load.end()
        figures.note(event, "errors of readers", len(load.readers.errors), 0)
        figures.note(event, "longest gap of a reader", max(load.readers.gaps))
        wait_nodes_up(weir)
    figures.check(event, SLACK)


# --- replicas

@pytest.mark.parametrize("event, fault", [("replica killed", "kill"), ("replica hangs", "stop_signal"),
                                          ("replica restarted", "restart"), ("replica falls behind", "pause_replay")],
                         ids=lambda v: v.replace(" ", "-"))
def test_a_replica(figures, setting, event, fault):
    trio, weir = setting({"balance": "round_robin", "max_lag": "500ms"})
    for _ in range(CELLS):
        load = Load(trio, weir)
        getattr(trio, fault)(1)
        if fault != "restart":
            wait_state(weir, "pg2", "down lagging")
        load.end()
        figures.note(event, "errors of readers", len(load.readers.errors), 0)
        figures.note(event, "errors of writers", load.writers.errors(), 0)
        figures.note(event, "longest gap of a reader", max(load.readers.gaps))
        if fault == "pause_replay":
            trio.resume_replay(1)
        elif fault == "stop_signal":
            trio.cont(1)
        else:
            trio.restart(1)
        wait_nodes_up(weir)
    figures.check(event, SLACK)


def test_pooled_servers_that_are_ended(figures, setting):
    event = "idle servers ended (57P01)"
    trio, weir = setting()
    for _ in range(CELLS):
        load = Load(trio, weir)
        for node in trio.nodes:
            node.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND state = 'idle' "
                     "AND query_start < now() - interval '1s'")
        load.end()
        figures.note(event, "errors", load.writers.errors() + len(load.readers.errors), 0)
        figures.note(event, "longest gap", max(load.writers.gaps + load.readers.gaps))
    figures.check(event, SLACK)


def test_no_room_on_the_server(figures, setting):
    event = "server refuses with 53300"
    trio, weir = setting()
    for _ in range(CELLS):
        trio.sql(0, "ALTER ROLE app CONNECTION LIMIT 2")
        weir.console("RECONNECT")
        load = Load(trio, weir)
        load.end()
        trio.sql(0, "ALTER ROLE app CONNECTION LIMIT -1")
        figures.note(event, "errors", load.writers.errors() + len(load.readers.errors), 0)
        figures.note(event, "longest gap", max(load.writers.gaps + load.readers.gaps))
    figures.check(event, SLACK)


# --- nobody may write

def refused_after(weir, began):
    """How long a write is held until it is refused."""
    with pytest.raises(wire.ServerError) as e:
        weir.finish()
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "57P03")
    return time.monotonic() - began


def test_all_nodes_are_down(figures, setting):
    event = "all nodes down, failover_wait = 1 s"
    trio, weir = setting({"failover_wait": "1s"})
    for _ in range(CELLS):
        clients = [weir.wire(seconds=20) for _ in range(2)]
        clients[1].query("SELECT 1")
        for i in range(3):
            trio.kill(i)
        began = time.monotonic()
        clients[0].send(wire.query("INSERT INTO once VALUES (1)"))
        clients[1].send(wire.query("SELECT 2"))
        for w, what in zip(clients, ("write", "read")):
            figures.note(event, f"{what} is told 57P03 after", refused_after(w, began), 1.5)
        for i in range(3):
            trio[i].process = None
            trio[i].launch()
        for i in range(3):
            wait_until(trio[i]._ready, 30)
        began = time.monotonic()
        write = Worker(clients[0].query, "INSERT INTO once VALUES (2)")
        write.result()
        figures.note(event, "write served after they accept", time.monotonic() - began, 0.5)
        wait_nodes_up(weir)
    figures.check(event, SLACK)


def test_two_primaries_of_one_timeline(figures, setting):
    event = "two of one timeline, failover_wait = 1 s"
    trio, weir = setting({"failover_wait": "1s"}, synchronous=False)
    for _ in range(CELLS):
        w = weir.wire(seconds=20)
        w.query("SELECT 1")
        trio[1].stop()
        trio[1].be_standby(False)
        trio[1].start()
        wait_until(lambda: primary_of(weir) in ("", None))
        began = time.monotonic()
        w.send(wire.query("INSERT INTO once VALUES (1)"))
        figures.note(event, "write is told 57P03 after", refused_after(w, began), 1.5)
        trio[1].stop()
        began = time.monotonic()
        w.query("INSERT INTO once VALUES (2)")
        figures.note(event, "write served after one of them left", time.monotonic() - began, 1.0)
        trio.rebuild(1)
        wait_nodes_up(weir)
    figures.check(event, SLACK)
