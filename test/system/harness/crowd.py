# SPDX-License-Identifier: ISC
"""Clients in every situation that CONTRACT section 4 has a column for, at the moment when a primary dies."""
import threading
import time

import pytest

from . import wire
from .wait import Worker, wait_until


def running(trio, marker, i=0):
    """Is a statement with MARKER in its text at work on node I?"""
    return trio[i].value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = 'app' "
                         "AND strpos(query, %s) > 0", (marker,)) > 0


def last_words(w, seconds=20):
    """(severity, SQLSTATE, message) of the error with which a connection is closed."""
    errors = [m.fields() for m in w.expect_closed(seconds) if m.kind == "E"]
    return [(f["V"], f["C"], f["M"]) for f in errors]


class Readers:
    """Threads that read without a pause; errors and the longest time without an answer are kept."""

    def __init__(self, weir, count=2, sql="SELECT v FROM register WHERE k = 1"):
        self.errors, self.gaps, self.nodes = [], [], set()
        self._over, self._sql = threading.Event(), sql
        self._workers = [Worker(self._read, weir.wire(seconds=20)) for _ in range(count)]

    def _read(self, w):
        longest, before, count = 0.0, time.monotonic(), 0
        while not self._over.is_set():
            try:
                w.query(self._sql)
            except (wire.ServerError, wire.Closed, TimeoutError) as e:
                self.errors.append(e)
                if isinstance(e, (wire.Closed, TimeoutError)) or e.level == "FATAL":
                    break
            now = time.monotonic()
            longest, before, count = max(longest, now - before), now, count + 1
            time.sleep(0.002)
        self.gaps.append(longest)
        return count

    def stop(self):
        """How many reads there were."""
        self._over.set()
        return sum(w.result() for w in self._workers)


class Crowd:
    """Made while all is well; check() after the fault says what each client saw. No test wants a node in between.

    In flight on the primary are a read that waits for a lock on held and writes that wait for a row; both locks belong to
    connections of the test's own (self.locks), which die with the primary or are closed by release()."""

    def __init__(self, weir, trio):
        self.weir, self.trio = weir, trio
        self.idle, self.prepared, self.open, self.reading, self.writing, self.committed, self.copying, self.copying_open = \
            [weir.wire(seconds=30) for _ in range(8)]
        self.waiting = [weir.wire(seconds=30) for _ in range(3)]
        self.idle.query("SELECT 1")
        self.prepared.send(wire.parse("kept", "INSERT INTO once VALUES ($1) RETURNING node"), wire.sync())
        self.prepared.finish()
        self.open.query("BEGIN")
        self.open.query("INSERT INTO once VALUES (100)")
        self.committed.query("INSERT INTO once VALUES (101)")
        self._lock()
        self._in_flight()

    def _lock(self):
        self.locks = [self.trio[0].connect(autocommit=False) for _ in range(2)]
        self.locks[0].execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        self.locks[1].execute("SELECT * FROM register WHERE k = 9 FOR UPDATE")

    def _in_flight(self):
        self.reading.query("SET pgweir.route = 'primary'")
        self.reading.send(wire.query("SELECT count(*) FROM held"))
        self.writing.send(wire.query("UPDATE register SET v = v + 1 WHERE k = 9"))
        self.copying.send(wire.query("COPY once (id) FROM STDIN"))
        self.copying_open.query("BEGIN")
        self.copying_open.send(wire.query("COPY once (id) FROM STDIN"))
        for w in (self.copying, self.copying_open):
            w.until("G")
            w.send(wire.copy_data(b"102\n"))
        wait_until(lambda: running(self.trio, "count(*) FROM held") and running(self.trio, "k = 9"), 10, "statements in flight")

    def release(self):
        for c in self.locks:
            c.close()

    def wait(self):
        """Clients that come while there is no primary."""
        for i, w in enumerate(self.waiting):
            w.send(wire.query(f"INSERT INTO once VALUES ({200 + i}) RETURNING id"))

    def check(self):
        for i, w in enumerate(self.waiting):
            assert w.finish() == [[str(200 + i)]], "a client that waits notices only latency"
        assert self.idle.value("INSERT INTO once VALUES (300) RETURNING id") == "300"
        self.prepared.send(wire.bind("", "kept", [301]), wire.execute(), wire.sync())
        assert self.prepared.finish(), "prepared statements are there on the new link"
        self._check_open()
        assert self.reading.finish() == [["0"]], "a read of which no byte was forwarded is retried"
        self._check_lost(self.writing, b"")
        self._check_lost(self.copying, wire.copy_done())
        self._check_copy_in_transaction()
        stored = [r[0] for r in self.trio[self.trio.primary].sql("SELECT id FROM once ORDER BY id")]
        assert [i for i in stored if i != 102] == [101, 200, 201, 202, 300, 301], "nothing is lost, nothing is there twice"
        assert stored.count(102) <= 1, "the COPY outside a block may have happened; the one inside may not"

    def _check_open(self):
        with pytest.raises(wire.ServerError) as e:
            self.open.query("INSERT INTO once VALUES (110)")
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "40001")
        assert e.value.message == "transaction lost: node pg1 went away" and "retry" in e.value.hint.lower()
        assert self.open.status == "E"
        self.open.query("ROLLBACK")
        assert self.open.value("SELECT 'kept'") == "kept"

    def _check_lost(self, w, more):
        """A write whose answer never came: not known, or surely rolled back; never a success."""
        w.send(more)
        try:
            w.finish()
        except wire.ServerError as e:
            assert (e.level, e.sqlstate) in (("FATAL", "08007"), ("ERROR", "40001")), e
            if e.sqlstate == "08007":
                assert e.message == "the outcome of the last statement is unknown"
        else:
            raise AssertionError("an answer came from a dead node")

    def _check_copy_in_transaction(self):
        w = self.copying_open
        w.send(wire.copy_data(b"111\n"), wire.copy_done())
        with pytest.raises(wire.ServerError) as e:
            w.finish()
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "40001")
        w.query("ROLLBACK")
        assert w.value("SELECT 'kept'") == "kept"
