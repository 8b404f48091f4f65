# SPDX-License-Identifier: ISC
"""Reads that can be trusted: what a session may see while replicas lag, stand still or lose their source.

WEIR_CHECK_SECONDS (3) and WEIR_CHECK_READS (no limit) say how long each run of the register checker lasts:
    WEIR_CHECK_SECONDS=600 WEIR_CHECK_READS=100000 pytest test/system/test_consistency.py -k register"""
import os
import random
import re
import threading
import time

import pytest

from harness.replicas import WHERE, node_of, state_of, wait_state
from harness.wait import Worker, wait_until
from harness import wire

SECONDS = float(os.environ.get("WEIR_CHECK_SECONDS", "3"))
READS = int(os.environ.get("WEIR_CHECK_READS", "0"))
DEADLINE = 60 + 5 * SECONDS


# --- the register checker

class Checker:
    """Registers that only rise, each with one writer, read on replicas and on the primary. A read that begins after a write
    was acknowledged must see it: the session's own (session), or anybody's (everybody=True); and no session ever sees less
    of any register than it has seen (of what was acknowledged by then: PostgreSQL shows a commit on a standby before it does
    on its primary). connect() gives a logged-in wire."""

    def __init__(self, connect, sessions=6, everybody=False, seconds=SECONDS, reads=READS):
        self.connect, self.sessions, self.everybody = connect, sessions, everybody
        self.acknowledged = [0] * (sessions + 1)  # by register; register i belongs to session i
        self.end, self.most, self.stopped = time.monotonic() + seconds, reads, threading.Event()
        self.reads, self.writes, self.violations, self.backward = 0, 0, [], []
        self.by_node, self.lock = {}, threading.Lock()

    def run(self):
        workers = [Worker(self._session, i) for i in range(1, self.sessions + 1)]
        try:
            for w in workers:
                w.result(self.end - time.monotonic() + 30)
        finally:
            self.stopped.set()
        return self

    def _going(self):
        return time.monotonic() < self.end and not self.stopped.is_set() and not 0 < self.most <= self.reads

    def _session(self, number):
        w, dice, floor = self.connect(), random.Random(number), {}
        value = first = int(time.time() * 1e6)  # above what an earlier run left
        try:
            while self._going():
                value += 1
                _write(w, number, value, dice)
                self.acknowledged[number] = value
                for _ in range(dice.randint(1, 8)):
                    time.sleep(dice.choice([0, 0, 0.001, 0.005, 0.02]))
                    self._read(w, number, dice, floor)
        except BaseException:
            self.stopped.set()
            raise
        with self.lock:
            self.writes += value - first

    def _read(self, w, number, dice, floor):
        """FLOOR: what the session has seen, by register."""
        register = dice.randint(1, self.sessions) if dice.random() < 0.6 else number
        known = self.acknowledged[register] if self.everybody or register == number else 0
        seen, node = _read(w, register, dice)
        last = floor.get(register, (0, ""))
        floor[register] = max(last, (min(seen, self.acknowledged[register]), node))
        with self.lock:
            self.reads += 1
            self.by_node[node] = self.by_node.get(node, 0) + 1
            if seen < last[0]:
                self.backward.append(f"session {number} read {seen} of register {register} on {node} after {last[0]} on {last[1]}")
            if seen < known:
                self.violations.append(f"session {number} read {seen} of register {register} on {node} after {known}")


def _write(w, register, value, dice):
    sql = f"UPDATE register SET v = {value} WHERE k = {register}"
    kind = dice.randint(0, 3)
    if kind == 0:
        w.query(sql)
    elif kind == 1:
        w.extended("UPDATE register SET v = $1 WHERE k = $2", [value, register])
    elif kind == 2:
        w.query("BEGIN")
        w.query(sql)
        w.query("COMMIT")
    else:
        w.query(f"BEGIN; {sql}; COMMIT")


