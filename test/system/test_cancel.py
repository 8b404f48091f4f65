# SPDX-License-Identifier: ISC
"""Cancel requests reach their own client's query, wherever it is, and never another's."""
import random
import time

import psycopg
import pytest

from harness import wire
from harness.wait import Worker, run_all, wait_until


def test_psycopg_cancel_ends_a_running_query(weir, cluster):
    c = weir.connect()
    query = Worker(c.execute, "SELECT pg_sleep(30) /* cancel_me */")
    wait_until(lambda: cluster.at_work("cancel_me"))
    c.cancel()
    with pytest.raises(psycopg.errors.QueryCanceled):
        query.result(10)
    assert c.execute("SELECT 1").fetchone() == (1,)


def test_cancel_in_a_transaction_fails_it_and_keeps_the_client(weir, cluster):
    w = weir.wire()
    w.query("BEGIN")
    w.send(wire.query("SELECT pg_sleep(30) /* in_tx */"))
    wait_until(lambda: cluster.at_work("in_tx"))
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish()
    assert w.status == "E"
    w.query("ROLLBACK")
    assert w.value("SELECT 1") == "1"


def test_cancel_of_a_waiting_query_answers_57014_and_the_others_keep_their_place(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    holder, first, second = weir.wire(), weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    first.send(wire.query("SELECT 'first'"))
    second.send(wire.query("SELECT 'second'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "2")
    wire.send_cancel("127.0.0.1", weir.port, first.pid, first.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        first.finish(5)
    holder.query("COMMIT")
    assert second.finish() == [["second"]]
    assert first.value("SELECT 'again'") == "again"


def test_cancel_of_an_idle_client_does_nothing(weir):
    w = weir.wire()
    w.query("SELECT 1")
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    assert [w.value("SELECT 2") for _ in range(20)] == ["2"] * 20


def test_a_wrong_secret_cancels_nothing(weir, cluster):
    w = weir.wire()
    w.send(wire.query("SELECT pg_sleep(1) /* guarded */"))
    wait_until(lambda: cluster.at_work("guarded"))
    for secret in (b"\0\0\0\0", bytes(b ^ 1 for b in w.secret), w.secret + b"x", b"", w.secret * 8):
        wire.send_cancel("127.0.0.1", weir.port, w.pid, secret)
    wire.send_cancel("127.0.0.1", weir.port, w.pid ^ 1, w.secret)
    assert len(w.finish()) == 1


def test_cancel_keys_are_random_and_each_clients_own(weir):
    keys = {(w.pid, w.secret) for w in [weir.wire() for _ in range(20)]}
    assert len(keys) == 20
    assert len({secret for _, secret in keys}) > 15, "the secret part alone must be random"


def test_protocol_3_2_has_keys_of_32_bytes_that_work(weir, cluster):
    w = weir.raw()
    w.login(version=wire.PROTOCOL_3_2)
    assert len(w.secret) == 32
    w.send(wire.query("SELECT pg_sleep(30) /* long_key */"))
    wait_until(lambda: cluster.at_work("long_key"))
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret[:4])
    assert cluster.at_work("long_key"), "a prefix of the key is not the key"
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish()


def test_protocol_3_0_has_keys_of_4_bytes(weir):
    assert len(weir.wire().secret) == 4


def test_cancel_passes_when_the_pool_is_full(make_weir, cluster):
    weir = make_weir(default_pool_size=2)
    sleepers = [weir.wire() for _ in range(2)]
    for s in sleepers:
        s.send(wire.query("SELECT pg_sleep(30) /* full */"))
    wait_until(lambda: cluster.at_work("full") == 2)
    for s in sleepers:
        wire.send_cancel("127.0.0.1", weir.port, s.pid, s.secret)
    for s in sleepers:
        with pytest.raises(wire.ServerError, match="57014"):
            s.finish(5)


def test_a_cancel_never_hits_another_clients_query(make_weir):
    """Victims send short queries that must never fail; others cancel themselves around the moment their query ends."""
    weir = make_weir(default_pool_size=4)
    end = time.monotonic() + 3

    def victim():
        w, count = weir.wire(), 0
        while time.monotonic() < end:
            assert w.value("SELECT 'victim' FROM pg_sleep(0.002)") == "victim"
            count += 1
        return count

    def canceller(seed):
        rng, w, hits = random.Random(seed), weir.wire(), 0
        while time.monotonic() < end:
            w.send(wire.query(f"SELECT pg_sleep({rng.uniform(0, 0.05)})"))
            wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
            try:
                w.finish()
            except wire.ServerError as e:
                assert e.sqlstate == "57014"
                hits += 1
        return hits
    counts = run_all([victim] * 12 + [lambda s=s: canceller(s) for s in range(8)])
    assert min(counts[:12]) > 0 and sum(counts[12:]) > 0, "somebody was cancelled, and everybody was served"


def test_a_client_that_leaves_during_its_query_frees_the_server_soon(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.send(wire.query("SELECT pg_sleep(30) /* left */"))
    wait_until(lambda: cluster.at_work("left"))
    w.reset()
    assert weir.wire(seconds=8).value("SELECT 'served'") == "served"


@pytest.mark.parametrize("workers", [1, 3])
def test_when_the_cancel_connection_is_closed_no_cancel_is_under_way(make_weir, workers):
    """libpq waits for that before the client goes on: what it runs next is safe."""
    weir = make_weir(workers=workers)
    w = weir.wire()
    stopped = 0
    for i in range(60):
        w.send(wire.query(f"SELECT pg_sleep({0.0005 * (i % 10)}) /* {i} */"))
        wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
        try:
            w.finish(5)
        except wire.ServerError as e:
            assert e.sqlstate == "57014"
            stopped += 1
        assert w.value("SELECT 'safe'") == "safe"
    print(f"{stopped} of 60 were stopped")
