# SPDX-License-Identifier: ISC
"""Clients that write every number once and ask for every answer by a word of its own, while anything may fail: what was
acknowledged must be there once, what was called rolled back must not, and no answer may be another's."""
import itertools
import random
import time

from . import wire
from .wait import Worker, wait_until

NOT_DONE = {"40001", "53300", "57P03", "25P02", "57014"}
UNKNOWN = {"08007", "08006", "57P01"}
GONE = (wire.Closed, OSError)  # a time-out is one, and the end of a TLS stream
_words = itertools.count()


class Teller:
    """LOGIN() makes a connection that is logged in; it is called again whenever one is lost. on_error sees each error."""

    def __init__(self, number, seed, login, patience=30):
        self.number, self.rng, self.login, self.patience = number, random.Random(seed * 1000 + number), login, patience
        self.done, self.not_done, self.unknown, self.errors = set(), set(), set(), []
        self.w, self._next, self.longest = None, number * 1_000_000, 0.0
        self.ways = [self.simple, self.extended, self.block, self.pipeline, self.copied, self.batch, self.asked, self.asked, self.large,
                     self.named, self.found]

    def numbers(self, count):
        self._next += count
        return range(self._next - count + 1, self._next + 1)

    def connect(self):
        if self.w:
            self.w.close()

        def attempt():
            try:
                return self.login()
            except wire.ServerError as e:
                assert e.sqlstate in NOT_DONE | UNKNOWN, (str(e), e.detail)
            except GONE:
                pass
        self.w = wait_until(attempt, self.patience, "a login", step=0.02)
        self.prepared = False

    def run(self, end):
        """How many turns went well until END."""
        turns = 0
        if self.w is None:
            self.connect()
        while time.monotonic() < end:
            before = time.monotonic()
            turns += self.turn()
            self.longest = max(self.longest, time.monotonic() - before)
        return turns

    def turn(self):
        way = self.rng.choice(self.ways)
        try:
            way()
            return True
        except wire.ServerError as e:
            self.errors.append((way.__name__, str(e)))
            assert e.sqlstate in NOT_DONE | UNKNOWN, (way.__name__, str(e), e.detail)
            self.tidy(e.level == "FATAL")
        except GONE as e:
            self.errors.append((way.__name__, repr(e)))
            assert not isinstance(e, TimeoutError), f"no answer in {way.__name__}"
            self.tidy(True)
        return False

    def tidy(self, closed):
        try:
            if closed or self.w.status != "I":
                self.connect() if closed else self.w.query("ROLLBACK")
        except (wire.ServerError,) + GONE:
            self.connect()

    # --- what came back

    def told(self, numbers, error):
        """What the answer says of them; an error goes on to the caller."""
        if error is None:
            self.done.update(numbers)
            return
        known = isinstance(error, wire.ServerError) and error.sqlstate in NOT_DONE
        (self.not_done if known else self.unknown).update(numbers)
        raise error

    def write(self, numbers, say):
        error = None
        try:
            say()
        except (wire.ServerError,) + GONE as e:
            error = e
        self.told(numbers, error)

    # --- the ways

    def simple(self):
        n = self.numbers(1)
        self.write(n, lambda: self.w.query(f"INSERT INTO told VALUES ({n[0]})"))

    def extended(self):
        n = self.numbers(1)
        self.write(n, lambda: self.w.extended("INSERT INTO told VALUES ($1)", [n[0]]))

    def named(self):
        n = self.numbers(1)
        if not self.prepared:
            self.w.send(wire.parse("ins", "INSERT INTO told VALUES ($1)"), wire.sync())
            self.w.finish()
            self.prepared = True

        def say():
            self.w.send(wire.bind("", "ins", [n[0]]), wire.execute(), wire.sync())
            self.w.finish()
        self.write(n, say)

    def block(self):
        """Until COMMIT is under way, nothing is done."""
        n = self.numbers(2)
        try:
            self.w.query("BEGIN")
            self.w.query(f"INSERT INTO told VALUES ({n[0]})")
            self.w.extended("INSERT INTO told VALUES ($1)", [n[1]])
        except (wire.ServerError,) + GONE:
            self.not_done.update(n)
            raise
        self.write(n, lambda: self.w.query("COMMIT"))

    def batch(self):
        n = self.numbers(3)

        def say():
            self.w.send(*[wire.extended("INSERT INTO told VALUES ($1)", [i]) for i in n], wire.sync())
            self.w.finish()
        self.write(n, say)

    def pipeline(self):
        """Each with a Sync of its own: each is told by itself."""
        n, first = self.numbers(4), None
        self.w.send(*[wire.extended("INSERT INTO told VALUES ($1)", [i]) + wire.sync() for i in n])
        for i in n:
            try:
                self.write([i], self.w.finish)
            except wire.ServerError as e:
                first = first or e
                if e.level == "FATAL":
                    self.unknown.update(range(i + 1, n[-1] + 1))
                    raise
            except GONE:
                self.unknown.update(range(i, n[-1] + 1))
                raise
        if first:
            raise first

    def copied(self):
        n = self.numbers(3)

        def say():
            self.w.send(wire.query("COPY told FROM STDIN"), *[wire.copy_data(b"%d\n" % i) for i in n], wire.copy_done())
            self.w.finish()
        self.write(n, say)

    def asked(self):
        word = f"w{self.number}-{next(_words)}"
        got = self.w.query(f"SELECT '{word}'") if self.rng.random() < 0.5 else self.w.extended("SELECT $1::text", [word])
        assert got == [[word]], got

    def large(self):
        word = f"w{self.number}-{next(_words)}-"
        got = self.w.query(f"SELECT g, repeat('{word}', 500) FROM generate_series(1, 20) g")
        assert got == [[str(g), word * 500] for g in range(1, 21)]

    def found(self):
        """What this client was told is done."""
        if self.done:
            last = max(self.done)
            assert self.w.query(f"SELECT count(*) FROM told WHERE n = {last}") == [["1"]], f"{last} is not there"


