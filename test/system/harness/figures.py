# SPDX-License-Identifier: ISC
"""Durations and counts of faults that are repeated, and the table of them; writers that say what a fault cost them."""
import statistics
import threading
import time

from . import wire
from .wait import Worker, wait_until


class Figures:
    """Rows of (event, what was measured), each with a limit for its median, or None."""

    def __init__(self):
        self._rows = {}

    def note(self, event, what, value, limit=None):
        self._rows.setdefault((event, what, limit), []).append(value)

    def lines(self):
        head = f"{'event':42} {'measured':40} {'n':>3} {'median':>8} {'worst':>8} {'limit':>6}"
        return [head] + [f"{event:42} {what:40} {len(v):3} {statistics.median(v):8.3f} {max(v):8.3f} "
                         f"{'' if limit is None else limit:>6}" for (event, what, limit), v in self._rows.items()]

    def check(self, event, slack=0.0):
        """The medians of EVENT keep their limits; those in seconds (but not counts, whose limit is 0) by SLACK more."""
        for (each, what, limit), values in self._rows.items():
            if each == event and limit is not None:
                found = statistics.median(values)
                assert found <= (limit + slack if limit else 0), f"{event}: {what}: {found:.3f}, not {limit}"


class Writers:
    """Threads that insert ids which are used once. Every id ends in one of three sets; commits are kept as (when it was
    acknowledged, node, id). rest: seconds between two statements of a thread."""

    def __init__(self, connect, count=4, rest=0.002):
        self.acknowledged, self.rolled_back, self.unknown, self.strange = set(), set(), set(), []
        self.commits, self.gaps = [], []
        self._connect, self._over, self._rest = connect, threading.Event(), rest
        self._workers = [Worker(self._write, i) for i in range(count)]

    def _write(self, number):
        w, id = self._connect(), number * 10_000_000
        longest, before = 0.0, time.monotonic()
        while not self._over.is_set():
            id += 1
            try:
                node = self._insert(w, id)
                self.acknowledged.add(id)
                now = time.monotonic()
                self.commits.append((now, node, id))
                longest, before = max(longest, now - before), now
            except wire.ServerError as e:
                self._judge(id, e)
                w = self._again(w, e)
            time.sleep(self._rest)
        self.gaps.append(longest)

    def _insert(self, w, id):
        """The node that stored it."""
        if id % 3 == 0:
            return w.value(f"INSERT INTO once VALUES ({id}) RETURNING node")
        if id % 3 == 1:
            return w.extended("INSERT INTO once VALUES ($1) RETURNING node", [id])[0][0]
        w.query("BEGIN")
        node = w.value(f"INSERT INTO once VALUES ({id}) RETURNING node")
        w.query("COMMIT")
        return node

    def _judge(self, id, e):
        if e.sqlstate in ("40001", "57P03"):
            self.rolled_back.add(id)
        else:
            self.unknown.add(id)
            if e.sqlstate != "08007":
                self.strange.append(e)

    def _again(self, w, e):
        if e.level == "FATAL":
            w.close()
            return self._connect()
        if w.status != "I":
            w.query("ROLLBACK")
        return w

    def errors(self):
        return len(self.rolled_back) + len(self.unknown)

    def more(self, count=50):
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + count, 20, "writes")

    def first_commit(self, since, node=None, seconds=20):
        """When, in seconds after SINCE, the first commit (on NODE) was acknowledged."""
        return wait_until(lambda: next((at - since for at, on, _ in list(self.commits) if at > since and node in (None, on)), None),
                          seconds, "a commit after the fault", step=0.001)

    def stop(self):
        self._over.set()
        for w in self._workers:
            w.result(60)

    def check(self, stored, lost=frozenset()):
        """STORED: all ids in the table, as often as they are there. LOST: those that may not be."""
        assert self.strange == [], [str(e) for e in self.strange]
        assert len(stored) == len(set(stored)), "an id is there twice"
        assert self.acknowledged - set(stored) - lost == set(), "an acknowledged write is lost"
        assert self.rolled_back & set(stored) == set(), "a write that was called rolled back is there"
        assert set(stored) <= self.acknowledged | self.unknown
