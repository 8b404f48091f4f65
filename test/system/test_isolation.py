# SPDX-License-Identifier: ISC
"""Nobody ever sees an answer, a row, a setting, a lock, a cancel or a notice that belongs to somebody else.

    WEIR_SECONDS=60 WEIR_SEED=7 pytest test/system/test_isolation.py        for long, and otherwise"""
import itertools
import os
import random
import time

import pytest

from harness import wire
from harness.wait import Worker, wait_until

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))
LOST = {"40001", "08006", "08007", "57P01", "53300", "57P03"}
CANCELLED = "57014"
HELD = "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
_nonces = itertools.count()


class Echo:
    """A client whose every answer must hold its own last nonce. Hurt: somebody kills clients and servers."""

    def __init__(self, weir, seed, end, hurt):
        self.weir, self.rng, self.end, self.hurt = weir, random.Random(SEED * 1000 + seed), end, hurt
        self.seed, self.channel, self.answers, self.errors = seed, f"c{seed}", 0, 0
        self.w, self.history = None, []
        self.ways = [self.simple, self.extended, self.named, self.block, self.pipeline, self.setting, self.large, self.written,
                     self.listening, self.temporary, self.locking, self.copied, self.failing, self.late, self.cancelled, self.vanish]

    def connect(self):
        if self.w:
            self.w.close()

        def attempt():
            try:
                return self.weir.raw(30).login(application_name=f"echo{self.seed}")
            except (wire.ServerError, wire.Closed, ConnectionError) as e:
                assert self.hurt and (not isinstance(e, wire.ServerError) or e.sqlstate in LOST), e
        self.w = wait_until(attempt, 30, "a login")
        self.prepared = False

    def run(self):
        self.connect()
        while time.monotonic() < self.end:
            way = self.rng.choice(self.ways)
            self.history.append((way.__name__, round(time.monotonic(), 4)))
            try:
                way(f"n{self.seed}-{next(_nonces)}")
                self.answers += 1
            except wire.ServerError as e:
                assert e.sqlstate in LOST or (e.sqlstate == CANCELLED and way in (self.cancelled, self.late)), \
                    (str(e), e.detail, self.history[-6:])
                self.errors += 1
                self.clean(e)
            except (wire.Closed, ConnectionError) as e:
                assert self.hurt, f"closed without a word in {way.__name__}: {e}"
                self.connect()
            for n in self.w.notices:
                assert f"mine {self.seed}" in n["M"] or "pin" in n["M"] or "notifications" in n["M"], n
            for channel, payload in self.w.notifications:
                assert channel == self.channel and payload.startswith(f"n{self.seed}-")
        self.w.close()
        return self.answers, self.errors

    def clean(self, e):
        """What the way that failed may have left."""
        try:
            if e.level == "FATAL":
                self.connect()
                return
            if self.w.status != "I":
                self.w.query("ROLLBACK")
            self.prepared = False
            self.w.query("DISCARD ALL")
        except (wire.ServerError, wire.Closed, ConnectionError) as again:
            assert not isinstance(again, wire.ServerError) or again.sqlstate in LOST, again
            self.connect()

    def simple(self, nonce):
        assert self.w.query(f"SELECT '{nonce}', ({HELD} LIMIT 1), to_regclass('mine'), current_setting('search_path')") \
            == [[nonce, None, None, '"$user", public']]

    def extended(self, nonce):
        assert self.w.extended("SELECT $1::text", [nonce]) == [[nonce]]

    def named(self, nonce):
        if not self.prepared:
            self.w.send(wire.parse("s", f"SELECT {self.seed}, $1::text"), wire.sync())
            self.w.finish()
            self.prepared = True
        self.w.send(wire.bind("", "s", [nonce]), wire.execute(), wire.sync())
        assert self.w.finish() == [[str(self.seed), nonce]]
        if self.rng.random() < 0.2:
            self.w.send(wire.close("S", "s"), wire.sync())
            self.w.finish()
            self.prepared = False

    def block(self, nonce):
        self.w.query("BEGIN")
        self.w.query(f"SET LOCAL myapp.nonce = '{nonce}'")
        self.w.query(f"DO $$ BEGIN RAISE NOTICE 'mine {self.seed}'; END $$")
        assert self.w.query("SELECT current_setting('myapp.nonce')") == [[nonce]]
        self.w.query("COMMIT")

    def pipeline(self, nonce):
        self.w.send(*[wire.extended("SELECT $1::text", [f"{nonce}.{i}"]) + wire.sync() for i in range(5)])
        got, error = [], None
        for _ in range(5):
            try:
                got.append(self.w.finish())
            except wire.ServerError as e:
                error = e
                if e.level == "FATAL":
                    break
        if error:
            raise error
        assert got == [[[f"{nonce}.{i}"]] for i in range(5)]

    def setting(self, nonce):
        self.w.query(f"SET myapp.mine = '{nonce}'")
        self.w.query(f"SET work_mem = '{2049 + 2 * self.seed}kB'; SET search_path = s{self.seed}")
        assert self.w.query("SELECT current_setting('myapp.mine'), current_setting('application_name'),"
                            "current_setting('work_mem'), current_setting('search_path')") \
            == [[nonce, f"echo{self.seed}", f"{2049 + 2 * self.seed}kB", f"s{self.seed}"]]
        self.w.query("RESET search_path")

    def large(self, nonce):
        assert self.w.query(f"SELECT repeat('{nonce}', 5000)") == [[nonce * 5000]]

    def written(self, nonce):
        assert self.w.query(f"INSERT INTO echoes VALUES ('{nonce}') RETURNING n") == [[nonce]]
        assert self.w.query(f"SELECT n FROM echoes WHERE n = '{nonce}'") == [[nonce]]

    def listening(self, nonce):
        self.w.query(f"LISTEN {self.channel}")
        self.w.query(f"NOTIFY {self.channel}, '{nonce}'")
        while not self.hurt and (self.channel, nonce) not in self.w.notifications:
            self.w.receive()
        self.w.query("UNLISTEN *")

    def temporary(self, nonce):
        self.w.query(f"CREATE TEMP TABLE mine AS SELECT '{nonce}' AS n")
        assert self.w.query("SELECT n FROM mine") == [[nonce]]
        self.w.query("DISCARD TEMP")

    def locking(self, nonce):
        self.w.query(f"SELECT pg_advisory_lock({self.seed})")
        assert self.w.query(HELD) == [[str(self.seed)]]
        self.w.query("SELECT pg_advisory_unlock_all()")

    def copied(self, nonce):
        self.w.send(wire.query(f"COPY (SELECT '{nonce}' FROM generate_series(1, 20)) TO STDOUT"))
        messages = self.w.until("Z")
        for e in (m for m in messages if m.kind == "E"):
            self.w.status = "I"
            raise wire.ServerError(e.fields())
        assert [m.body for m in messages if m.kind == "d"] == 20 * [nonce.encode() + b"\n"]
        self.w.send(wire.query("COPY echoes FROM STDIN"), wire.copy_data(f"{nonce}\n".encode()), wire.copy_done())
        self.w.finish()

    def failing(self, nonce):
        with pytest.raises(wire.ServerError) as e:
            self.rng.choice([self.w.query, self.w.extended])(f"SELECT '{nonce}'::text::int")
        if e.value.sqlstate != "22P02":
            raise e.value
        assert f'"{nonce}"' in e.value.message

    def late(self, nonce):
        """PostgreSQL says "user request" of its own time limit when that strikes as the statement ends."""
        self.w.query("SET statement_timeout = 10")
        with pytest.raises(wire.ServerError) as e:
            self.w.query(f"SELECT '{nonce}' FROM pg_sleep(5)")
        if e.value.sqlstate != CANCELLED or e.value.level == "FATAL":
            raise e.value
        self.w.query("RESET statement_timeout")

    def cancelled(self, nonce):
        """While it waits for a server, mostly, or in a block, where it has one."""
        if block := self.rng.random() < 0.5:
            self.w.query("BEGIN; SELECT 1")
        self.w.send(wire.query(f"SELECT '{nonce}' FROM pg_sleep({self.rng.uniform(0, 0.02)})"))
        try:
            wire.send_cancel("127.0.0.1", self.weir.port, self.w.pid, self.w.secret)
        except wire.Closed:
            pass
        assert self.w.finish() == [[nonce]]
        if block:
            self.w.query("COMMIT")

    def vanish(self, nonce):
        if self.rng.random() < 0.8:
            return
        self.w.send(wire.query(f"SELECT '{nonce}' FROM pg_sleep(0.01)"))
        self.w.reset()
        self.connect()


