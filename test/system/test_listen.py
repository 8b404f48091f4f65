# SPDX-License-Identifier: ISC
"""LISTEN in transaction mode holds no server: one connection of the database listens for all sessions."""
import os
import random
import signal
import threading
import time

import pytest

from harness import wire
from harness.wait import Worker, run_all, wait_until

HERALD = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir listen'"


def heralds(cluster):
    with cluster.connect(dbname="postgres") as c:
        return [row[0] for row in c.execute(HERALD).fetchall()]


def receive(w, count, seconds=10):
    """Notifications that come to an idle client, without it asking anything."""
    end = time.monotonic() + seconds
    while len(w.notifications) < count:
        w.receive(max(end - time.monotonic(), 0.001))
    return w.notifications


def quiet(weir, *clients, channel="mark"):
    """Everything notified until now has come to CLIENTS; they listen to CHANNEL."""
    mark = f"mark {random.random()}"
    weir.wire().query(f"NOTIFY {channel}, '{mark}'")
    for w in clients:
        while (channel, mark) not in w.notifications:
            w.receive()
        w.notifications.remove((channel, mark))


# --- what a session sees of its own LISTEN

@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_listeners_share_one_connection_and_hold_no_server(make_weir, cluster, protocol):
    weir = make_weir(default_pool_size=1)
    listeners = [weir.wire() for _ in range(20)]
    for w in listeners:
        getattr(w, protocol)("LISTEN crowd")
        assert w.notices == []
    assert len(heralds(cluster)) == 1
    assert weir.console("SHOW PINS") == []
    weir.wire().query("NOTIFY crowd, 'all'")
    for w in listeners:
        assert receive(w, 1) == [("crowd", "all")]
    assert weir.wire().value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == "2"


def test_tags_and_status_are_as_in_postgresql(weir):
    w = weir.wire()
    for sql, tags in [("LISTEN a", ["LISTEN"]), ("UNLISTEN a", ["UNLISTEN"]), ("UNLISTEN *", ["UNLISTEN"]),
                      ("BEGIN; LISTEN a; UNLISTEN b; COMMIT", ["BEGIN", "LISTEN", "UNLISTEN", "COMMIT"])]:
        w.send(wire.query(sql))
        answer = w.until("Z")
        assert [m.text() for m in answer if m.kind == "C"] == tags
        assert answer[-1].body == b"I"


@pytest.mark.parametrize("channel", ["a" * 63, '"Mixed Case"', '"it""s"', '"ünï"', "FOLDED", '"a.b;c"'])
def test_channel_names_are_as_in_postgresql(weir, channel):
    w = weir.wire()
    w.query(f"LISTEN {channel}")
    weir.wire().query(f"NOTIFY {channel}, 'x'")
    name = channel[1:-1].replace('""', '"') if channel[0] == '"' else channel.lower()
    assert receive(w, 1) == [(name, "x")]


def test_a_name_is_cut_as_postgresql_cuts_it(weir):
    w = weir.wire()
    w.query("LISTEN " + "b" * 80)
    weir.wire().query("NOTIFY " + "b" * 63)
    assert receive(w, 1) == [("b" * 63, "")]


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_listen_counts_from_its_commit(weir, protocol):
    w, sender = weir.wire(), weir.wire()
    run = getattr(w, protocol)
    run("LISTEN mark")
    run("BEGIN")
    run("LISTEN tx")
    sender.query("NOTIFY tx, 'before'")
    run("COMMIT")
    sender.query("NOTIFY tx, 'after'")
    quiet(weir, w)
    assert w.notifications == [("tx", "after")]


@pytest.mark.parametrize("statements, heard", [
    ("BEGIN; LISTEN c; ROLLBACK", False), ("BEGIN; LISTEN c; COMMIT", True), ("LISTEN c; LISTEN c", True),
    ("BEGIN; SAVEPOINT s; LISTEN c; ROLLBACK TO s; COMMIT", False), ("BEGIN; SAVEPOINT s; LISTEN c; RELEASE s; COMMIT", True),
    ("LISTEN c; UNLISTEN c", False), ("UNLISTEN c; LISTEN c", True), ("LISTEN c; UNLISTEN *", False),
    ("LISTEN c; UNLISTEN other", True), ("LISTEN c; SELECT 1/0", True), ("BEGIN; LISTEN c; SELECT 1/0; COMMIT", False),
    ("BEGIN; LISTEN c; COMMIT AND CHAIN; ROLLBACK", True),
    ("BEGIN; LISTEN c; ROLLBACK AND CHAIN; COMMIT", False)])
