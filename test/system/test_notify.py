# SPDX-License-Identifier: ISC
"""LISTEN and NOTIFY are kept in transaction mode."""
import pytest

from harness.listeners import receive


def test_a_listener_gets_notifications_while_idle(weir):
    listener, sender = weir.wire(), weir.wire()
    listener.query("LISTEN news")
    for i in range(5):
        sender.query(f"NOTIFY news, '{i}'")
    assert receive(listener, 5) == [("news", str(i)) for i in range(5)]


def test_a_listener_gets_its_own_notification(weir):
    w = weir.wire()
    w.query("LISTEN me")
    w.query("NOTIFY me, 'hello'")
    assert receive(w, 1) == [("me", "hello")]


def test_nobody_else_hears(make_weir):
    weir = make_weir(default_pool_size=2)
    listener, other, sender = weir.wire(), weir.wire(), weir.wire()
    listener.query("LISTEN private")
    sender.query("NOTIFY private")
    receive(listener, 1)
    for _ in range(10):
        other.query("SELECT 1")
    assert other.notifications == [] and sender.notifications == []


def test_unlisten_ends_it_and_gives_the_server_back(make_weir):
    weir = make_weir(default_pool_size=1)
    w, other = weir.wire(), weir.wire()
    w.query("LISTEN a")
    w.query("UNLISTEN *")
    other.query("NOTIFY a")
    w.query("SELECT 1")
    assert w.notifications == []


def test_listen_of_a_client_that_left_is_forgotten(make_weir):
    weir = make_weir(default_pool_size=1)
    gone = weir.wire()
    gone.query("LISTEN ghost")
    gone.close()
    w = weir.wire()
    w.query("NOTIFY ghost")
    w.query("SELECT 1")
    assert w.notifications == []


def test_a_rolled_back_listen_does_not_count(weir):
    w, sender = weir.wire(), weir.wire()
    w.query("BEGIN; LISTEN never")
    w.query("ROLLBACK")
    sender.query("NOTIFY never")
    w.query("SELECT 1")
    assert w.notifications == []


def test_notify_in_a_transaction_comes_at_commit(weir):
    listener, sender = weir.wire(), weir.wire()
    listener.query("LISTEN tx")
    sender.query("BEGIN; NOTIFY tx, 'one'")
    listener.query("SELECT 1")
    assert listener.notifications == []
    sender.query("COMMIT")
    assert receive(listener, 1) == [("tx", "one")]


@pytest.mark.parametrize("count", [20])
def test_many_listeners_each_hear_once(make_weir, count):
    weir = make_weir(default_pool_size=count + 2)
    listeners = [weir.wire() for _ in range(count)]
    for w in listeners:
        w.query("LISTEN all_of_you")
    weir.wire().query("NOTIFY all_of_you, 'now'")
    for w in listeners:
        assert receive(w, 1) == [("all_of_you", "now")]
    for w in listeners:
        w.query("SELECT 1")
        assert len(w.notifications) == 1


@pytest.mark.deadline(20)
def test_psycopg_notifies_generator_works(weir):
    c = weir.connect()
    c.execute("LISTEN gen")
    weir.connect().execute("NOTIFY gen, 'x'")
    note = next(c.notifies())
    assert (note.channel, note.payload) == ("gen", "x")