def crowd(weir, count, hurt):
    end = time.monotonic() + SECONDS
    return end, [Worker(Echo(weir, seed, end, hurt).run) for seed in range(count)]


def finish(weir, workers):
    """Everybody was served, and nothing is left."""
    results = [w.result(60) for w in workers]
    assert all(answers for answers, _ in results), "everybody was served"
    end = time.monotonic() + 20
    while any((left := weir.pool())[what] != "0" for what in ("cl_waiting", "cl_active", "sv_active", "sv_used")):
        assert time.monotonic() < end, f"no quiet pool: {left} {weir.console('SHOW SERVERS')} {weir.console('SHOW CLIENTS')}"
        time.sleep(0.05)
    wait_until(lambda: not weir.console("SHOW PINS"), 10, "no pins")


def hurt_somebody(weir, cluster, rng):
    what = rng.random()
    if what < 0.6:
        pids = cluster.pids()
        if pids:
            cluster.sql("SELECT pg_terminate_backend(%s, 100)", (rng.choice(pids),))
    elif what < 0.9:
        clients = [row["id"] for row in weir.console("SHOW CLIENTS") if row["user"] == "app"]
        try:
            if clients:
                weir.console(f"KILL_CLIENT {rng.choice(clients)}")
        except wire.ServerError as e:
            assert e.sqlstate != "XX000", "it may be gone already"
    else:
        weir.reload(query_wait_timeout=rng.randint(20, 30))


