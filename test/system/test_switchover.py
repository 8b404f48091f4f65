# SPDX-License-Identifier: ISC
"""SWITCHOVER on the console: CONTRACT section 4, row planned switchover."""
import re
import threading
import time

import pytest

from harness import wire
from harness.crowd import Readers, last_words, running
from harness.replicas import node_of, primary_of, state_of, wait_nodes_up
from harness.wait import Worker, stays_true, wait_until

SLACK = 1.0  # a sanitized build on a busy machine
GRANT = "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor"


def events(weir):
    return [r["event"] for r in weir.console("SHOW EVENTS")]


def may_promote(trio, yes=True):
    """The right is one of each database: the one that the checks log in to."""
    with trio[0].connect(dbname="postgres") as c:
        c.execute(GRANT if yes else GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
    if yes:
        trio.wait_caught_up()


@pytest.fixture
def ready(trio, trio_weir):
    """ready(**options of trio_weir): a pgweir before the trio that may promote; for switchovers that fail."""
    def make(**options):
        may_promote(trio)
        return trio_weir(trio, **options)
    yield make
    if trio[0].running():
        may_promote(trio, False)


@pytest.fixture
def fresh(new_trio, trio_weir):
    """fresh(**options): (trio, pgweir), for switchovers that go well."""
    def make(**options):
        trio = new_trio()
        may_promote(trio)
        return trio, trio_weir(trio, **options)
    return make


def switch(weir, command="SWITCHOVER main"):
    """(new primary, ms for which writes were held) of the command's tag."""
    with wire.Wire("127.0.0.1", weir.port) as w:
        w.login("admin", "pgbouncer")
        w.send(wire.query(command))
        for m in w.until("Z", 30):
            if m.kind == "E":
                raise wire.ServerError(m.fields())
            if m.kind == "C":
                tag = m.body.rstrip(b"\0").decode()
    found = re.fullmatch(r"SWITCHOVER pg1 -> (pg[23]), writes were held for (\d+) ms", tag)
    assert found, tag
    return found[1], int(found[2])


def refused(weir, command="SWITCHOVER main"):
    with pytest.raises(wire.ServerError) as e:
        weir.console(command)
    return e.value


class Writers:
    """Threads that insert ids one by one, three ways; errors and the longest time without an answer are kept."""

    def __init__(self, weir, count=4):
        self.acknowledged, self.errors, self.gaps = [], [], []
        self._weir, self._over = weir, threading.Event()
        self._workers = [Worker(self._write, i) for i in range(count)]

    def _write(self, number):
        w, id, longest, before = self._weir.wire(seconds=20), number * 1_000_000, 0.0, time.monotonic()
        while not self._over.is_set():
            id += 1
            try:
                self._insert(w, id)
            except (wire.ServerError, wire.Closed, TimeoutError) as e:
                self.errors.append(e)
                break
            self.acknowledged.append(id)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        self.gaps.append(longest)

    def _insert(self, w, id):
        if id % 3 == 0:
            w.query(f"INSERT INTO once VALUES ({id})")
        elif id % 3 == 1:
            w.extended("INSERT INTO once VALUES ($1)", [id])
        else:
            w.query("BEGIN")
            w.query(f"INSERT INTO once VALUES ({id})")
            w.query("COMMIT")

    def more(self, count):
        before = len(self.acknowledged)
        wait_until(lambda: self.errors or len(self.acknowledged) > before + count, 20)

    def stop(self):
        self._over.set()
        for w in self._workers:
            w.result(60)


def stored(trio, name):
    return [r[0] for r in trio.named(name).sql("SELECT id FROM once")]


@pytest.mark.parametrize("command", ["SWITCHOVER main", "switchover main to pg3"])
def test_under_load_nobody_gets_an_error_and_nothing_is_lost(fresh, command):
    trio, weir = fresh(default_pool_size=4)
    writers, readers = Writers(weir, 8), Readers(weir)
    own = Readers(weir, 2, "SELECT v FROM register WHERE k = 2 /* pgweir: route=primary */")
    writers.more(50)
    heir, held = switch(weir, command)
    assert heir == "pg3" if "pg3" in command else heir in ("pg2", "pg3")
    assert primary_of(weir) == heir
    writers.more(50)
    writers.stop()
    assert readers.stop() > 0 and own.stop() > 0
    assert writers.errors + readers.errors + own.errors == []
    print(f"held {held} ms, longest gap of the writers {max(writers.gaps):.2f} s, of the readers {max(readers.gaps):.2f} s")
    assert max(writers.gaps) < 1 + SLACK and held < 1000 * (1 + SLACK)
    there = stored(trio, heir)
    assert len(there) == len(set(there)) and set(there) == set(writers.acknowledged)
    assert state_of(weir, "pg1")["state"] == "fenced"
    assert trio[0].pids() == [], "all links to it are closed"


def test_commits_that_nobody_waits_for_survive_too(fresh):
    """synchronous_commit = off: acknowledged before it is on disk."""
    trio, weir = fresh()
    w = weir.wire(seconds=20)
    w.query("SET synchronous_commit = off")
    for i in range(20):
        w.query(f"INSERT INTO once VALUES ({i})")
    heir, _ = switch(weir)
    assert sorted(stored(trio, heir)) == list(range(20))
    assert w.value("INSERT INTO once VALUES (20) RETURNING node") == heir


def test_a_session_reads_its_writes_across_it(fresh):
    _, weir = fresh()
    w, over, seen = weir.wire(seconds=20), threading.Event(), []

    def reader():
        n = 0
        while not over.is_set():
            n += 1
            w.query(f"UPDATE register SET v = {n} WHERE k = 5")
            seen.append((n, int(w.value("SELECT v FROM register WHERE k = 5"))))
    worker = Worker(reader)
    wait_until(lambda: len(seen) > 20)
    switch(weir)
    count = len(seen)
    wait_until(lambda: len(seen) > count + 20, 20)
    over.set()
    worker.result()
    assert [pair for pair in seen if pair[0] != pair[1]] == []


def test_an_open_transaction_may_finish(fresh):
    trio, weir = fresh()
    open_, waiting = weir.wire(seconds=20), weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    command = Worker(switch, weir)
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    waiting.send(wire.query("INSERT INTO once VALUES (2) RETURNING node"))
    with pytest.raises(TimeoutError):
        waiting.receive(0.2)
    assert weir.console("SHOW CLUSTERS")[0]["switching"] == "yes"
    open_.query("INSERT INTO once VALUES (3)")
    open_.query("COMMIT")
    heir, held = command.result()
    assert waiting.finish() == [[heir]]
    assert sorted(stored(trio, heir)) == [1, 2, 3]
    assert 200 <= held < 3000


def test_what_stays_open_is_lost(fresh):
    trio, weir = fresh(cluster={"switchover_wait": "300ms"})
    open_, pinned, idle = (weir.wire(seconds=20) for _ in range(3))
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    reading, writing = weir.wire(seconds=20), weir.wire(seconds=20)
    with trio[0].connect(autocommit=False) as lock:
        lock.execute("SELECT * FROM register WHERE k = 9 FOR UPDATE")
        reading.send(wire.query("SELECT count(pg_sleep(1)) FROM register WHERE k < 4 /* pgweir: route=primary */"))
        writing.send(wire.query("UPDATE register SET v = 1 WHERE k = 9"))
        wait_until(lambda: running(trio, "k = 9") and running(trio, "pg_sleep"))
        heir, held = switch(weir)
    assert 300 <= held < 1300 + 1000 * SLACK
    with pytest.raises(wire.ServerError) as e:
        open_.query("INSERT INTO once VALUES (2)")
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "40001")
    open_.query("ROLLBACK")
    assert open_.value("INSERT INTO once VALUES (3) RETURNING node") == heir
    assert last_words(writing) == [("FATAL", "08007", "the outcome of the last statement is unknown")]
    assert reading.finish() == [["3"]], "a read of which no byte was forwarded is sent once more"
    assert stored(trio, heir) == [3]
    assert idle.value("SELECT 'kept'") == "kept"


