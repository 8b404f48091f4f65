# SPDX-License-Identifier: ISC
"""The connection that listens for all sessions is lost, refused, paused, moved, looked at."""
import os
import signal

import pytest

from harness import wire
from harness.listeners import heralds, quiet, receive
from harness.wait import Worker, wait_until


def test_its_loss_is_told_once_and_mended(weir, cluster):
    listeners = [weir.wire() for _ in range(5)]
    for w in listeners:
        w.query("LISTEN a; LISTEN b; LISTEN mark")
    for n in range(1, 4):
        cluster.terminate(heralds(cluster)[0])
        for w in listeners:
            while len(w.notices) < n:
                w.receive()
            assert "missed" in w.notices[-1]["M"] and w.notices[-1]["V"] == "NOTICE"
        weir.wire().query(f"NOTIFY a, '{n}'; NOTIFY b, '{n}'")
        quiet(weir, *listeners)
        for w in listeners:
            assert w.notifications == [("a", str(n)), ("b", str(n))] and len(w.notices) == n
            w.notifications.clear()


def test_listen_while_nobody_can_connect_waits_then_fails(make_weir, cluster):
    weir = make_weir(query_wait_timeout=1, server_login_retry="0.1", default_pool_size=2)
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN old; SELECT 1")
    sender.query("SELECT 1")
    with cluster.connect(dbname="postgres") as c:
        c.autocommit = True
        c.execute("ALTER ROLE app CONNECTION LIMIT 0")
        try:
            cluster.terminate(heralds(cluster)[0])
            with pytest.raises(wire.ServerError, match="57P03") as e:
                sender.query("LISTEN new")
            assert e.value.level == "ERROR" and "too many connections" in e.value.detail
            assert sender.value("SELECT 'alive'") == "alive"
            sender.send(wire.query("LISTEN new"))
            late = Worker(sender.finish)
        finally:
            c.execute("ALTER ROLE app CONNECTION LIMIT -1")
    late.result()
    wait_until(lambda: heralds(cluster))
    weir.wire().query("NOTIFY new; NOTIFY old")
    receive(w, 1)
    receive(sender, 1)
    assert len(w.notices) == 1 and sender.notices == []


def test_the_server_restarts(weir, cluster):
    w = weir.wire()
    w.query("LISTEN c")
    cluster.restart()
    while not w.notices:
        w.receive(20)
    cluster.sql("SELECT 1")
    with cluster.connect() as c:
        c.execute("NOTIFY c, 'back'")
    assert receive(w, 1) == [("c", "back")]
    assert len(w.notices) == 1


def test_who_waits_for_its_answer_in_vain_costs_nobody_a_notification(weir, cluster):
    w, other, sender = weir.wire(), weir.wire(), weir.wire()
    other.query("LISTEN c")
    w.query("BEGIN; LISTEN c")
    pid = heralds(cluster)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        w.query("COMMIT")
        sender.query("NOTIFY c, 'meanwhile'")
        other.query("UNLISTEN other")
    finally:
        os.kill(pid, signal.SIGCONT)
    for x in (w, other):
        assert receive(x, 1) == [("c", "meanwhile")] and x.notices == []
    w.query("LISTEN d")
    sender.query("NOTIFY d, 'later'")
    assert receive(w, 2)[1] == ("d", "later") and w.notices == []
    assert heralds(cluster) == [pid]


def test_reconnect_pause_and_kill_reach_it(weir, cluster):
    w = weir.wire()
    w.query("LISTEN c")
    first = heralds(cluster)
    weir.console("RECONNECT app")
    wait_until(lambda: heralds(cluster) not in ([], first))
    while not w.notices:
        w.receive()
    weir.console("PAUSE app")
    wait_until(lambda: heralds(cluster) == [])
    weir.console("RESUME app")
    while len(w.notices) < 2:
        w.receive()
    weir.console("KILL app")
    wait_until(lambda: heralds(cluster) == [])


@pytest.mark.parametrize("command", ["PAUSE", "PAUSE app"])
def test_pause_waits_for_transactions_that_listen(weir, cluster, command):
    w, console = weir.wire(), weir.raw().login("admin", "pgbouncer")
    w.query("BEGIN; SELECT 1")
    console.send(wire.query(command))
    wait_until(lambda: weir.console("SHOW DATABASES")[0]["paused"] == "1")
    w.query("LISTEN c", 5)
    w.query("NOTIFY c, 'own'", 5)
    with pytest.raises(TimeoutError):
        console.receive(0.2)
    w.query("COMMIT", 5)
    assert [m.kind for m in console.until("Z")] == ["C", "Z"]
    wait_until(lambda: heralds(cluster) == [])
    weir.console(command.replace("PAUSE", "RESUME"))
    assert receive(w, 1) == [("c", "own")]
    wait_until(lambda: heralds(cluster) != [], 1)
    while not w.notices:
        w.receive()
    weir.wire().query("NOTIFY c, 'later'")
    assert receive(w, 2)[1] == ("c", "later")


def test_listeners_hear_until_a_pause_is_complete(weir, cluster):
    w, busy, console = weir.wire(), weir.wire(), weir.raw().login("admin", "pgbouncer")
    w.query("LISTEN c")
    busy.query("BEGIN; SELECT 1")
    console.send(wire.query("PAUSE"))
    wait_until(lambda: weir.console("SHOW DATABASES")[0]["paused"] == "1")
    with cluster.connect(dbname="app") as c:
        c.execute("NOTIFY c, 'meanwhile'")
    assert receive(w, 1) == [("c", "meanwhile")] and w.notices == []
    busy.query("COMMIT", 5)
    console.until("Z")
    wait_until(lambda: heralds(cluster) == [])


def test_a_reload_moves_it(make_weir, cluster):
    entry = {"host": "127.0.0.1", "port": cluster.port}
    weir = make_weir(databases={"app": {"dbname": "app", **entry}})
    w = weir.wire()
    w.query("LISTEN c")
    weir.databases = {"app": {"dbname": "postgres", **entry}}
    weir.reload()
    while not w.notices:
        w.receive()
    with cluster.connect(dbname="postgres") as c:
        c.execute("NOTIFY c, 'moved'")
    assert receive(w, 1) == [("c", "moved")]


def test_scram_users_need_no_password_in_the_file(make_weir, cluster):
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    weir = make_weir(auth_type="scram-sha-256", userlist={"in_scram": secret, "admin": "admin"})
    w = weir.wire(user="in_scram", password="in_scram-pw")
    w.query("LISTEN c")
    w.query("NOTIFY c")
    receive(w, 1)


def test_show_listeners(weir, cluster):
    clients = [weir.wire() for _ in range(3)]
    for w in clients:
        w.query("LISTEN a; LISTEN b")
    clients[0].query("NOTIFY a; NOTIFY b")
    for w in clients:
        receive(w, 2)
    row, = weir.console("SHOW LISTENERS")
    assert (row["database"], row["client_encoding"], row["state"]) == ("app", "UTF8", "listening")
    assert (row["channels"], row["clients"], row["heard"], row["delivered"]) == ("2", "3", "2", "6")
    assert [int(row["remote_pid"])] == heralds(cluster)
