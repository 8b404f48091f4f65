# SPDX-License-Identifier: ISC
"""Several instances behind one address: a cancel request that comes to the wrong one is passed on to the right one."""
import itertools
import socket
import threading

import psycopg
import pytest

from harness import wire
from harness.wait import Worker, stays_true, wait_until


@pytest.fixture
def make_peers(make_weir):
    """COUNT instances that know each other by their Unix sockets; with SHARED on one port."""
    def make(count=3, shared=True, **general):
        weirs = [make_weir(start=False, so_reuseport=1 if shared else 0, peer_id=i + 1,
                           **{"workers": 2, **general}) for i in range(count)]
        for w in weirs[1:] if shared else []:
            w.port = w.general["listen_port"] = weirs[0].port
        for w in weirs:
            w.peers = {str(i + 1): {"host": other.folder, "port": other.port} for i, other in enumerate(weirs)}
            w.write()
            w.start()
        return weirs
    return make


def cancelled(cluster, client, port, marker, host="127.0.0.1"):
    """The query that CLIENT runs is stopped by a cancel request to HOST and PORT."""
    client.send(wire.query(f"SELECT pg_sleep(30) /* {marker} */"))
    wait_until(lambda: cluster.at_work(marker))
    wire.send_cancel(host, port, client.pid, client.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        client.finish(5)
    assert client.value("SELECT 1") == "1"


def test_on_one_port_every_cancel_arrives(make_peers, cluster):
    weirs = make_peers()
    for i in range(12):
        with wire.Wire("127.0.0.1", weirs[0].port) as c:
            cancelled(cluster, c.login(), weirs[0].port, f"shared{i}")


@pytest.mark.parametrize("version", [wire.PROTOCOL_3_0, wire.PROTOCOL_3_0 + 2])
def test_a_cancel_at_the_wrong_instance_is_passed_on(make_peers, cluster, version):
    one, two, three = make_peers(shared=False)
    c = one.raw().login(version=version)
    assert len(c.secret) == (32 if version != wire.PROTOCOL_3_0 else 4)
    cancelled(cluster, c, two.port, f"second{version}")
    cancelled(cluster, c, three.port, f"third{version}")
    cancelled(cluster, c, one.port, f"first{version}")


def test_by_name_and_by_address(make_peers, cluster):
    one, two = make_peers(2, shared=False)
    c = one.wire()
    for host in ("localhost", "127.0.0.1"):
        two.peers["1"] = {"host": host, "port": one.port}
        two.reload()
        cancelled(cluster, c, two.port, host)


def test_behind_a_dumb_balancer(make_peers, cluster):
    weirs = make_peers(shared=False)
    turns = itertools.cycle(w.port for w in weirs)
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", next(turns)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        for i in range(6):
            with psycopg.connect(weirs[0].dsn(port=port), autocommit=True) as c:
                query = Worker(c.execute, f"SELECT pg_sleep(30) /* balanced{i} */")
                wait_until(lambda: cluster.at_work(f"balanced{i}"))
                c.cancel()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    query.result(5)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_a_key_of_nobody_goes_round_no_more_than_three_times(make_peers):
    """Two instances that each believe the other to be peer 3."""
    one, two = make_peers(2, shared=False)
    one.peers["3"] = {"host": two.folder, "port": two.port}
    two.peers["3"] = {"host": one.folder, "port": one.port}
    one.reload()
    two.reload()
    wire.send_cancel("127.0.0.1", one.port, 0x41030001, b"\x00\x00\x00\x03")
    wait_until(lambda: "was passed on too often" in one.log() + two.log())
    assert (one.log() + two.log()).count("was passed on too often") == 1
    stays_true(lambda: all(r["cl_active_cancel_req"] == r["cl_waiting_cancel_req"] == "0"
                           for w in (one, two) for r in w.console("SHOW PEER_POOLS")), 0.2)


def test_a_wrong_secret_cancels_nothing(make_peers, cluster):
    one, two = make_peers(2, shared=False)
    c = one.wire()
    c.send(wire.query("SELECT 'done' FROM pg_sleep(1.5) /* wrong */"))
    wait_until(lambda: cluster.at_work("wrong"))
    for bit in (1, 0x80):
        wire.send_cancel("127.0.0.1", two.port, c.pid, bytes([c.secret[0] ^ bit]) + c.secret[1:])
    assert c.finish() == [["done"]]


def test_a_peer_that_does_not_answer_holds_up_nobody(make_peers, cluster):
    one, two = make_peers(2, shared=False, cancel_wait_timeout=1)
    silent = socket.create_server(("127.0.0.1", 0))
    two.peers["3"] = {"host": "127.0.0.1", "port": silent.getsockname()[1], "pool_size": 1}
    two.reload()
    for i in range(3):
        wire_end = socket.create_connection(("127.0.0.1", two.port))
        wire_end.sendall(wire.cancel(0x41030001, bytes([i, 0, 0, 3])))
        wire_end.close()

    def row():
        return next(r for r in two.console("SHOW PEER_POOLS") if r["peer_id"] == "3")
    wait_until(lambda: (row()["cl_active_cancel_req"], row()["cl_waiting_cancel_req"]) == ("1", "2"))
    assert (row()["sv_active_cancel"], row()["sv_login"]) == ("1", "0")
    cancelled(cluster, one.wire(), two.port, "past_silence")
    wait_until(lambda: two.log().count("did not reach peer 3: no answer in time") == 3)
    assert (row()["cl_active_cancel_req"], row()["cl_waiting_cancel_req"]) == ("0", "0")
    silent.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_more_cancels_than_may_be_under_way_are_dropped_and_counted(make_peers, cluster, workers):
    one, two = make_peers(2, shared=False, cancel_wait_timeout=8, workers=workers)
    silent = socket.create_server(("127.0.0.1", 0))
    two.peers["3"] = {"host": "127.0.0.1", "port": silent.getsockname()[1], "pool_size": 1}
    two.reload()
    for i in range(1030):
        with socket.create_connection(("127.0.0.1", two.port)) as s:
            s.sendall(wire.cancel(0x41030001, bytes([i % 256, i // 256, 0, 3])))

    def lists():
        return {r["list"]: r["items"] for r in two.console("SHOW LISTS")}
    wait_until(lambda: lists()["dropped_cancel_requests"] == "30")
    assert lists()["cancel_requests"] == "1000"
    wait_until(lambda: lists()["cancel_requests"] == "0", 20)
    cancelled(cluster, one.wire(), two.port, "past_the_crowd")
    silent.close()


def test_show_peers(make_peers):
    one, two = make_peers(2, shared=False)
    assert one.console("SHOW PEERS") == [
        {"peer_id": str(i + 1), "host": w.folder, "port": str(w.port), "pool_size": "20"} for i, w in enumerate((one, two))]
    assert [r["peer_id"] for r in one.console("SHOW PEER_POOLS")] == ["1", "2"]
    lists = {r["list"]: r["items"] for r in one.console("SHOW LISTS")}
    assert (lists["peers"], lists["peer_pools"]) == ("2", "2")


def test_a_moved_client_is_found_by_its_peers(make_peers, cluster):
    one, two = make_peers(2, shared=False)
    c = one.wire()
    c.query("SELECT 1")
    old = one.take_over()
    wait_until(lambda: old.poll() is not None)
    cancelled(cluster, c, two.port, "moved_on")