def _read(w, register, dice):
    kind = dice.randint(0, 7)
    if kind == 0:
        rows = w.extended(f"SELECT v, {WHERE} FROM register WHERE k = $1", [register])
    elif kind == 1:
        w.query("BEGIN READ ONLY")
        rows = w.query(f"SELECT v, {WHERE} FROM register WHERE k = {register}")
        w.query("COMMIT")
    elif kind == 2:
        w.query("BEGIN")
        rows = w.query(f"SELECT v, {WHERE} FROM register WHERE k = {register}")
        w.query("COMMIT")
    else:
        hint = "/* pgweir: route=primary */ " if kind == 3 else ""
        rows = w.query(f"{hint}SELECT v, {WHERE} FROM register WHERE k = {register}")
    return int(rows[0][0]), rows[0][1]


def trouble(trio, checker):
    """Hold the replicas back in every way, one after the other, until the checker stops; then let go."""
    def wait(seconds):
        return checker.stopped.wait(min(seconds, max(0.0, checker.end - time.monotonic()))) or not checker._going()

    def nothing(_):
        pass
    steps = [(nothing, nothing, 0), (trio.pause_replay, trio.resume_replay, 1),
             (lambda i: trio.delay_replay(i, "150ms"), lambda i: trio.delay_replay(i, "0"), 2),
             (trio.stop_walreceiver, trio.start_walreceiver, 2),
             (lambda i: trio.delay_replay(i, "20ms"), lambda i: trio.delay_replay(i, "0"), 1),
             (trio.pause_replay, trio.resume_replay, 2)]
    while True:
        for begin, end, i in steps:
            begin(i)
            over = wait(0.4)
            end(i)
            if over or wait(0.1):
                return


def run_checker(weir, trio, **kwargs):
    checker = Checker(lambda: weir.wire(seconds=20), **kwargs)
    faults = Worker(trouble, trio, checker)
    checker.run()
    faults.result()
    print(f"{checker.reads} reads, {checker.writes} writes, by node {checker.by_node}, {len(checker.violations)} violations, "
          f"{len(checker.backward)} steps back")
    return checker


@pytest.mark.deadline(DEADLINE)
@pytest.mark.parametrize("consistency", ["session", "global"])
def test_the_register_is_never_seen_to_fall_back(trio, trio_weir, consistency):
    weir = trio_weir(trio, cluster={"consistency": consistency})
    checker = run_checker(weir, trio, everybody=consistency == "global")
    assert checker.violations == [] and checker.backward == []
    assert checker.reads > 100 and checker.writes > 50
    replicas = checker.reads - checker.by_node.get("pg1", 0)
    assert replicas > checker.reads / 50, "it is no art to be right on the primary alone"


def test_the_register_checker_catches_a_stale_replica(trio, trio_weir):
    """The control: without a promise the same run must see old values."""
    weir = trio_weir(trio, cluster={"consistency": "eventual", "max_lag": 0})
    trio.delay_replay(1, "300ms")
    checker = Checker(weir.wire, seconds=1, reads=0).run()
    assert checker.violations and checker.backward


def test_who_reads_often_comes_back_to_the_replicas_after_a_write(trio, trio_weir):
    """Each read on the primary may show more than the replicas are known to hold: that must not keep it there."""
    w = trio_weir(trio).wire()
    for i in range(5):
        w.query(f"UPDATE register SET v = {i} WHERE k = 49")
        wait_until(lambda: all(node_of(w) != "pg1" for _ in range(200)), 10, "reads on replicas", step=0)


def test_what_was_read_on_the_primary_is_read_on_no_replica_before_it_is_there(trio, trio_weir):
    """What somebody else wrote, not even through pgweir; however it was read."""
    weir = trio_weir(trio)
    w = weir.wire()
    for i in (1, 2):
        trio.pause_replay(i)
    select = "SELECT v FROM register WHERE k = 48"
    for i, read in enumerate([[f"/* pgweir: route=primary */ {select}"], ["BEGIN", select, "COMMIT"], [f"{select}; SELECT 1 FOR UPDATE"]]):
        trio.sql(0, f"UPDATE register SET v = {4711 + i} WHERE k = 48")
        for sql in read:
            w.query(sql)
        for _ in range(20):
            assert w.value(select) == str(4711 + i)
    for i in (1, 2):
        trio.resume_replay(i)
    wait_until(lambda: node_of(w) != "pg1")