class Tellers:
    def __init__(self, login, count, seed, patience=30):
        self.all = [Teller(i, seed, login, patience) for i in range(count)]

    def start(self, seconds):
        end = time.monotonic() + seconds
        self._workers = [Worker(t.run, end) for t in self.all]

    def join(self, seconds=90):
        return [w.result(seconds) for w in self._workers]

    def run(self, seconds):
        self.start(seconds)
        return self.join()

    def errors(self):
        return [e for t in self.all for e in t.errors]

    def forget_errors(self):
        for t in self.all:
            t.errors = []

    def check(self, stored):
        """STORED: every number in the table, as often as it is there."""
        done, not_done, unknown = [set().union(*(getattr(t, what) for t in self.all)) for what in ("done", "not_done", "unknown")]
        assert len(stored) == len(set(stored)), "a number is there twice"
        stored = set(stored)
        assert not done - stored, f"acknowledged and lost: {sorted(done - stored)[:5]}"
        assert not not_done & stored, f"called rolled back and there: {sorted(not_done & stored)[:5]}"
        assert stored <= done | unknown, f"from nowhere: {sorted(stored - done - unknown)[:5]}"

    def close(self):
        for t in self.all:
            if t.w:
                t.w.close()


def wait_rest(weir):
    def rest():
        pools = [p for p in weir.console("SHOW POOLS") if p["database"] == "app"]
        return not [p for p in pools for what in ("cl_active", "cl_waiting", "sv_active", "sv_login", "sv_used") if p[what] != "0"]
    try:
        wait_until(rest, 20)
    except AssertionError:
        raise AssertionError([weir.console(f"SHOW {what}") for what in ("POOLS", "SERVERS", "CLIENTS")]) from None


def goes_well_again(weir, tellers, told):
    """The bad times are over: after those connections that are still to end, nothing fails any more."""
    tellers.run(2)
    tellers.forget_errors()
    assert all(tellers.run(1)) and tellers.errors() == [], tellers.errors()[:5]
    tellers.close()
    tellers.check(told())
    wait_rest(weir)
