# SPDX-License-Identifier: ISC
"""LISTEN in transaction mode holds no server: one connection of the database listens for all sessions."""
import pytest

from harness import wire
from harness.listeners import heralds, quiet, receive
from harness.wait import wait_until

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


# --- who hears

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