def test_what_was_read_on_a_replica_is_read_on_no_other_before_it_is_there(trio, trio_weir):
    weir = trio_weir(trio)
    trio.pause_replay(1)
    w, writer = weir.wire(), weir.wire()
    select = "SELECT v FROM register WHERE k = 47"
    for i in range(4711, 4716):
        writer.query(f"UPDATE register SET v = {i} WHERE k = 47")
        wait_until(lambda: w.value(f"/* pgweir: route=node:pg3 */ {select}") == str(i))
        assert {w.value(select) for _ in range(50)} == {str(i)}


# --- the same, one at a time

@pytest.fixture
def behind(trio, trio_weir):
    """behind(cluster option=value): a pgweir that knows three good nodes; the replicas hold back what is written from now on."""
    def make(**cluster):
        weir = trio_weir(trio, cluster=cluster)
        trio.pause_replay(1)
        trio.delay_replay(2, "500ms")
        return weir
    return make


def test_a_session_sees_its_own_writes_though_no_replica_does(behind):
    w = behind().wire()
    for i in range(1, 30):
        w.query(f"UPDATE register SET v = {i} WHERE k = 50")
        assert w.value("SELECT v FROM register WHERE k = 50") == str(i)
        w.query(f"BEGIN; UPDATE register SET v = {i} WHERE k = 51; COMMIT")
        assert w.extended("SELECT v FROM register WHERE k = $1", [51]) == [[str(i)]]
        w.query("BEGIN READ ONLY")
        assert w.value("SELECT v FROM register WHERE k = 50") == str(i)
        w.query("COMMIT")


def test_reads_come_back_to_the_replicas_when_they_have_the_write(behind, trio):
    w = behind().wire()
    w.query("UPDATE register SET v = v + 1 WHERE k = 52")
    assert node_of(w) == "pg1"
    reasons = {"replicas are not known to hold the session's last write yet", "no replica holds what the session has seen yet"}
    assert w.value("SHOW pgweir.last_route_reason") in reasons
    wait_until(lambda: node_of(w) == "pg3", 10)
    trio.resume_replay(1)
    wait_until(lambda: node_of(w) == "pg2", 10)


def test_another_sessions_reads_stay_on_the_replicas(behind):
    weir = behind()
    writer, reader = weir.wire(), weir.wire()
    wait_until(lambda: node_of(reader) != "pg1")
    writer.query("UPDATE register SET v = v + 1 WHERE k = 53")
    assert node_of(reader) in ("pg2", "pg3")


def test_an_idle_primary_lets_its_replicas_serve(trio, trio_weir):
    """A position at the start of a WAL page is one that replay never reports."""
    weir = trio_weir(trio)
    w = weir.wire()
    for _ in range(3):
        w.query("UPDATE register SET v = v + 1 WHERE k = 54")
        w.query("SELECT pg_switch_wal()")
        assert w.value("SHOW pgweir.last_node") == "pg1"
        wait_until(lambda: node_of(w) != "pg1", 5, "the token resolved")


def test_global_reads_see_every_sessions_writes(behind):
    weir = behind(consistency="global")
    writer, reader = weir.wire(), weir.wire()
    for i in range(1, 30):
        writer.query(f"UPDATE register SET v = {i} WHERE k = 55")
        assert reader.value("SELECT v FROM register WHERE k = 55") == str(i)


def test_a_session_can_raise_and_lower_its_consistency(behind):
    weir = behind()
    writer, careful, careless = weir.wire(), weir.wire(), weir.wire()
    careful.query("SET pgweir.consistency = global")
    careless.query("SET pgweir.consistency = eventual")
    wait_until(lambda: node_of(careless) != "pg1")
    for i in range(1, 10):
        writer.query(f"UPDATE register SET v = {i} WHERE k = 56")
        assert careful.value("SELECT v FROM register WHERE k = 56") == str(i)
    careless.query("UPDATE register SET v = 1 WHERE k = 57")
    assert node_of(careless) != "pg1"