@pytest.fixture
def echoes(cluster):
    cluster.sql("DROP TABLE IF EXISTS echoes; CREATE TABLE echoes (n text); GRANT ALL ON echoes TO app")


@pytest.mark.deadline(120 + SECONDS)
@pytest.mark.parametrize("hurt", [False, True])
def test_every_answer_belongs_to_its_question(make_weir, cluster, echoes, hurt):
    weir = make_weir(default_pool_size=5, query_wait_timeout=30)
    end, workers = crowd(weir, 200, hurt)
    rng = random.Random(SEED)
    while any(w.is_alive() for w in workers) and time.monotonic() < end + 60:
        if hurt and time.monotonic() < end:
            hurt_somebody(weir, cluster, rng)
        workers[0].join(0.05 if hurt else 0.5)
    finish(weir, workers)
    listening = [r[0] for r in cluster.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir listen'")]
    assert len(listening) <= 1, "one listens for all, and belongs to no pool"
    assert len(set(cluster.pids()) - set(listening)) <= 5


@pytest.mark.deadline(180 + SECONDS)
def test_the_same_with_reads_on_replicas_that_come_and_go(trio, trio_weir):
    trio.sql(0, "DROP TABLE IF EXISTS echoes; CREATE TABLE echoes (n text); GRANT ALL ON echoes TO app")
    trio.wait_caught_up()
    weir = trio_weir(trio, cluster={"balance": "round_robin"}, default_pool_size=5, query_wait_timeout=30)
    end, workers = crowd(weir, 60, True)
    rng = random.Random(SEED)
    while time.monotonic() < end:
        node = trio[rng.randrange(3)]
        what = rng.random()
        if what < 0.5:
            hurt_somebody(weir, node, rng)
        elif node is not trio[0]:
            node.freeze() if what < 0.75 else node.sql("SELECT pg_wal_replay_pause()")
            workers[0].join(rng.uniform(0.1, 1.5))
            node.thaw() if what < 0.75 else node.sql("SELECT pg_wal_replay_resume()")
        workers[0].join(0.05)
    results = [w.result(60) for w in workers]
    assert all(answers for answers, _ in results), "everybody was served"
    wait_until(lambda: all(row["sv_active"] == row["cl_waiting"] == "0" for row in weir.console("SHOW POOLS")), 20, "quiet pools")