def test_a_pinned_session_at_rest_holds_nobody_up(fresh):
    _, weir = fresh()
    w = weir.wire(seconds=20)
    w.query("CREATE TEMP TABLE mine (i int)")
    _, held = switch(weir)
    assert held < 1000 * (1 + SLACK)
    assert [e[:2] for e in last_words(w)] == [("FATAL", "57P01")]


def test_who_waits_in_the_queue_goes_to_the_new_primary(fresh):
    trio, weir = fresh(default_pool_size=1)
    first, others = weir.wire(seconds=20), [weir.wire(seconds=20) for _ in range(3)]
    first.query("BEGIN")
    first.query("INSERT INTO once VALUES (1)")
    for i, w in enumerate(others):
        w.send(wire.query(f"INSERT INTO once VALUES ({2 + i}) RETURNING node"))
    command = Worker(switch, weir)
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    first.query("COMMIT")
    heir, _ = command.result()
    assert [w.finish() for w in others] == [[[heir]]] * 3


def test_a_login_meanwhile_is_served(fresh):
    trio, weir = fresh()
    open_ = weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    command = Worker(switch, weir)
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    late = weir.wire(seconds=20)
    assert node_of(late) in ("pg2", "pg3"), "reads go on"
    open_.query("COMMIT")
    heir, _ = command.result()
    assert late.value("INSERT INTO once VALUES (2) RETURNING node") == heir