def test_a_token_from_elsewhere_is_honoured(behind):
    weir = behind()
    writer, reader = weir.wire(), weir.wire()
    before = "0/0"
    for i in range(1, 8):
        writer.query(f"UPDATE register SET v = {i} WHERE k = 58")
        token = wait_until(lambda: _later(writer.value("SHOW pgweir.lsn"), before))
        reader.query(f"SET pgweir.min_lsn = '{token}'")
        assert reader.value("SELECT v FROM register WHERE k = 58") == str(i)
        before = token


def _later(lsn, before):
    """LSN when it is one and beyond BEFORE."""
    if not re.match(r"^[0-9A-F]+/[0-9A-F]+$", lsn or ""):
        return None
    number = [tuple(int(part, 16) for part in text.split("/")) for text in (lsn, before)]
    return lsn if number[0] > number[1] else None


def test_a_replica_beyond_max_lag_serves_no_reads(trio, trio_weir):
    weir = trio_weir(trio, cluster={"consistency": "eventual", "max_lag": "300ms", "balance": "round_robin"})
    trio.pause_replay(1)
    writer = weir.wire()
    writer.query("UPDATE register SET v = v + 1 WHERE k = 59")
    wait_state(weir, "pg2", "lagging")
    assert state_of(weir, "pg2")["reason"]
    reader = weir.wire()
    assert {node_of(reader) for _ in range(20)} == {"pg3"}
    reader.query("SET pgweir.max_lag = '1h'")
    assert "pg2" in {node_of(reader) for _ in range(20)}, "the session may ask for less"
    trio.resume_replay(1)
    wait_state(weir, "pg2", "up")


def test_with_all_replicas_beyond_max_lag_the_primary_reads(trio, trio_weir):
    weir = trio_weir(trio, cluster={"consistency": "eventual", "max_lag": "300ms"})
    for i in (1, 2):
        trio.pause_replay(i)
    weir.wire().query("UPDATE register SET v = v + 1 WHERE k = 60")
    for node in ("pg2", "pg3"):
        wait_state(weir, node, "lagging")
    w = weir.wire()
    assert node_of(w) == "pg1"
    assert w.value("SHOW pgweir.last_route_reason") == "all replicas lag more than max_lag"


def test_replica_wait_holds_a_read_for_a_fresh_replica(trio, trio_weir):
    weir = trio_weir(trio, cluster={"replica_wait": "3s"})
    for i in (1, 2):
        trio.delay_replay(i, "200ms")
    w = weir.wire()
    w.query("UPDATE register SET v = 4711 WHERE k = 61")
    [[value, node]] = w.query(f"SELECT v, {WHERE} FROM register WHERE k = 61")
    assert value == "4711" and node != "pg1"


def test_a_stopped_walreceiver_is_lag_too(trio, trio_weir):
    weir = trio_weir(trio, cluster={"max_lag": "300ms"})
    trio.stop_walreceiver(1)
    w = weir.wire()
    end = time.monotonic() + 1
    value = 0
    while time.monotonic() < end:
        value += 1
        w.query(f"UPDATE register SET v = {value} WHERE k = 62")
        assert w.value("SELECT v FROM register WHERE k = 62") == str(value)
    wait_state(weir, "pg2", "lagging")


def test_a_failed_write_does_not_send_reads_astray(behind):
    w = behind().wire()
    w.query("UPDATE register SET v = 1 WHERE k = 63")
    with pytest.raises(wire.ServerError):
        w.query("UPDATE register SET v = 1 / 0 WHERE k = 63")
    assert w.value("SELECT v FROM register WHERE k = 63") == "1"
    w.query("BEGIN; UPDATE register SET v = 2 WHERE k = 63")
    w.query("ROLLBACK")
    assert w.value("SELECT v FROM register WHERE k = 63") == "1"
