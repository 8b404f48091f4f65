# SPDX-License-Identifier: ISC
"""Timeouts of clients and queries: who is told what, and who is kept."""
import time

import pytest

from harness import wire
from harness.wait import wait_until


def fatal(w, seconds=8):
    """The last words of a connection that pgweir closes."""
    errors = [m.fields() for m in w.expect_closed(seconds) if m.kind == "E"]
    assert len(errors) == 1
    assert errors[0]["V"] == "FATAL"
    return errors[0]


def test_an_idle_client_is_closed(make_weir):
    w = make_weir(client_idle_timeout=1).wire()
    w.query("SELECT 1")
    f = fatal(w)
    assert (f["C"], f["M"]) == ("57P05", "terminating connection due to idle-session timeout")


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN; SELECT 1"])
def test_client_idle_timeout_spares_the_busy_and_those_in_a_transaction(make_weir, begin):
    weir = make_weir(client_idle_timeout="400ms")
    busy, waiting = weir.wire(), weir.wire()
    waiting.query(begin)
    assert busy.query("SELECT pg_sleep(1.2)")
    assert waiting.value("SELECT 1") == "1"


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN; SELECT 1"])
def test_idle_in_a_transaction_is_closed_and_rolled_back(make_weir, cluster, begin):
    weir = make_weir(idle_transaction_timeout=1, default_pool_size=1)
    w = weir.wire()
    w.query(begin)
    f = fatal(w)
    assert (f["C"], f["M"]) == ("25P03", "terminating connection due to idle-in-transaction timeout")
    assert weir.wire().value("SELECT 'free'") == "free"


def test_idle_transaction_timeout_spares_a_long_query(make_weir):
    weir = make_weir(idle_transaction_timeout="400ms")
    w = weir.wire()
    w.query("BEGIN")
    w.query("SELECT pg_sleep(1.2)")
    w.query("COMMIT")
    assert w.value("SELECT 1") == "1"


def test_a_long_query_is_cancelled_and_the_client_stays(make_weir):
    weir = make_weir(query_timeout=1)
    w = weir.wire()
    start = time.monotonic()
    with pytest.raises(wire.ServerError) as e:
        w.query("SELECT pg_sleep(20)")
    assert time.monotonic() - start < 6
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "57014")
    assert e.value.message == "canceling statement due to query_timeout"
    assert w.value("SELECT 'kept'") == "kept"


def test_query_timeout_counts_each_query_alone(make_weir):
    w = make_weir(query_timeout=1).wire()
    for _ in range(4):
        w.query("SELECT pg_sleep(0.4)")


def test_query_timeout_in_a_transaction_fails_the_transaction_only(make_weir):
    w = make_weir(query_timeout=1).wire()
    w.query("BEGIN")
    with pytest.raises(wire.ServerError, match="57014"):
        w.query("SELECT pg_sleep(20)")
    assert w.status == "E"
    w.query("ROLLBACK")
    assert w.value("SELECT 1") == "1"


def test_a_long_transaction_is_closed(make_weir, cluster):
    weir = make_weir(transaction_timeout=1, default_pool_size=1)
    w = weir.wire()
    w.query("BEGIN")
    end = time.monotonic() + 10
    with pytest.raises(wire.ServerError) as e:
        while time.monotonic() < end:
            w.query("SELECT pg_sleep(0.1)")
    assert (e.value.level, e.value.sqlstate) == ("FATAL", "25P04")
    assert e.value.message == "terminating connection due to transaction timeout"
    assert weir.wire().value("SELECT 1") == "1"


@pytest.mark.parametrize("transaction, idle, code", [("1s", "300ms", "25P03"), ("1s", 0, "25P04"), (0, "1s", "25P03"),
                                                     ("300ms", "5s", "25P04")])
def test_a_transaction_without_a_statement_has_both_its_limits(make_weir, transaction, idle, code):
    weir = make_weir(transaction_timeout=transaction, idle_transaction_timeout=idle, client_idle_timeout="100ms")
    w = weir.wire()
    w.query("BEGIN")
    assert fatal(w)["C"] == code


def test_timeouts_of_a_user_beat_the_general_ones(make_weir):
    weir = make_weir(users={"app": {"query_timeout": "500ms"}})
    with pytest.raises(wire.ServerError, match="57014"):
        weir.wire().query("SELECT pg_sleep(20)")
    assert weir.wire("app2").query("SELECT pg_sleep(1)")


def test_a_login_that_does_not_end_is_closed(make_weir):
    weir = make_weir(client_login_timeout=1, auth_type="scram-sha-256")
    silent, half, asked = weir.raw(), weir.raw(), weir.raw()
    half.send(wire.startup(user="app", database="app")[:-3])
    asked.send(wire.startup(user="app", database="app"))
    assert asked.receive().kind == "R"
    start = time.monotonic()
    for w in (silent, half, asked):
        w.expect_closed(8)
    assert time.monotonic() - start < 6


def test_one_login_timeout_covers_the_whole_login(make_weir):
    """A byte now and then does not buy more time."""
    weir = make_weir(client_login_timeout=1)
    w = weir.raw()
    start = time.monotonic()

    def dripped():
        try:
            w.send(b"\0")
            w.receive(0.1)
        except TimeoutError:
            return False
        except (wire.Closed, ConnectionError):
            return True
    w.send(b"\0\0\x20\0\0\3\0\0")
    wait_until(dripped, 8, "the end of a login of one byte at a time")
    assert time.monotonic() - start < 6


def test_a_reader_that_stalls_cannot_hold_a_server_for_ever(make_weir):
    weir = make_weir(default_pool_size=1, client_write_timeout=1)
    stalled = weir.wire()
    stalled.send(wire.query("SELECT repeat('s', 100000) FROM generate_series(1, 2000)"))
    stalled.until("T")
    assert weir.wire(seconds=9).value("SELECT 'served'") == "served"


def test_a_slow_reader_that_reads_is_not_stalled(make_weir):
    weir = make_weir(client_write_timeout=1)
    w = weir.wire()
    w.send(wire.query("SELECT repeat('s', 100000) FROM generate_series(1, 400)"))
    rows = 0
    start = time.monotonic()
    for m in iter(w.receive, None):
        rows += m.kind == "D"
        if m.kind == "Z":
            break
        if rows % 40 == 0:
            time.sleep(0.2)  # the slowness itself is the subject
    assert rows == 400 and time.monotonic() - start > 1.5


def test_a_server_that_is_not_there_is_reported_in_time(make_lone_weir):
    weir = make_lone_weir(databases={"app": {"host": "127.0.0.1", "port": 1}}, query_wait_timeout=2, server_connect_timeout=1)
    w = weir.raw(8)
    w.send(wire.startup(user="app", database="app"))
    errors = [m.fields() for m in w.expect_closed(8) if m.kind == "E"]
    assert [(f["V"], f["C"]) for f in errors] == [("FATAL", "57P03")]
    assert errors[0]["M"] == 'no server is available for database "app"'
    assert "127.0.0.1" in errors[0]["D"] and errors[0]["H"]