# --- a take-over: what one process holds, the other does not know of

def test_no_switchover_while_two_processes_serve_clients(fresh):
    trio, weir = fresh()
    open_ = weir.wire(seconds=20)
    open_.query("BEGIN; INSERT INTO once VALUES (1)")
    old = weir.take_over()
    wait_nodes_up(weir)
    e = refused(weir)
    assert e.sqlstate == "55000" and "take-over" in e.message
    open_.query("COMMIT")
    old.wait(10)
    wait_until(lambda: "the process that we took over from is gone" in weir.log())
    heir, _ = switch(weir)
    assert stored(trio, heir) == [1]


def test_no_take_over_while_a_switchover_is_under_way(fresh):
    trio, weir = fresh()
    open_ = weir.wire(seconds=20)
    open_.query("BEGIN; INSERT INTO once VALUES (1)")
    command = Worker(switch, weir)
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    weir.take_over(wait=False)
    assert weir.process.wait(10) == 1 and "a switchover is under way" in weir.log()
    weir.process = weir.olds.pop()
    open_.query("COMMIT")
    heir, _ = command.result()
    assert stored(trio, heir) == [1]


# --- switchovers that fail: all goes on as before

def test_without_the_right_to_promote_nothing_is_held(trio, trio_weir):
    weir = trio_weir(trio)
    e = refused(weir)
    assert e.sqlstate == "42501" and "pg_promote" in e.hint
    assert not any("writes are held" in e for e in events(weir))
    assert weir.wire().value("INSERT INTO once VALUES (1) RETURNING node") == "pg1"


def test_a_replica_with_paused_replay_is_refused(trio, ready):
    weir = ready()
    writers = Writers(weir, 2)
    trio.pause_replay(1)
    e = refused(weir, "SWITCHOVER main TO pg2")
    assert e.sqlstate == "55000" and "paused" in e.message
    writers.more(20)
    writers.stop()
    assert writers.errors == [] and primary_of(weir) == "pg1"
    assert not any("writes are held" in e for e in events(weir))


def test_a_replica_that_does_not_come_near_is_given_up(trio, ready):
    weir = ready(cluster={"switchover_wait": "500ms"})
    trio.delay_replay(1, "1min")
    writers = Writers(weir, 2)
    writers.more(5)
    assert "did not replay in time" in refused(weir, "SWITCHOVER main TO pg2").message
    writers.more(20)
    writers.stop()
    assert writers.errors == [] and primary_of(weir) == "pg1"
    assert not any("writes are held" in e for e in events(weir))


