# SPDX-License-Identifier: ISC
"""Clients of a cluster in bad times, each of which can tell that one promise is kept; with Tellers, who see to the others."""
import random
import time

from . import wire
from .replicas import WHERE
from .tellers import GONE, NOT_DONE, UNKNOWN, Teller, Tellers
from .wait import Worker

LOST = (wire.ServerError,) + GONE


class Witness:
    """turn() is called until the end; an error that is in order costs the connection at most."""

    def __init__(self, number, seed, login):
        self.number, self.rng, self.login, self.w, self.turns, self.seen = number, random.Random(seed * 1000 + 100 + number), login, None, 0, {}
        self.ready = False  # begin() went well on this connection

    def run(self, end):
        while time.monotonic() < end:
            try:
                if self.w is None:
                    self.w, self.ready = self.login(), False
                if not self.ready:
                    self.begin()
                    self.ready = True
                self.turn()
                self.turns += 1
            except LOST as e:
                self.judge(e)
        return self.turns

    def judge(self, e):
        assert not isinstance(e, TimeoutError), f"{type(self).__name__}: no answer"
        key = e.sqlstate if isinstance(e, wire.ServerError) else "gone"
        self.seen[key] = self.seen.get(key, 0) + 1
        if isinstance(e, wire.ServerError):
            assert e.sqlstate in NOT_DONE | UNKNOWN, (type(self).__name__, str(e), e.detail)
        try:
            if isinstance(e, wire.ServerError) and e.level != "FATAL" and self.w is not None:
                if self.w.status != "I":
                    self.w.query("ROLLBACK")
                return
        except LOST:
            pass
        if self.w is not None:
            self.w.close()
        self.w = None
        time.sleep(0.01)

    def begin(self):
        pass


class Reader(Witness):
    """The one writer of a register that only rises, and a reader of all: no read is older than what this session has written
    or seen of what was acknowledged by then. ACKNOWLEDGED: by register, shared by all."""

    def __init__(self, number, seed, login, acknowledged):
        super().__init__(number, seed, login)
        self.register, self.acknowledged, self.value = number + 1, acknowledged, 0
        acknowledged[self.register] = 0

    def begin(self):
        self.floor, self.wrote = {}, 0

    def turn(self):
        if self.rng.random() < 0.3:
            self.write()
        self.read(self.register if self.rng.random() < 0.5 else self.rng.choice(list(self.acknowledged)))
        time.sleep(self.rng.choice([0, 0, 0.002, 0.01]))

    def write(self):
        self.value += 1
        value, k = self.value, self.register
        sql = f"UPDATE register SET v = greatest(v, {value}) WHERE k = {k}"  # one whose outcome is unknown may come late
        way = self.rng.randrange(4)
        if way == 0:
            self.w.query(sql)
        elif way == 1:
            self.w.extended("UPDATE register SET v = greatest(v, $1) WHERE k = $2", [value, k])
        elif way == 2:
            self.w.query("BEGIN")
            self.w.query(sql)
            self.w.query("COMMIT")
        else:
            self.w.send(wire.extended(sql), wire.sync(), wire.extended("SELECT 1"), wire.sync())
            try:
                self.w.finish()
            except wire.ServerError as e:
                if e.level != "FATAL":
                    self.w.finish()
                raise
            self.wrote = self.acknowledged[k] = value
            self.w.finish()
        self.wrote = self.acknowledged[k] = value

    def read(self, k):
        known = max(self.floor.get(k, 0), self.wrote if k == self.register else 0)
        way = self.rng.randrange(5)
        if way == 0:
            rows = self.w.extended(f"SELECT k, v, {WHERE} FROM register WHERE k = $1", [k])
        elif way == 1:
            self.w.query("BEGIN READ ONLY")
            rows = self.w.query(f"SELECT k, v, {WHERE} FROM register WHERE k = {k}")
            self.w.query("COMMIT")
        else:
            rows = self.w.query(f"SELECT k, v, {WHERE} FROM register WHERE k = {k}")
        got, seen, node = rows[0]
        assert int(got) == k, f"another's answer: {rows} for {k} (way {way}, {self.w.value('SHOW pgweir.last_route_reason')})"
        assert int(seen) >= known, f"register {k}: {seen} on {node} after {known} ({self.w.value('SHOW pgweir.last_route_reason')})"
        self.floor[k] = max(self.floor.get(k, 0), min(int(seen), self.acknowledged[k]))


class Canceller(Witness):
    """Cancels what it runs itself, and nobody else's."""

    def turn(self):
        word = f"c{self.number}-{self.rng.random()}"
        seconds = self.rng.choice([0, 0.01, 0.05, 3])
        self.w.send(wire.query(f"SELECT pg_sleep({seconds}), '{word}'"))
        time.sleep(self.rng.choice([0, 0.001, 0.02, 0.05]))
        try:
            with wire.Wire("127.0.0.1", self.w.socket.getpeername()[1], 10) as c:
                c.send(wire.cancel(self.w.pid, self.w.secret))
        except OSError:
            pass
        try:
            rows = self.w.finish()
        except wire.ServerError as e:
            if e.sqlstate != "57014":
                raise
        else:
            assert rows == [["", word]], rows


class Listener(Witness):
    """Hears each notification of a Notifier once and in order, unless a NOTICE says that some may have been missed."""

    def __init__(self, number, seed, login, said):
        super().__init__(number, seed, login)
        self.said = said

    def begin(self):
        self.w.query("LISTEN storm")
        self.last, self.sure = 0, False

    def turn(self):
        time.sleep(0.05)
        notices = len(self.w.notices)
        self.w.query("SELECT 1")
        warned = len(self.w.notices) > notices
        for _, payload in self.w.notifications:
            n = int(payload)
            assert n > self.last, f"{n} after {self.last}"
            missed = [m for m in range(self.last + 1, n) if m in self.said]
            assert warned or not self.sure or not missed, f"missed {missed[:5]} without a notice"
            self.last, self.sure = n, True
        self.sure = self.sure and not warned
        del self.w.notifications[:]


class Notifier(Witness):
    def __init__(self, number, seed, login, said):
        super().__init__(number, seed, login)
        self.said, self.n = said, 0

    def turn(self):
        self.n += 1
        self.w.query(f"NOTIFY storm, '{self.n}'")
        self.said.add(self.n)
        time.sleep(0.01)


class ClusterTeller(Teller):
    """What it was told by another connection it may not find yet."""

    def connect(self):
        super().connect()
        self.first = self._next + 1

    def found(self):
        last = max(self.done, default=0)
        if last >= self.first:
            assert self.w.query(f"SELECT count(*) FROM told WHERE n = {last}") == [["1"]], f"{last} is not there"


class Witnesses(Tellers):
    def __init__(self, login, seed, tellers=6, readers=6, listeners=2, cancellers=2):
        self.all = [ClusterTeller(i, seed, login) for i in range(tellers)]
        acknowledged, said = {}, set()
        self.others = [Reader(i, seed, login, acknowledged) for i in range(readers)]
        self.others += [Canceller(40 + i, seed, login) for i in range(cancellers)]
        self.others += [Listener(50 + i, seed, login, said) for i in range(listeners)] + [Notifier(60, seed, login, said)] * bool(listeners)

    def start(self, seconds):
        super().start(seconds)
        end = time.monotonic() + seconds
        self._workers += [Worker(w.run, end) for w in self.others]

    def close(self):
        super().close()
        for w in self.others:
            if w.w:
                w.w.close()