def test_transactions_count(weir, statements, heard):
    w = weir.wire()
    w.query("LISTEN mark")
    for sql in statements.split("; "):
        sql = sql.replace("UNLISTEN *", "UNLISTEN *; LISTEN mark")
        try:
            w.query(sql)
        except wire.ServerError as e:
            assert e.sqlstate == "22012"
    weir.wire().query("NOTIFY c, 'x'")
    quiet(weir, w)
    assert w.notifications == ([("c", "x")] if heard else [])


@pytest.mark.parametrize("whole, heard", [("LISTEN c; SELECT 1/0", False), ("BEGIN; LISTEN c; COMMIT; SELECT 1/0", True),
                                          ("LISTEN c; ROLLBACK", False), ("LISTEN c; COMMIT; SELECT 1/0", True)])
def test_strings_of_several_statements_count_as_in_postgresql(weir, whole, heard):
    w = weir.wire()
    w.query("LISTEN mark")
    try:
        w.query(whole)
    except wire.ServerError as e:
        assert e.sqlstate == "22012"
    weir.wire().query("NOTIFY c, 'x'")
    quiet(weir, w)
    assert w.notifications == ([("c", "x")] if heard else [])


@pytest.mark.parametrize("undo", ["UNLISTEN *", "DISCARD ALL", "UNLISTEN c"])
def test_what_ends_listening(weir, undo):
    w = weir.wire()
    w.query("LISTEN c")
    w.query(undo)
    w.query("LISTEN mark")
    weir.wire().query("NOTIFY c, 'x'")
    quiet(weir, w)
    assert w.notifications == []


@pytest.mark.parametrize("protocol", ["query", "extended"])
@pytest.mark.parametrize("end", ["UNLISTEN c", "UNLISTEN *", "DISCARD ALL"])
def test_what_was_committed_before_the_end_is_heard(weir, end, protocol):
    w, sender = weir.wire(), weir.wire()
    for i in range(20):
        w.query("LISTEN c")
        sender.query(f"NOTIFY c, '{i}'")
        getattr(w, protocol)(end)
        sender.query("NOTIFY c, 'after'")
    assert w.notifications == [("c", str(i)) for i in range(20)]


def test_unlisten_rolled_back_did_not_happen(weir):
    w = weir.wire()
    w.query("LISTEN c")
    w.query("BEGIN")
    w.query("UNLISTEN *")
    w.query("ROLLBACK")
    weir.wire().query("NOTIFY c, 'x'")
    assert receive(w, 1) == [("c", "x")]


def test_listen_in_a_failed_transaction_fails_as_in_postgresql(weir):
    w = weir.wire()
    w.query("LISTEN mark")
    w.query("BEGIN")
    with pytest.raises(wire.ServerError, match="22012"):
        w.query("SELECT 1/0")
    with pytest.raises(wire.ServerError, match="25P02"):
        w.query("LISTEN c")
    w.query("ROLLBACK")
    weir.wire().query("NOTIFY c")
    quiet(weir, w)
    assert w.notifications == []


@pytest.mark.parametrize("sql", ["LISTEN c; NOTIFY c, 'own'", "BEGIN; LISTEN c; SELECT pg_notify('c', 'own'); COMMIT"])
def test_a_notification_of_the_transaction_that_listens_comes(weir, sql):
    for _ in range(20):
        w = weir.wire()
        w.query(sql)
        assert receive(w, 1) == [("c", "own")]
        w.close()


def test_a_prepared_listen_may_be_run_again(weir):
    w = weir.wire()
    for i in range(3):
        if i == 0:
            w.send(wire.parse("l", "LISTEN c"), wire.sync())
            w.finish()
        w.send(wire.bind("", "l"), wire.execute(), wire.sync())
        w.finish()
        weir.wire().query(f"NOTIFY c, '{i}'")
        assert receive(w, 1) == [("c", str(i))]
        w.notifications.clear()
        w.query("UNLISTEN *")


def test_pipelined_listens(weir):
    w = weir.wire()
    w.send(wire.query("SELECT 1"), *[wire.query(f"LISTEN p{i}") for i in range(50)], wire.query("SELECT 2"))
    for _ in range(52):
        w.finish()
    sender = weir.wire()
    for i in range(50):
        sender.query(f"NOTIFY p{i}, 'x'")
    assert receive(w, 50) == [(f"p{i}", "x") for i in range(50)]