def test_replay_that_stops_while_writes_are_held(trio, ready):
    weir = ready()
    open_, waiting = weir.wire(seconds=20), weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    command = Worker(refused, weir, "SWITCHOVER main TO pg2")
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    waiting.send(wire.query("INSERT INTO once VALUES (2) RETURNING node"))
    trio.pause_replay(1)
    open_.query("COMMIT")
    assert "did not replay in time" in command.result().message
    assert waiting.finish() == [["pg1"]], "it goes on with the old primary"
    assert primary_of(weir) == "pg1" and state_of(weir, "pg1")["state"] == "up"
    assert trio[1].in_recovery()


def test_who_cannot_take_over(trio, ready):
    weir = ready()
    assert refused(weir, "SWITCHOVER nowhere").sqlstate == "42704"
    assert refused(weir, "SWITCHOVER main TO pg9").sqlstate == "42704"
    e = refused(weir, "SWITCHOVER main TO pg1")
    assert e.sqlstate == "55000" and "already" in e.detail
    assert refused(weir, "SWITCHOVER").sqlstate in ("42601", "08P01")
    weir.console("BAN pg2")
    assert "banned" in refused(weir, "SWITCHOVER main TO pg2").detail
    weir.console("BAN pg3")
    e = refused(weir)
    assert e.sqlstate == "55000" and "pg2" in e.detail and "pg3" in e.detail


def test_one_at_a_time(trio, ready):
    weir = ready(cluster={"switchover_wait": "1s"})
    trio.delay_replay(1, "1min")
    trio.sql(0, "INSERT INTO notes VALUES (2, 'two')")
    both = [Worker(refused, weir, "SWITCHOVER main TO pg2") for _ in range(2)]
    won, lost = sorted((each.result().message for each in both), key=lambda m: "already under way" in m)
    assert "in time" in won and "already under way" in lost


def test_the_end_of_the_primary_ends_it(trio, ready):
    weir = ready()
    open_ = weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    command = Worker(refused, weir)
    wait_until(lambda: any("writes are held" in e for e in events(weir)))
    trio.kill(0)
    assert re.search("not the primary|connection to server|server closed", command.result().message)
    trio.restart(0)
    wait_until(lambda: primary_of(weir) == "pg1", 10)
    assert weir.wire(seconds=20).value("INSERT INTO once VALUES (2) RETURNING node") == "pg1"
    stays_true(lambda: primary_of(weir) == "pg1", 0.2)


def test_it_can_be_cancelled_while_it_waits(trio, ready):
    weir = ready(cluster={"switchover_wait": "1h", "failover_wait": "1h"})
    open_, waiting = weir.wire(seconds=20), weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    with wire.Wire("127.0.0.1", weir.port) as console:
        console.login("admin", "pgbouncer")
        console.send(wire.query("SWITCHOVER main"))
        wait_until(lambda: any("writes are held" in e for e in events(weir)))
        waiting.send(wire.query("INSERT INTO once VALUES (2) RETURNING node"))
        wire.send_cancel("127.0.0.1", weir.port, console.pid, console.secret)
        with pytest.raises(wire.ServerError) as e:
            console.finish()
    assert e.value.sqlstate == "57014"
    assert waiting.finish() == [["pg1"]]
    open_.query("COMMIT")
    assert {1, 2} <= set(stored(trio, "pg1"))


def test_a_console_that_goes_away_and_the_end_of_pgweir(trio, ready):
    weir = ready(cluster={"switchover_wait": "1h", "failover_wait": "1h"})
    open_ = weir.wire(seconds=20)
    open_.query("BEGIN")
    open_.query("INSERT INTO once VALUES (1)")
    with wire.Wire("127.0.0.1", weir.port) as console:
        console.login("admin", "pgbouncer")
        console.send(wire.query("SWITCHOVER main"))
        wait_until(lambda: any("writes are held" in e for e in events(weir)))
    stays_true(lambda: "already under way" in refused(weir).message, 0.2)


def test_it_is_for_admins(trio, ready):
    weir = ready(stats_users="app")
    with pytest.raises(wire.ServerError):
        weir.console("SWITCHOVER main", user="app")
