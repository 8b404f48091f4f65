# SPDX-License-Identifier: ISC
"""Clients that listen, or have made statements by PREPARE, move to the process that takes over: each notification
comes once, in order."""
import os
import signal
import threading

import pytest

from harness import wire
from harness.listeners import heralds, receive
from harness.wait import gone, stays_true, wait_until

MARKS = '"pgweir takes over"'


def test_statements_made_by_prepare_move(weir):
    w, plain = weir.wire(), weir.wire()
    w.query("SET search_path = pg_catalog")
    w.query("PREPARE one (int) AS SELECT $1 + 1, current_schema()")
    w.query("PREPARE two AS SELECT 'it''s'")
    w.query("PREPARE three AS SELECT 3")
    w.query("DEALLOCATE three")
    assert gone(weir.take_over()) == 0
    for _ in range(2):
        assert w.query("EXECUTE one(41)") == [["42", "pg_catalog"]]
        assert w.query("EXECUTE two") == [["it's"]]
        with pytest.raises(wire.ServerError, match="26000"):
            plain.query("EXECUTE two")
    with pytest.raises(wire.ServerError, match="26000"):
        w.query("EXECUTE three")
    w.query("DEALLOCATE ALL")
    with pytest.raises(wire.ServerError, match="26000"):
        w.query("EXECUTE one(1)")
    assert w.notices == []


def test_heavy_clients_move_one_after_the_other(make_weir):
    weir = make_weir(workers=2)
    clients = [weir.wire(seconds=30) for _ in range(30)]
    for i, w in enumerate(clients):
        w.send(*[wire.parse(f"s{n}", f"SELECT {i} /* {'x' * 60000} {i} {n} */") for n in range(30 if i % 2 else 1)], wire.sync())
        w.until("Z")
    assert gone(weir.take_over()) == 0
    for i, w in enumerate(clients):
        w.send(wire.bind("", f"s{29 if i % 2 else 0}"), wire.execute(), wire.sync())
        assert w.finish() == [[str(i)]]


@pytest.mark.parametrize("workers", [1, 3])
def test_listeners_move_and_go_on_hearing(make_weir, cluster, workers):
    weir = make_weir(workers=workers)
    listeners = [weir.wire() for _ in range(9)]
    for i, w in enumerate(listeners):
        w.query("LISTEN every")
        w.query(f'LISTEN "own {i}"')
    sender, before = weir.wire(), heralds(cluster)
    sender.query("NOTIFY every, 'before'")
    assert gone(weir.take_over()) == 0
    sender.query("NOTIFY every, 'after'")
    for i in range(9):
        sender.query(f"NOTIFY \"own {i}\", 'mine'")
    for i, w in enumerate(listeners):
        assert receive(w, 3) == [("every", "before"), ("every", "after"), (f"own {i}", "mine")]
        assert w.query("UNLISTEN every") == [] and w.notices == []
    sender.query("NOTIFY every, 'nobody'; NOTIFY \"own 0\", 'again'")
    assert receive(listeners[0], 4)[3] == ("own 0", "again")
    assert len(heralds(cluster)) == 1 and heralds(cluster) != before
    assert weir.console("SHOW LISTENERS")[0]["clients"] == "9"
    assert [w.value("SELECT 1") for w in listeners] == ["1"] * 9


def test_each_comes_once_in_order_over_many_restarts(make_weir):
    weir = make_weir(workers=2, drain_timeout=60)
    listeners = [weir.wire(seconds=30) for _ in range(40)]
    for w in listeners:
        w.query("LISTEN a; LISTEN b")
    sent, over, error = [], threading.Event(), []

    def notify(name):
        try:
            w, n = weir.wire(seconds=30), 0
            while not over.is_set():
                w.query(f"SELECT pg_notify('a', '{name} {n}'), pg_notify('b', 'same')")
                sent.append(name)
                n += 1
        except BaseException as e:
            error.append(e)
    threads = [threading.Thread(target=notify, args=(name,), daemon=True) for name in ("x", "y")]
    for t in threads:
        t.start()
    for _ in range(4):
        before = len(sent)
        old = weir.take_over()
        wait_until(lambda: error or len(sent) > before + 20, 20)
        assert gone(old) == 0
    over.set()
    for t in threads:
        t.join(30)
    assert error == []
    weir.wire().query("NOTIFY b, 'end'")
    for w in listeners:
        while w.notifications[-1:] != [("b", "end")]:
            w.receive()
        assert w.notices == []
        for name in ("x", "y"):
            mine = [p for c, p in w.notifications if c == "a" and p.startswith(name)]
            assert mine == [f"{name} {n}" for n in range(sent.count(name))]
        assert w.notifications.count(("b", "same")) == len(sent)