def test_a_pipeline_by_extended_protocol(weir):
    w = weir.wire()
    w.send(wire.extended("SELECT 1"), wire.extended("LISTEN c"), wire.extended("SELECT pg_notify('c', 'x')"), wire.sync(),
           wire.extended("SELECT 2"), wire.sync())
    assert w.finish() == [["1"], [""]]
    assert w.finish() == [["2"]]
    assert receive(w, 1) == [("c", "x")]


def test_more_channels_in_a_second_than_shapes_are_parsed(weir):
    w = weir.wire()
    for i in range(400):
        w.query(f"LISTEN many_{i}")
    weir.wire().query("; ".join(f"NOTIFY many_{i}" for i in range(400)))
    assert receive(w, 400) == [(f"many_{i}", "") for i in range(400)]


# --- when and what is delivered

def test_a_transaction_is_not_disturbed(weir):
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN c")
    w.query("BEGIN")
    sender.query("NOTIFY c, 'one'")
    other = weir.wire()
    other.query("LISTEN c")
    sender.query("NOTIFY c, 'two'")
    receive(other, 1)
    w.query("SELECT 1")
    assert w.notifications == []
    w.send(wire.query("COMMIT"))
    assert [m.kind for m in w.until("Z")] == ["C", "A", "A", "Z"]
    assert w.notifications == [("c", "one"), ("c", "two")]


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_an_empty_transaction_is_not_disturbed(weir, protocol):
    w, other = weir.wire(), weir.wire()
    w.query("LISTEN c")
    other.query("LISTEN c")
    getattr(w, protocol)("BEGIN")
    weir.wire().query("NOTIFY c, 'x'")
    receive(other, 1)
    with pytest.raises(TimeoutError):
        w.receive(0.1)
    getattr(w, protocol)("COMMIT")
    assert receive(w, 1) == [("c", "x")]


def test_notifications_come_between_messages_of_a_busy_client(weir):
    w = weir.wire()
    w.query("LISTEN c")
    w.send(wire.query("SELECT pg_sleep(0.3), repeat('x', 1000) FROM generate_series(1, 3)"))
    sender = weir.wire()
    for i in range(3):
        sender.query(f"NOTIFY c, '{i}'")
    assert len(w.finish()) == 3
    assert receive(w, 3) == [("c", str(i)) for i in range(3)]


# --- who sent it

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


def test_no_server_of_the_pool_stays_registered(make_weir):
    weir = make_weir(default_pool_size=3)
    clients = [weir.wire() for _ in range(3)]
    for w in clients:
        w.query("BEGIN")
    for w in clients:
        w.query("LISTEN c")
    for w in clients:
        w.query("COMMIT")
    wait_until(lambda: weir.pool()["sv_active"] == "0")
    others = [weir.wire() for _ in range(3)]
    for w in others:
        w.query("BEGIN")
    assert [w.query("SELECT pg_listening_channels()") for w in others] == [[], [], []]


def test_nobody_else_hears(make_weir):
    weir = make_weir(default_pool_size=1)
    w, other = weir.wire(), weir.wire()
    w.query("LISTEN c")
    other.query("LISTEN d")
    for _ in range(5):
        weir.wire().query("NOTIFY c")
        other.query("SELECT 1")
    receive(w, 5)
    assert other.notifications == []


def test_databases_are_kept_apart(make_weir, cluster):
    weir = make_weir(databases={"app": {}, "other": {"dbname": "postgres"}})
    a, b = weir.wire(), weir.wire(database="other")
    for w in (a, b):
        w.query("LISTEN c; LISTEN mark")
    weir.wire(database="other").query("NOTIFY c, 'there'; NOTIFY mark")
    weir.wire().query("NOTIFY c, 'here'; NOTIFY mark")
    assert receive(a, 2) == [("c", "here"), ("mark", "")]
    assert receive(b, 2) == [("c", "there"), ("mark", "")]
    assert len(heralds(cluster)) == 2


