# SPDX-License-Identifier: ISC
"""Clients that mean harm are closed within a deadline, cost little, and disturb nobody."""
import os
import random
import socket
import struct
import time

import pytest

from harness import wire
from harness.wait import wait_until


@pytest.fixture
def weir(make_weir):
    return make_weir(client_login_timeout=2)


@pytest.fixture
def bystander(weir):
    """A client that was there before and must not notice."""
    w = weir.wire()
    w.query("SELECT 1")
    yield w
    assert w.value("SELECT 'unharmed'") == "unharmed"
    assert weir.wire().value("SELECT 'next'") == "next"


def fatal_codes(w, seconds=5):
    messages = w.expect_closed(seconds)
    assert not {"Z", "D"} & {m.kind for m in messages}
    return [m.fields()["C"] for m in messages if m.kind == "E"]


@pytest.mark.deadline(90)
def test_2000_half_open_connections_do_not_delay_a_login(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    start_up = wire.startup(user="app", database="app")
    half = []
    try:
        for i in range(2000):
            s = socket.create_connection(("127.0.0.1", weir.port), 5)
            half.append(s)
            if i % 4:
                s.sendall(start_up[:len(start_up) * (i % 4) // 3])  # nothing, a third, two thirds, all: then a password is asked
        start = time.monotonic()
        for _ in range(3):
            assert weir.wire(password="app-pw").value("SELECT 1") == "1"
        assert time.monotonic() - start < 3
    finally:
        for s in half:
            s.close()


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": b"\0" * 1000,
    "ones": b"\xff" * 1000,
    "length 0": struct.pack("!ii", 0, 0x30000),
    "length 3": struct.pack("!ii", 3, 0x30000),
    "length 7": struct.pack("!i", 7) + b"\0\3\0",
    "negative length": struct.pack("!ii", -1, 0x30000),
    "huge length": struct.pack("!ii", 0x7fffffff, 0x30000),
    "long start-up": struct.pack("!ii", 200_000, 0x30000) + b"user\0" + b"a" * 199_000,
    "no terminator": struct.pack("!ii", 8 + 8, 0x30000) + b"user\0app",
    "key without value": struct.pack("!ii", 8 + 6, 0x30000) + b"user\0\0",
    "empty start-up": struct.pack("!ii", 8, 0x30000),
    "cancel too short": struct.pack("!iI", 12, wire.CANCEL_REQUEST) + b"\0\0\0\1",
    "cancel too long": struct.pack("!iI", 2000, wire.CANCEL_REQUEST) + b"\0" * 1992,
    "ssl request with body": struct.pack("!iI", 12, wire.SSL_REQUEST) + b"\0\0\0\0",
    "bad version": wire.startup(0x12345678, user="app", database="app"),
    "a query first": wire.query("SELECT 1"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_at_the_start_is_closed_soon(weir, bystander, name):
    w = weir.raw()
    w.send(GARBAGE[name])
    start = time.monotonic()
    try:
        while w.take(1):
            pass
    except (wire.Closed, ConnectionError):
        pass
    assert time.monotonic() - start < 5


def test_many_requests_for_tls_and_gss_end_in_a_close(weir, bystander):
    w = weir.raw()
    with pytest.raises((wire.Closed, ConnectionError)):
        for _ in range(1000):
            w.send(wire.packet(wire.SSL_REQUEST))
            w.take(1)


@pytest.mark.parametrize("first", [wire.terminate(), struct.pack("!i", 4), struct.pack("!i", -1)])
def test_what_cannot_be_a_start_up_packet_gets_no_answer(weir, bystander, first):
    w = weir.raw()
    w.send(first)
    assert w.expect_closed(5) == []


def test_a_start_up_packet_with_many_parameters_is_bounded(weir, bystander):
    w = weir.raw()
    body = b"user\0app\0database\0app\0" + b"".join(b"app.x%d\0y\0" % i for i in range(5000)) + b"\0"
    w.send(struct.pack("!ii", len(body) + 8, 0x30000) + body)
    assert fatal_codes(w) in (["08P01"], [])


@pytest.mark.parametrize("options", [
    "-c", "-c=", "--", "-c x", "-c =y", "\\", "-c work_mem=1MB\\", "- c", "-c" * 3000, "--=", "-cx=" + "y" * 9000])
def test_odd_options_never_spin_and_never_hang(weir, bystander, options):
    w = weir.raw(8)
    w.send(wire.startup(user="app", database="app", options=options))
    try:
        w.authenticate("app", None)
    except (wire.ServerError, wire.Closed):
        pass


AFTER_LOGIN = {
    "unknown type": wire.message("~", b"what"),
    "zero type": b"\0\0\0\0\4",
    "start-up again": wire.startup(user="admin", database="app"),
    "length 3": b"Q" + struct.pack("!i", 3),
    "negative length": b"Q" + struct.pack("!i", -2) + b"abc",
    "password now": wire.message("p", b"secret\0"),
    "a server's message": wire.message("Z", b"I"),
    "sync with body": wire.message("S", b"x"),
    "copy data out of place then garbage": wire.copy_data(b"x") + wire.message("?", b""),
}


@pytest.mark.parametrize("name", AFTER_LOGIN)
def test_a_broken_message_after_login_is_fatal_for_its_sender_alone(weir, bystander, name):
    w = weir.wire()
    w.send(AFTER_LOGIN[name])
    messages = w.expect_closed(5)
    codes = [m.fields()["C"] for m in messages if m.kind == "E"]
    assert codes in ([], ["08P01"])


BROKEN_BODIES = {
    "query without terminator": wire.message("Q", b"SELECT 1"),
    "parse of nothing": wire.message("P", b""),
    "parse with too many types": wire.message("P", b"\0SELECT 1\0" + struct.pack("!h", 30000)),
    "parse with negative types": wire.message("P", b"\0SELECT 1\0" + struct.pack("!h", -1)),
    "parse unterminated": wire.message("P", b"name"),
    "bind cut": wire.message("B", b"\0\0" + struct.pack("!hh", 0, 5)),
    "bind with a huge value": wire.message("B", b"\0\0" + struct.pack("!hhi", 0, 1, 0x7ffffff0)),
    "bind unterminated": wire.message("B", b"portal"),
    "describe of what": wire.message("D", b"X\0"),
    "describe empty": wire.message("D", b""),
    "close of what": wire.message("C", b"?\0"),
    "execute cut": wire.message("E", b"\0\0\0"),
    "function call cut": wire.message("F", struct.pack("!Ih", 1397, 1000)),
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_is_08P01_for_its_sender_alone(weir, bystander, name):
    """In band as PostgreSQL answers, or fatal: never a success, never silence, never a stuck server."""
    w = weir.wire()
    w.send(wire.parse("", "SELECT 1"), BROKEN_BODIES[name], wire.sync())
    codes, kinds = [], set()
    try:
        while "Z" not in kinds:
            m = w.receive(5)
            kinds.add(m.kind)
            if m.kind == "E":
                codes.append(m.fields()["C"])
    except wire.Closed:
        pass
    assert codes and set(codes) <= {"08P01", "0A000", "34000", "26000", "42704"}
    assert "D" not in kinds


def test_a_message_longer_than_allowed_is_refused_at_its_length(make_weir):
    weir = make_weir(max_packet_size=100_000)
    w = weir.wire()
    w.send(b"Q" + struct.pack("!i", 200_000) + b"SELECT 1")
    assert fatal_codes(w) == ["08P01"]
    assert weir.wire().value("SELECT 1") == "1"


def test_a_password_message_is_small(make_weir):
    weir = make_weir(auth_type="plain", client_login_timeout=30)
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    w.receive()
    w.send(b"p" + struct.pack("!i", 50_000_000))
    assert set(fatal_codes(w)) <= {"08P01", "28P01"}


def test_a_declared_gigabyte_costs_no_memory(weir, bystander):
    def resident_kb():
        with open(f"/proc/{weir.process.pid}/status") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    before = resident_kb()
    liars = [weir.wire() for _ in range(20)]
    for w in liars:
        w.send(b"Q" + struct.pack("!i", 1 << 30) + b"x" * 1000)
    assert weir.wire().value("SELECT 1") == "1"
    assert resident_kb() - before < 30_000


def test_a_half_sent_message_holds_no_server(make_weir):
    weir = make_weir(default_pool_size=1)
    half = [weir.wire() for _ in range(5)]
    for w in half:
        w.send(wire.query("SELECT 1")[:-4])
    assert weir.wire().value("SELECT 'free'") == "free"


def test_connections_that_come_and_go_leave_nothing_behind(weir, cluster, bystander):
    def descriptors():
        return len(os.listdir(f"/proc/{weir.process.pid}/fd"))
    before = descriptors()
    rng = random.Random(7)
    for _ in range(300):
        w = weir.raw()
        w.send(wire.startup(user="app", database="app")[:rng.randint(0, 30)])
        w.reset() if rng.random() < 0.5 else w.close()
    for _ in range(30):
        w = weir.wire()
        w.send(wire.query("SELECT pg_sleep(0.01)"))
        w.reset()
    wait_until(lambda: descriptors() <= before + 25, 10, "the descriptors closed")
    wait_until(lambda: weir.pool()["cl_active"] == "1")


def test_random_bytes_after_login_never_kill_it(weir, bystander):
    rng = random.Random(11)
    for _ in range(60):
        w = weir.wire()
        good = wire.extended("SELECT $1::int", [1]) + wire.sync() + wire.query("SELECT 1")
        spoilt = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        w.send(bytes(spoilt[:rng.randint(1, len(spoilt))]))
        w.reset() if rng.random() < 0.5 else w.close()


def test_control_bytes_from_outside_do_not_reach_the_log(weir, bystander):
    evil = "app\n2026-01-01 FAKE LOG LINE\x1b[31m"
    w = weir.raw()
    w.send(wire.startup(user=evil, database=evil, application_name=evil))
    w.expect_closed(5)
    log = weir.log()
    assert "\x1b" not in log
    assert not any(line.startswith("2026-01-01 FAKE") for line in log.split("\n"))


def test_a_deep_statement_does_not_stall_the_others(make_weir):
    """On one worker: whoever analyses these while the loop waits is felt by everybody. The first two take PostgreSQL's own
    lexer seconds, though they are shorter than 64 kB; a third one has a tree deeper than any stack."""
    weir = make_weir(workers=1)
    deep, bystander = weir.wire(seconds=30), weir.wire()
    bystander.query("SELECT 1")
    for text in ["/*" * 20000, "SELECT 1 " + "+-" * 20000, "SELECT " + "1+" * 30000 + "1", "SELECT " + "(" * 5000 + "1" + ")" * 5000,
                 "SELECT 1" + "::int" * 10000, "SELECT " + "case when " * 6000, "SELECT '" + "a" * 900_000, "SELECT $$" + "$" * 900_000]:
        deep.send(wire.query(text))
        start = time.monotonic()
        for _ in range(20):
            assert bystander.value("SELECT 1") == "1"
        assert time.monotonic() - start < 1, f"{text[:20]}... stalls the loop"
        try:
            deep.finish(20)
        except wire.ServerError:
            pass
