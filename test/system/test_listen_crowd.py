# SPDX-License-Identifier: ISC
"""Many who listen and notify at random: each notification comes once, in order, and nothing else does."""
import random
import threading
import time

import pytest

from harness import wire
from harness.listeners import heralds, quiet
from harness.wait import wait_until

CHANNELS = ["c0", "c1", "c2", "c3"]


class Notifier(threading.Thread):
    """Random transactions; keeps what it has committed: (channel, payload, begun, done)."""

    def __init__(self, weir, number, over):
        super().__init__(daemon=True)
        self.w, self.number, self.over = weir.wire(seconds=30), number, over
        self.random = random.Random(number)
        self.committed, self.undone = [], set()

    def run(self):
        n = 0
        while not self.over.is_set():
            kept, undone = [], []
            parts = ["BEGIN"]
            for _ in range(self.random.randint(1, 3)):
                fate = self.random.choice(["keep", "keep", "undo"])
                pairs = []
                for _ in range(self.random.randint(1, 2)):
                    n += 1
                    pairs.append((self.random.choice(CHANNELS), f"{self.number}:{n}"))
                notify = [f"NOTIFY {c}, '{p}'" for c, p in pairs]
                if fate == "undo":
                    parts += ["SAVEPOINT s"] + notify + ["ROLLBACK TO s"]
                    undone += pairs
                else:
                    parts += notify
                    kept += pairs
            end = self.random.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])
            whole = self.random.random() < 0.5
            for sql in ["; ".join(parts)] if whole else parts:
                self.w.query(sql)
            begun = time.monotonic()
            self.w.query(end)
            done = time.monotonic()
            if end == "ROLLBACK":
                undone += kept
            else:
                self.committed += [(c, p, begun, done) for c, p in kept]
            self.undone.update(p for _, p in undone)


class Listener(threading.Thread):
    """Listens and unlistens at random; keeps when it surely did and surely did not: {channel: [(from, to)]}."""

    def __init__(self, weir, number, over):
        super().__init__(daemon=True)
        self.w, self.over = weir.wire(seconds=30), over
        self.random = random.Random(1000 + number)
        self.may = {c: [] for c in CHANNELS}   # [asked, unlisten answered]
        self.must = {c: [] for c in CHANNELS}  # [answered, ...]: only what is never unlistened
        self.error = None

    def transaction(self):
        now = {c: bool(self.may[c]) and self.may[c][-1][1] is None for c in CHANNELS}
        then, asked, parts = dict(now), time.monotonic(), []
        for _ in range(self.random.randint(1, 3)):
            c, on = self.random.choice(CHANNELS), self.random.random() < 0.7
            undone = self.random.random() < 0.3
            parts += ["SAVEPOINT s"] * undone + [f"{'' if on else 'UN'}LISTEN {c}"] + ["ROLLBACK TO s"] * undone
            if not undone:
                then[c] = on
        end = self.random.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        for sql in ["BEGIN", *parts, end]:
            self.random.choice([self.w.query, self.w.extended])(sql)
        if end == "ROLLBACK":
            then = now
        answered = time.monotonic()
        for c in CHANNELS:
            if then[c] and not now[c]:
                self.may[c].append([asked, None])
                self.must[c] = [answered]
            elif now[c] and not then[c]:
                self.may[c][-1][1] = answered
                self.must[c] = []

    def run(self):
        try:
            while not self.over.is_set():
                self.transaction()
                self.w.query("SELECT 1")
                end = time.monotonic() + self.random.random() * 0.05
                while time.monotonic() < end:
                    try:
                        self.w.receive(0.01)
                    except TimeoutError:
                        break
            self.w.query("LISTEN mark")
        except BaseException as e:
            self.error = e

    def check(self, notifiers):
        got = self.w.notifications
        every = set(got)
        assert len(every) == len(got), "one came twice"
        for n in notifiers:
            mine = [p for _, p in got if p.startswith(f"{n.number}:")]
            assert mine == sorted(mine, key=lambda p: int(p.split(":")[1])), "out of order"
            assert not n.undone & set(mine), "one was rolled back"
            for c, p, begun, done in n.committed:
                may = any(done > a and (b is None or begun < b) for a, b in self.may[c])
                must = bool(self.must[c]) and begun > self.must[c][0]
                assert not must or (c, p) in every, f"{c} {p} did not come"
                assert may or (c, p) not in every, f"{c} {p} came and was not listened to"


@pytest.mark.deadline(120)
@pytest.mark.parametrize("size", [2, 5])
def test_each_committed_notification_comes_once_in_order_and_nothing_else(make_weir, size):
    weir = make_weir(default_pool_size=size)
    over = threading.Event()
    notifiers = [Notifier(weir, i, over) for i in range(4)]
    listeners = [Listener(weir, i, over) for i in range(6)]
    for t in notifiers + listeners:
        t.start()
    time.sleep(5)
    over.set()
    for t in notifiers + listeners:
        t.join(30)
    assert [x.error for x in listeners] == [None] * 6
    quiet(weir, *[x.w for x in listeners])
    assert [x.w.notices for x in listeners] == [[]] * 6
    assert sum(len(n.committed) for n in notifiers) > 50
    for x in listeners:
        x.check(notifiers)


@pytest.mark.deadline(120)
def test_the_same_while_the_listening_connection_is_killed(make_weir, cluster):
    weir = make_weir(default_pool_size=5, server_login_retry="0.1")
    listeners = [weir.wire(seconds=30) for _ in range(5)]
    for w in listeners:
        w.query("LISTEN mark; " + "; ".join(f"LISTEN {c}" for c in CHANNELS))
    for n in range(5):
        over = threading.Event()
        disturbed = [Notifier(weir, 100 + n, over)]
        disturbed[0].start()
        old = heralds(cluster)[0]
        cluster.terminate(old)
        for w in listeners:
            while len(w.notices) < n + 1:
                w.receive()
        over.set()
        disturbed[0].join(30)
        quiet(weir, *listeners)
        for w in listeners: # some may be missing, none doubled or wrong
            got = [p for _, p in w.notifications]
            assert len(set(got)) == len(got) and got == sorted(got, key=lambda p: int(p.split(":")[1]))
            assert set(got) <= {p for _, p, _, _ in disturbed[0].committed}
            w.notifications.clear()
        over = threading.Event()
        notifiers = [Notifier(weir, i, over) for i in range(3)]
        for t in notifiers:
            t.start()
        wait_until(lambda: all(len(t.committed) > 5 for t in notifiers), 30)
        over.set()
        for t in notifiers:
            t.join(30)
        quiet(weir, *listeners)
        sent = sorted(p for t in notifiers for _, p, _, _ in t.committed)
        for w in listeners:
            assert sorted(p for _, p in w.notifications) == sent and len(w.notices) == n + 1
            w.notifications.clear()


def test_clients_that_come_and_go(make_weir, cluster):
    weir = make_weir(default_pool_size=3)
    steady = weir.wire()
    steady.query("LISTEN c; LISTEN mark")
    for i in range(60):
        w = weir.wire()
        w.send(wire.query(f"LISTEN c; LISTEN own_{i}"))
        if i % 3:
            w.finish()
        w.reset() if i % 2 else w.close()
    steady.query("NOTIFY c, 'still'")
    quiet(weir, steady)
    assert steady.notifications == [("c", "still")]
    wait_until(lambda: weir.console("SHOW LISTENERS")[0]["clients"] == "1")
    assert len(heralds(cluster)) == 1