def test_names_and_payloads_are_in_the_clients_encoding(weir):
    utf, latin = weir.wire(), weir.wire(client_encoding="LATIN1")
    utf.query('LISTEN "é"')
    latin.send(wire.query(b'LISTEN "\xe9"'))
    latin.finish()
    weir.wire().query("NOTIFY \"é\", 'ü'")
    m = latin.until("A")[-1]
    assert m.body[4:] == b"\xe9\0\xfc\0"
    assert receive(utf, 1) == [("é", "ü")]


def test_a_bad_name_is_an_error_and_harms_nobody(weir):
    w, other = weir.wire(), weir.wire()
    w.send(wire.query(b'LISTEN "\xff\xfe"'))
    with pytest.raises(wire.ServerError, match="22021"):
        w.finish()
    other.query("LISTEN c")
    w.query("NOTIFY c")
    receive(other, 1)


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_every_pool_mode(make_weir, mode):
    weir = make_weir(pool_mode=mode)
    w = weir.wire()
    w.query("LISTEN c")
    w.query("NOTIFY c, 'own'")
    weir.wire().query("NOTIFY c, 'other'")
    assert receive(w, 2) == [("c", "own"), ("c", "other")]


@pytest.mark.parametrize("what", ["error", "warn", "pin"])
def test_listen_is_no_session_state_that_is_refused(make_weir, what):
    weir = make_weir(on_session_state=what)
    w = weir.wire()
    w.query("LISTEN c")
    weir.wire().query("NOTIFY c")
    receive(w, 1)
    assert w.notices == []


def test_a_pinned_session_hears_each_once(weir):
    w = weir.wire()
    w.query("CREATE TEMP TABLE pinned (i int)")
    w.query("LISTEN c; LISTEN mark")
    for i in range(5):
        w.query(f"NOTIFY c, '{i}'")
    quiet(weir, w)
    assert w.notifications == [("c", str(i)) for i in range(5)]


@pytest.mark.parametrize("hidden", ["DO $$ BEGIN EXECUTE 'LISTEN c'; END $$", "LISTEN c" + " " * 70000 + "; SELECT 1"],
                         ids=["in DO", "long"])
def test_a_listen_that_cannot_be_seen_pins(weir, hidden):
    w = weir.wire()
    w.query(hidden)
    wait_until(lambda: [r["reason"] for r in weir.console("SHOW PINS")] == ["listen"])
    w.query("LISTEN seen; LISTEN mark")
    weir.wire().query("NOTIFY c, 'x'; NOTIFY seen, 'y'")
    receive(w, 2)
    quiet(weir, w)
    w.query("SELECT 1")
    assert sorted(w.notifications) == [("c", "x"), ("seen", "y")]
    w.query("UNLISTEN *")
    wait_until(lambda: weir.console("SHOW PINS") == [])


def test_a_notification_comes_while_the_server_is_asked_what_it_holds(weir):
    w, sender = weir.wire(), weir.wire()
    w.query("LISTEN c")
    for i in range(50):
        w.send(wire.query("DO $$ BEGIN PERFORM set_config('a.b', 'x', false); END $$"))
        sender.query(f"NOTIFY c, '{i}'")
        w.finish()
    assert receive(w, 50) == [("c", str(i)) for i in range(50)]


