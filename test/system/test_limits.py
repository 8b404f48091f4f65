# SPDX-License-Identifier: ISC
"""Limits on clients and on waiting."""
import time

import pytest

from harness import wire
from harness.wait import run_all, wait_until


def refused(weir, *who):
    with pytest.raises(wire.ServerError) as e:
        weir.wire(*who)
    assert (e.value.level, e.value.sqlstate, e.value.message) == ("FATAL", "53300", "sorry, too many clients already")
    return e.value


def test_max_client_conn_is_exact_and_says_so(make_weir):
    weir = make_weir(max_client_conn=5)
    clients = [weir.wire() for _ in range(5)]
    error = refused(weir)
    assert "max_client_conn" in error.detail and error.hint
    assert clients[0].value("SELECT 1") == "1"
    clients[4].send(wire.terminate())
    clients[4].expect_closed()

    def again():
        try:
            return weir.wire()
        except wire.ServerError:
            return None
    assert wait_until(again).value("SELECT 2") == "2"


def test_max_client_conn_is_exact_when_many_come_at_once(make_weir):
    weir = make_weir(max_client_conn=20, workers=2)

    def one():
        try:
            return weir.wire()
        except wire.ServerError as e:
            assert e.sqlstate == "53300"
            return None
    assert sum(c is not None for c in run_all([one] * 50)) == 20


@pytest.mark.parametrize("where", ["general", "database"])
def test_clients_of_a_database_are_limited(make_weir, where):
    if where == "general":
        weir = make_weir(max_db_client_connections=2)
    else:
        weir = make_weir(databases={"app": {"max_db_client_connections": 2}, "app2": {}})
    a, b = weir.wire(), weir.wire("app2")
    assert "max_db_client_connections" in refused(weir).detail
    assert weir.wire("app", "app2").value("SELECT 1") == "1"
    assert a.value("SELECT 1") == b.value("SELECT 1") == "1"


@pytest.mark.parametrize("where", ["general", "user"])
def test_clients_of_a_user_are_limited(make_weir, where):
    if where == "general":
        weir = make_weir(max_user_client_connections=2)
    else:
        weir = make_weir(users={"app": {"max_user_client_connections": 2}})
    clients = [weir.wire(), weir.wire("app", "app2")]
    assert "max_user_client_connections" in refused(weir).detail
    assert weir.wire("app2").value("SELECT 1") == "1"
    assert len(clients) == 2


def test_admins_get_in_when_clients_are_at_their_limit(make_weir):
    weir = make_weir(max_client_conn=2)
    clients = [weir.wire(), weir.wire()]
    assert weir.console("SHOW VERSION")
    assert len(clients) == 2


def test_waiting_too_long_is_an_error_and_the_client_stays(make_weir):
    weir = make_weir(default_pool_size=1, query_wait_timeout=1)
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    start = time.monotonic()
    with pytest.raises(wire.ServerError) as e:
        waiter.query("SELECT 1")
    assert 0.8 <= time.monotonic() - start < 5
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "53300")
    assert e.value.message == "no server connection became free within 1 s"
    assert e.value.detail and e.value.hint
    assert waiter.status == "I"
    holder.query("COMMIT")
    assert waiter.value("SELECT 'kept'") == "kept"


def test_a_waiting_batch_that_times_out_skips_to_its_sync(make_weir):
    weir = make_weir(default_pool_size=1, query_wait_timeout="500ms")
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    waiter.send(wire.extended("SELECT 1"), wire.extended("SELECT 2"), wire.sync())
    assert waiter.kinds() == "EZ"
    holder.query("COMMIT")
    assert waiter.extended("SELECT 3") == [["3"]]


def test_query_wait_timeout_of_a_user_beats_the_general_one(make_weir):
    weir = make_weir(default_pool_size=1, query_wait_timeout=30, users={"app": {"query_wait_timeout": "300ms"}})
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    with pytest.raises(wire.ServerError, match="53300"):
        waiter.query("SELECT 1", seconds=5)
    assert holder.status == "T"
