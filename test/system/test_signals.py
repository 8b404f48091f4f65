# SPDX-License-Identifier: ISC
"""Signals, draining and exit codes."""
import os
import signal
import time

import pytest

from harness import wire
from harness.wait import stays_true, wait_until


def last_error(w, seconds=10):
    return [m.fields()["C"] for m in w.expect_closed(seconds) if m.kind == "E"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_idle_clients_are_told_and_the_end_is_clean(weir, how):
    clients = [weir.wire() for _ in range(5)]
    clients[0].query("SELECT 1")
    start = time.monotonic()
    assert weir.stop(how) == 0
    assert time.monotonic() - start < 3, "nobody was busy: no need to wait"
    for w in clients:
        assert last_error(w) == ["57P01"]


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN; SELECT 1"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_transaction_may_end_during_the_drain(make_weir, how, begin):
    weir = make_weir(drain_timeout=10)
    w = weir.wire()
    w.query(begin)
    weir.send_signal(how)
    for _ in range(5):
        assert w.value("SELECT 'still here'") == "still here"
    w.query("COMMIT")
    assert last_error(w) == ["57P01"]
    assert weir.wait() == 0


@pytest.mark.parametrize("way", [wire.Wire.query, wire.Wire.extended])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_transaction_without_a_statement_may_end_during_the_drain(make_weir, way, end):
    weir = make_weir(drain_timeout=10)
    w = weir.wire()
    way(w, "BEGIN")
    weir.send_signal(signal.SIGTERM)
    weir.wait_log("shutting down")
    way(w, end)
    assert w.status == "I" and last_error(w) == ["57P01"]
    assert weir.wait() == 0


def test_a_running_query_finishes_during_the_drain(make_weir, cluster):
    weir = make_weir(drain_timeout=10)
    w = weir.wire()
    w.send(wire.query("SELECT 'done' FROM pg_sleep(1)"))
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"))
    weir.send_signal(signal.SIGTERM)
    assert w.finish() == [["done"]]
    assert weir.wait() == 0


def test_waiting_clients_are_served_during_the_drain(make_weir):
    weir = make_weir(default_pool_size=1, drain_timeout=10)
    holder, waiter = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    waiter.send(wire.query("SELECT 'waited'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    weir.send_signal(signal.SIGTERM)
    holder.query("COMMIT")
    assert waiter.finish() == [["waited"]]
    assert weir.wait() == 0


def test_new_logins_are_refused_with_57P03_while_draining(make_weir):
    weir = make_weir(drain_delay=3, drain_timeout=5)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    weir.send_signal(signal.SIGTERM)

    def refused():
        try:
            weir.wire().close()
        except wire.ServerError as e:
            return e
    e = wait_until(refused, 2)
    assert (e.level, e.sqlstate, e.message) == ("FATAL", "57P03", 'no server is available for database "app"')
    assert e.detail and e.hint
    w.query("COMMIT")
    weir.send_signal(signal.SIGTERM)
    weir.wanted_status = (0, 4)
    assert weir.wait() in (0, 4)


def test_admins_get_in_by_unix_socket_while_draining(make_weir):
    weir = make_weir(drain_timeout=10)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    weir.send_signal(signal.SIGTERM)
    assert weir.raw(host=weir.folder).login("admin", "pgbouncer").query("SHOW STATE")
    w.query("COMMIT")
    assert weir.wait() == 0


def test_who_is_left_at_the_end_of_the_drain_is_cut_off_and_counted(make_weir, cluster):
    weir = make_weir(drain_timeout=1)
    weir.wanted_status = (4,)
    idle_in_tx, running = weir.wire(), weir.wire()
    idle_in_tx.query("BEGIN; SELECT 1")
    running.send(wire.query("SELECT pg_sleep(30)"))
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"))
    start = time.monotonic()
    assert weir.stop(signal.SIGTERM) == 4
    assert 0.8 < time.monotonic() - start < 6
    assert last_error(idle_in_tx)[-1:] == ["57P01"]
    assert last_error(running)[-1:] == ["57P01"]
    wait_until(lambda: not cluster.pids(), 5, "the long query cancelled")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_now(make_weir, how):
    weir = make_weir(drain_timeout=60)
    weir.wanted_status = (0, 4)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    weir.send_signal(how)
    weir.wait_log("shutting down")
    assert w.value("SELECT 1") == "1"
    weir.send_signal(how)
    start = time.monotonic()
    weir.wait(10)
    assert time.monotonic() - start < 4


def test_quit_ends_at_once(make_weir):
    weir = make_weir(drain_timeout=60)
    weir.wire().query("BEGIN; SELECT 1")
    start = time.monotonic()
    assert weir.stop(signal.SIGQUIT, 10) == 0
    assert time.monotonic() - start < 4


def test_usr1_pauses_and_usr2_resumes(weir):
    w = weir.wire()
    w.query("SELECT 1")
    weir.send_signal(signal.SIGUSR1)
    wait_until(lambda: {r["key"]: r["value"] for r in weir.console("SHOW STATE")}["paused"] == "yes")
    w.send(wire.query("SELECT 'held'"))
    with pytest.raises(TimeoutError):
        w.receive(0.3)
    weir.send_signal(signal.SIGUSR2)
    assert w.finish() == [["held"]]


def test_usr2_without_a_pause_does_nothing(weir):
    w = weir.wire()
    weir.send_signal(signal.SIGUSR2)
    assert w.value("SELECT 1") == "1"


def test_pipe_and_many_hups_harm_nobody(weir):
    w = weir.wire()
    weir.send_signal(signal.SIGPIPE)
    for _ in range(50):
        weir.send_signal(signal.SIGHUP)
    for i in range(50):
        assert w.value(f"SELECT {i}") == str(i)


def test_the_sockets_are_gone_after_the_end(weir):
    path = f"{weir.folder}/.s.PGSQL.{weir.port}"
    wait_until(lambda: os.path.exists(path))
    assert weir.stop() == 0
    assert not os.path.exists(path)


def test_in_a_file_of_pgbouncer_term_waits_for_clients(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", drain_timeout=30)
    w = weir.wire()
    w.query("SELECT 1")
    weir.send_signal(signal.SIGTERM)
    weir.wait_log("got SIGTERM")
    stays_true(lambda: w.value("SELECT 1") == "1", 0.5)
    w.close()
    assert weir.wait(5) == 0


def test_in_a_file_of_pgbouncer_int_waits_for_servers(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", drain_timeout=30)
    idle, busy = weir.wire(), weir.wire()
    busy.query("BEGIN")
    weir.send_signal(signal.SIGINT)
    idle.expect_closed()
    assert busy.value("SELECT 'to its end'") == "to its end"
    busy.query("COMMIT")
    assert weir.wait(5) == 0
