# SPDX-License-Identifier: ISC
"""Nobody ever sees an answer, a row, a setting or a notice that belongs to somebody else."""
import itertools
import random
import time

import pytest

from harness import wire
from harness.wait import Worker, wait_until

TOLERATED = {"40001", "08006", "08007", "57P01", "57014", "53300"}
_nonces = itertools.count()


class Echo:
    """A client whose every answer must hold its own last nonce."""

    def __init__(self, weir, seed, end):
        self.weir, self.rng, self.end = weir, random.Random(seed), end
        self.seed, self.answers, self.errors = seed, 0, 0

    def connect(self):
        self.w = self.weir.raw(20).login(application_name=f"echo{self.seed}")
        self.prepared = False

    def run(self):
        self.connect()
        while time.monotonic() < self.end:
            way = self.rng.choice([self.simple, self.extended, self.named, self.block, self.pipeline, self.setting, self.large,
                                   self.cancelled, self.vanish])
            try:
                way(f"n{self.seed}-{next(_nonces)}")
                self.answers += 1
            except wire.ServerError as e:
                assert e.sqlstate in TOLERATED, e
                self.errors += 1
                if e.level == "FATAL":
                    self.connect()
                elif self.w.status != "I":
                    self.w.query("ROLLBACK")
            except wire.Closed:
                raise AssertionError("closed without a word")
            for n in self.w.notices:
                assert f"mine {self.seed}" in n["M"] or "pin" in n["M"]
        self.w.close()
        return self.answers, self.errors

    def simple(self, nonce):
        assert self.w.query(f"SELECT '{nonce}'") == [[nonce]]

    def extended(self, nonce):
        assert self.w.extended("SELECT $1::text", [nonce]) == [[nonce]]

    def named(self, nonce):
        if not self.prepared:
            self.w.send(wire.parse("s", f"SELECT {self.seed}, $1::text"), wire.sync())
            self.w.finish()
            self.prepared = True
        self.w.send(wire.bind("", "s", [nonce]), wire.execute(), wire.sync())
        assert self.w.finish() == [[str(self.seed), nonce]]

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
        assert self.w.query("SELECT current_setting('myapp.mine'), current_setting('application_name')") \
            == [[nonce, f"echo{self.seed}"]]

    def large(self, nonce):
        assert self.w.query(f"SELECT repeat('{nonce}', 5000)") == [[nonce * 5000]]

    def cancelled(self, nonce):
        self.w.send(wire.query(f"SELECT '{nonce}' FROM pg_sleep({self.rng.uniform(0, 0.02)})"))
        wire.send_cancel("127.0.0.1", self.weir.port, self.w.pid, self.w.secret)
        assert self.w.finish() == [[nonce]]

    def vanish(self, nonce):
        if self.rng.random() < 0.8:
            return
        self.w.send(wire.query(f"SELECT '{nonce}' FROM pg_sleep(0.01)"))
        self.w.reset()
        self.connect()


@pytest.mark.deadline(90)
@pytest.mark.parametrize("kills", [False, True])
def test_every_answer_belongs_to_its_question(make_weir, cluster, kills):
    weir = make_weir(default_pool_size=5, query_wait_timeout=20)
    end = time.monotonic() + 4
    workers = [Worker(Echo(weir, seed, end).run) for seed in range(100)]
    rng = random.Random(5)
    while any(w.is_alive() for w in workers) and time.monotonic() < end + 40:
        pids = cluster.pids() if kills else []
        if pids:
            cluster.sql("SELECT pg_terminate_backend(%s, 100)", (rng.choice(pids),))
        else:
            workers[0].join(0.1)
    results = [w.result() for w in workers]
    assert all(answers for answers, _ in results), "everybody was served"
    wait_until(lambda: weir.pool()["cl_waiting"] == "0")
    assert len(cluster.pids()) <= 5
