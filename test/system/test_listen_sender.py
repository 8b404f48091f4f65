# SPDX-License-Identifier: ISC
"""A notification names its sender as that one knows itself, and its own sender has it before it may go on."""
import os
import signal

import pytest

from harness import wire
from harness.listeners import heralds, receive
from harness.wait import run_all, wait_until


def senders(w, count):
    """Process ids and payloads of the first notifications."""
    return [(pid, payload) for pid, (_, payload) in zip(w.senders, receive(w, count, 20))]


SENDING = {"NOTIFY": lambda w: w.query("NOTIFY c, 'x'"),
           "pg_notify": lambda w: w.query("SELECT pg_notify('c', 'x')"),
           "prepared": lambda w: w.extended("SELECT pg_notify('c', $1)", ["x"]),
           "block": lambda w: [w.query(sql) for sql in ("BEGIN", "SELECT 1", "NOTIFY c, 'x'", "SELECT 2", "COMMIT")],
           "string": lambda w: w.query("SELECT 1; NOTIFY c, 'x'")}


@pytest.mark.parametrize("way", SENDING)
def test_the_sender_is_who_it_was_told_it_is(make_weir, way):
    weir = make_weir(default_pool_size=1)
    w, a, b = weir.wire(), weir.wire(), weir.wire()
    w.query("LISTEN c")
    for sender in [a, b, a, b, w, a]:
        SENDING[way](sender)
    assert senders(w, 6) == [(x.pid, "x") for x in [a, b, a, b, w, a]]


@pytest.mark.parametrize("way", SENDING)
def test_what_a_session_sends_itself_comes_before_it_may_go_on(make_weir, way):
    weir = make_weir(default_pool_size=2, workers=2)
    w, other = weir.wire(), weir.wire()
    w.query("LISTEN c")
    other.query("LISTEN c")
    for i in range(1, 51):
        SENDING[way](w)
        assert w.senders == [w.pid] * i
    assert senders(other, 50) == [(w.pid, "x")] * 50
    w.query("BEGIN; NOTIFY c; ROLLBACK")
    assert len(w.senders) == 50


def test_a_client_whose_notification_cannot_be_heard_goes_on(make_weir, cluster):
    weir = make_weir(default_pool_size=2)
    w = weir.wire()
    w.query("LISTEN c")
    pid, = heralds(cluster)
    w.query("BEGIN; NOTIFY c, 'x'")
    os.kill(pid, signal.SIGSTOP)
    try:
        w.send(wire.query("COMMIT"))
        w.until("C")
        os.kill(pid, signal.SIGTERM)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert w.until("Z")[-1].body == b"I"


def test_an_answer_that_comes_while_all_is_suspended_is_not_lost(make_weir, cluster):
    weir = make_weir()
    other, w, c = weir.wire(), weir.wire(), weir.raw().login("admin", "pgbouncer")
    other.query("LISTEN first")
    pid, = heralds(cluster)
    os.kill(pid, signal.SIGSTOP)
    try:
        w.send(wire.query("LISTEN second"))
        with pytest.raises(TimeoutError):
            w.receive(0.3)
        c.query("SUSPEND")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: weir.console("SHOW LISTENERS")[0]["channels"] == "2", 5, "the herald has answered")
    c.query("RESUME")
    assert w.finish() == []
    other.query("NOTIFY second, 'x'")
    assert receive(w, 1) == [("second", "x")]


def test_a_transaction_that_listens_knows_its_own_notification(make_weir):
    w = make_weir(default_pool_size=1).wire()
    w.query("BEGIN; LISTEN c; NOTIFY c, 'x'; COMMIT")
    assert senders(w, 1) == [(w.pid, "x")]


def test_who_sends_and_leaves_is_told_apart_from_the_next_one(make_weir):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.query("LISTEN c")
    pids = []
    for _ in range(30):
        sender = weir.wire()
        pids.append(sender.pid)
        sender.query("NOTIFY c, 'x'")
        sender.send(wire.terminate())
    assert senders(w, 30) == [(pid, "x") for pid in pids]


def test_nobody_else_is_taken_for_a_sender(make_weir, cluster, unique):
    """Many senders on few servers, and triggers that notify there unseen."""
    cluster.sql(f"""CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app;
        CREATE FUNCTION {unique}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''c'', ''trigger''); RETURN NULL; END';
        CREATE TRIGGER t AFTER INSERT ON {unique} FOR EACH ROW EXECUTE FUNCTION {unique}()""")
    weir = make_weir(default_pool_size=3, workers=2)
    w = weir.wire()
    w.query("LISTEN c")
    by_name, by_trigger = [weir.wire() for _ in range(8)], [weir.wire() for _ in range(4)]
    each = 40

    def send(client):
        for _ in range(each):
            client.query(f"NOTIFY c, '{client.pid}'" if client in by_name else f"INSERT INTO {unique} VALUES (1)")

    run_all([lambda c=c: send(c) for c in by_name + by_trigger])
    got = senders(w, each * (len(by_name) + len(by_trigger)))
    assert [g for g in got if g[1] != "trigger" and str(g[0]) != g[1]] == []
    told = {c.pid for c in by_name + by_trigger}
    assert [g for g in got if g[1] == "trigger" and g[0] in told] == []
    wait_until(lambda: weir.pool()["sv_active"] == "0")
    cluster.sql(f"DROP TABLE {unique} CASCADE; DROP FUNCTION {unique}()")


def test_the_sender_is_told_again_after_the_listening_connection_was_lost(make_weir, cluster):
    weir = make_weir(default_pool_size=2)
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN c")
    sender.query("BEGIN; NOTIFY c, 'lost'")
    was = heralds(cluster)
    cluster.sql(f"SELECT pg_terminate_backend({was[0]})")
    wait_until(lambda: heralds(cluster) not in ([], was))
    w.query("LISTEN d") # it is up again
    sender.query("COMMIT")
    sender.query("NOTIFY c, 'again'")
    assert senders(w, 2)[1] == (sender.pid, "again")