def test_in_a_pgbouncer_file(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction")
    w = weir.wire()
    w.query("LISTEN c")
    weir.wire().query("NOTIFY c, 'x'")
    assert receive(w, 1) == [("c", "x")]


def test_a_standby_refuses_as_postgresql_does(trio, trio_weir):
    weir = trio_weir(trio, databases={"app": {"cluster": "main", "dbname": "app", "route": "replica"}}, warm=False)
    with pytest.raises(wire.ServerError, match="25006"):
        weir.wire().query("LISTEN c")


# --- drivers

@pytest.mark.deadline(20)
def test_psycopg2(weir):
    c = weir.connect2()
    c.autocommit = True
    c.cursor().execute("LISTEN c")
    weir.wire().query("NOTIFY c, 'x'")
    wait_until(lambda: c.poll() or c.notifies)
    assert (c.notifies[0].channel, c.notifies[0].payload) == ("c", "x")


@pytest.mark.deadline(20)
def test_psycopg_by_extended_protocol(weir):
    c = weir.connect(prepare_threshold=0)
    c.execute("LISTEN c")
    sender = weir.connect()
    sender.execute("SELECT pg_notify('c', %s)", ("x",))
    sender.execute("NOTIFY c, 'y'")
    generator = c.notifies()
    assert [next(generator).payload for _ in range(2)] == ["x", "y"]


# --- the connection that listens

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
    assert heralds(cluster) == []
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
    assert heralds(cluster) == []


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


# --- limits

def test_too_many_channels_are_refused(make_weir):
    weir = make_weir(max_listen_channels=3)
    w = weir.wire()
    for i in range(3):
        w.query(f"LISTEN c{i}")
    w.query("LISTEN c1")
    with pytest.raises(wire.ServerError, match="54000") as e:
        w.query("LISTEN c3")
    assert "max_listen_channels" in e.value.detail
    w.query("UNLISTEN c0")
    w.query("LISTEN c3")


@pytest.mark.parametrize("how", ["unread", "in a transaction"])
def test_a_listener_that_does_not_take_them_goes(make_weir, how):
    weir = make_weir(max_notify_queue="64kB")
    slow, good, sender = weir.wire(), weir.wire(), weir.wire()
    for w in (slow, good):
        w.query("LISTEN c")
    if how == "in a transaction":
        slow.query("BEGIN")
    sent = 0

    def gone():
        nonlocal sent
        sender.query("; ".join(["SELECT pg_notify('c', repeat('x', 7000) || clock_timestamp())"] * 20))
        sent += 20
        receive(good, sent)
        return weir.console("SHOW LISTENERS")[0]["closed"] == "1"
    wait_until(gone, 30)
    if how == "in a transaction":
        with pytest.raises(wire.ServerError, match="53200"):
            slow.finish()
    else:
        slow.expect_closed()
    assert len(good.notifications) == sent


# --- everything at once

CHANNELS = ["c0", "c1", "c2", "c3"]


class Notifier(threading.Thread):
    """Random transactions; keeps what it has committed: (channel, payload, begun, done)."""

    def __init__(self, weir, number, over):
        super().__init__(daemon=True)
        self.w, self.number, self.over = weir.wire(seconds=30), number, over
        self.random = random.Random(number)
        self.committed, self.undone = [], set()

    def run(self):
        n = 0
        while not self.over.is_set():
            kept, undone = [], []
            parts = ["BEGIN"]
            for _ in range(self.random.randint(1, 3)):
                fate = self.random.choice(["keep", "keep", "undo"])
                pairs = []
                for _ in range(self.random.randint(1, 2)):
                    n += 1
                    pairs.append((self.random.choice(CHANNELS), f"{self.number}:{n}"))
                notify = [f"NOTIFY {c}, '{p}'" for c, p in pairs]
                if fate == "undo":
                    parts += ["SAVEPOINT s"] + notify + ["ROLLBACK TO s"]
                    undone += pairs
                else:
                    parts += notify
                    kept += pairs
            end = self.random.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])
            whole = self.random.random() < 0.5
            for sql in ["; ".join(parts)] if whole else parts:
                self.w.query(sql)
            begun = time.monotonic()
            self.w.query(end)
            done = time.monotonic()
            if end == "ROLLBACK":
                undone += kept
            else:
                self.committed += [(c, p, begun, done) for c, p in kept]
            self.undone.update(p for _, p in undone)


class Listener(threading.Thread):
    """Listens and unlistens at random; keeps when it surely did and surely did not: {channel: [(from, to)]}."""

    def __init__(self, weir, number, over):
        super().__init__(daemon=True)
        self.w, self.over = weir.wire(seconds=30), over
        self.random = random.Random(1000 + number)
        self.may = {c: [] for c in CHANNELS}   # [asked, unlisten answered]
        self.must = {c: [] for c in CHANNELS}  # [answered, ...]: only what is never unlistened
        self.error = None

    def transaction(self):
        now = {c: bool(self.may[c]) and self.may[c][-1][1] is None for c in CHANNELS}
        then, asked, parts = dict(now), time.monotonic(), []
        for _ in range(self.random.randint(1, 3)):
            c, on = self.random.choice(CHANNELS), self.random.random() < 0.7
            undone = self.random.random() < 0.3
            parts += ["SAVEPOINT s"] * undone + [f"{'' if on else 'UN'}LISTEN {c}"] + ["ROLLBACK TO s"] * undone
            if not undone:
                then[c] = on
        end = self.random.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        for sql in ["BEGIN", *parts, end]:
            self.random.choice([self.w.query, self.w.extended])(sql)
        if end == "ROLLBACK":
            then = now
        answered = time.monotonic()
        for c in CHANNELS:
            if then[c] and not now[c]:
                self.may[c].append([asked, None])
                self.must[c] = [answered]
            elif now[c] and not then[c]:
                self.may[c][-1][1] = answered
                self.must[c] = []

    def run(self):
        try:
            while not self.over.is_set():
                self.transaction()
                self.w.query("SELECT 1")
                end = time.monotonic() + self.random.random() * 0.05
                while time.monotonic() < end:
                    try:
                        self.w.receive(0.01)
                    except TimeoutError:
                        break
            self.w.query("LISTEN mark")
        except BaseException as e:
            self.error = e

    def check(self, notifiers):
        got = self.w.notifications
        every = set(got)
        assert len(every) == len(got), "one came twice"
        for n in notifiers:
            mine = [p for _, p in got if p.startswith(f"{n.number}:")]
            assert mine == sorted(mine, key=lambda p: int(p.split(":")[1])), "out of order"
            assert not n.undone & set(mine), "one was rolled back"
            for c, p, begun, done in n.committed:
                may = any(done > a and (b is None or begun < b) for a, b in self.may[c])
                must = bool(self.must[c]) and begun > self.must[c][0]
                assert not must or (c, p) in every, f"{c} {p} did not come"
                assert may or (c, p) not in every, f"{c} {p} came and was not listened to"