def test_a_busy_listener_moves_afterwards(weir):
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN news")
    w.query("BEGIN; SELECT 1")
    old = weir.take_over()
    sender.query("NOTIFY news, 'meanwhile'")
    assert w.value("SELECT 2") == "2" and w.notifications == []
    w.query("COMMIT")
    assert receive(w, 1) == [("news", "meanwhile")]
    assert gone(old) == 0
    sender.query("NOTIFY news, 'moved'")
    assert receive(w, 2)[1] == ("news", "moved")


def test_nobody_moves_before_the_old_connection_hears_marks(weir, cluster):
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN news")
    pid = heralds(cluster)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        old = weir.take_over()
        stays_true(lambda: old.poll() is None, 0.5)
        sender.query("NOTIFY news, 'meanwhile'")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert gone(old) == 0
    assert receive(w, 1) == [("news", "meanwhile")] and w.notices == []


def test_a_mark_that_is_not_heard_is_given_up(make_weir, cluster):
    weir = make_weir(drain_timeout=10)
    stays, w, sender = weir.wire(), weir.wire(), weir.wire()
    stays.query(f"LISTEN {MARKS}")
    w.query("LISTEN news")
    pid = heralds(cluster)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        old = weir.take_over()
        while not w.notices:
            w.receive(30) # drain_timeout, and what comes after it
    finally:
        os.kill(pid, signal.SIGCONT)
    assert w.notices[0]["M"] == "notifications may have been missed"
    sender.query("NOTIFY news, 'moved'")
    assert receive(w, 1) == [("news", "moved")]
    assert [m.fields()["C"] for m in stays.expect_closed(20) if m.kind == "E"] == ["57P01"]
    assert gone(old) == 0


def test_who_cannot_be_heard_for_stays_and_misses_nothing(make_weir):
    weir = make_weir(drain_timeout=30)
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN news")
    weir.general["pool_mode"] = "session" # where LISTEN is the server's own
    weir.write()
    old = weir.take_over()
    weir.wait_log("nobody can listen for it")
    sender.query("NOTIFY news, 'stayed'")
    assert receive(w, 1) == [("news", "stayed")]
    assert old.poll() is None and w.value("SELECT 1") == "1"
    w.close()
    assert gone(old) == 0


def test_what_came_while_the_new_process_tried_in_vain_is_not_lost(make_weir, cluster):
    weir = make_weir(drain_timeout=30)
    w = weir.wire()
    w.query("LISTEN news")
    weir.databases["app"]["port"] = 1
    weir.write()
    old = weir.take_over()
    weir.wait_log("cannot listen")
    with cluster.connect(dbname="app") as c:
        c.execute("NOTIFY news, 'meanwhile'")
    assert receive(w, 1, 20) == [("news", "meanwhile")] and w.notices == []
    assert old.poll() is None and w.value("SELECT 1") == "1"
    w.close()
    assert gone(old) == 0


def test_the_new_process_is_killed_while_listeners_move(make_weir, cluster):
    weir = make_weir(drain_timeout=30)
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN news")
    sender.query("BEGIN; SELECT 1")
    pid = heralds(cluster)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        old = weir.take_over()
        weir.process.kill()
        weir.process.wait(10)
    finally:
        os.kill(pid, signal.SIGCONT)
    weir.process = weir.olds.pop()
    assert weir.process is old
    weir.wait_log("this one goes on")
    sender.query("NOTIFY news, 'here'; COMMIT")
    assert receive(w, 1) == [("news", "here")] and w.notices == []
    assert gone(weir.take_over()) == 0
    sender.query("NOTIFY news, 'there'")
    assert receive(w, 2)[1] == ("news", "there")


def test_listeners_of_a_cluster_move_each_with_its_encoding(trio, trio_weir):
    weir = trio_weir(trio, warm=False)
    plain, latin, sender = weir.wire(), weir.wire(client_encoding="LATIN1"), weir.wire()
    for w in (plain, latin):
        w.query("LISTEN news")
    assert gone(weir.take_over()) == 0
    sender.query("NOTIFY news, 'moved'")
    for w in (plain, latin):
        assert receive(w, 1) == [("news", "moved")] and w.notices == []