@pytest.mark.deadline(120)
@pytest.mark.parametrize("size", [2, 5])
def test_each_committed_notification_comes_once_in_order_and_nothing_else(make_weir, size):
    weir = make_weir(default_pool_size=size)
    over = threading.Event()
    notifiers = [Notifier(weir, i, over) for i in range(4)]
    listeners = [Listener(weir, i, over) for i in range(6)]
    for t in notifiers + listeners:
        t.start()
    time.sleep(5)
    over.set()
    for t in notifiers + listeners:
        t.join(30)
    assert [x.error for x in listeners] == [None] * 6
    quiet(weir, *[x.w for x in listeners])
    assert [x.w.notices for x in listeners] == [[]] * 6
    assert sum(len(n.committed) for n in notifiers) > 50
    for x in listeners:
        x.check(notifiers)


@pytest.mark.deadline(120)
def test_the_same_while_the_listening_connection_is_killed(make_weir, cluster):
    weir = make_weir(default_pool_size=5, server_login_retry="0.1")
    listeners = [weir.wire(seconds=30) for _ in range(5)]
    for w in listeners:
        w.query("LISTEN mark; " + "; ".join(f"LISTEN {c}" for c in CHANNELS))
    for n in range(5):
        over = threading.Event()
        disturbed = [Notifier(weir, 100 + n, over)]
        disturbed[0].start()
        old = heralds(cluster)[0]
        cluster.terminate(old)
        for w in listeners:
            while len(w.notices) < n + 1:
                w.receive()
        over.set()
        disturbed[0].join(30)
        quiet(weir, *listeners)
        for w in listeners: # some may be missing, none doubled or wrong
            got = [p for _, p in w.notifications]
            assert len(set(got)) == len(got) and got == sorted(got, key=lambda p: int(p.split(":")[1]))
            assert set(got) <= {p for _, p, _, _ in disturbed[0].committed}
            w.notifications.clear()
        over = threading.Event()
        notifiers = [Notifier(weir, i, over) for i in range(3)]
        for t in notifiers:
            t.start()
        wait_until(lambda: all(len(t.committed) > 5 for t in notifiers), 30)
        over.set()
        for t in notifiers:
            t.join(30)
        quiet(weir, *listeners)
        sent = sorted(p for t in notifiers for _, p, _, _ in t.committed)
        for w in listeners:
            assert sorted(p for _, p in w.notifications) == sent and len(w.notices) == n + 1
            w.notifications.clear()


def test_clients_that_come_and_go(make_weir, cluster):
    weir = make_weir(default_pool_size=3)
    steady = weir.wire()
    steady.query("LISTEN c; LISTEN mark")
    for i in range(60):
        w = weir.wire()
        w.send(wire.query(f"LISTEN c; LISTEN own_{i}"))
        if i % 3:
            w.finish()
        w.reset() if i % 2 else w.close()
    steady.query("NOTIFY c, 'still'")
    quiet(weir, steady)
    assert steady.notifications == [("c", "still")]
    wait_until(lambda: weir.console("SHOW LISTENERS")[0]["clients"] == "1")
    assert len(heralds(cluster)) == 1
