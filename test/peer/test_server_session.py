# SPDX-License-Identifier: ISC
"""A server that misbehaves after its login: idle, during an answer, and after it."""
import struct
import threading

import pytest

from harness import wire
from harness.wait import Worker, wait_until
from script import columns, complete, error, message, notice, parameter, ready, result, row


def good(p):
    p.accept()
    p.serve()


def once(marker, act):
    """The first connection serves until a statement with MARKER, then ACT(p); all others are good."""
    def script(p):
        p.accept()
        if p.number == 0:
            p.expect(marker)
            act(p)
        p.serve()
    return script


def ask(w, sql):
    """The answer or the ServerError."""
    try:
        return w.query(sql)
    except wire.ServerError as e:
        return e


def recovered(weir, w, sql="SELECT 'next'"):
    """The next statement gets its own answer, on the same client or, where that was closed, on a new one."""
    try:
        return w.query(sql) == [[sql]]
    except (wire.Closed, ConnectionError):
        return weir.wire().query(sql) == [[sql]]


# --- idle

IDLE = {
    "terminated": error("FATAL", "57P01", "terminating connection due to administrator command"),
    "crash of another": message("N", b"SWARNING\0VWARNING\0C57P02\0Mcrash of another server process\0\0"),
    "an error": error("ERROR", "XX000", "out of nowhere"),
    "ready again": ready(),
    "a row": row("not yours"),
    "a whole answer": result("not yours"),
    "an authentication request": message("R", struct.pack("!I", 3)),
    "garbage": b"\xde\xad\xbe\xef" * 20,
    "half a message": b"N\0\0\0\x20SW",
    "huge": b"D" + struct.pack("!i", 0x7ffffff0),
    "nothing": b"",
}


@pytest.mark.parametrize("then_close", [True, False], ids=["closes", "stays"])
@pytest.mark.parametrize("name", IDLE)
def test_what_an_idle_server_says_never_reaches_a_client(play, name, then_close):
    def script(p):
        p.accept()
        if p.number == 0:
            p.answer(p.expect("first"))
            p.send(IDLE[name])
            if then_close:
                return
        p.serve()
    if name in ("half a message", "nothing") and not then_close:
        pytest.skip("that is a server which did nothing wrong yet")
    weir, server = play(script, default_pool_size=1)
    w = weir.wire()
    assert w.query("SELECT 'first'") == [["SELECT 'first'"]]
    wait_until(lambda: idle_servers(weir) == 0, 5, "the bad server gone")
    w.notices.clear()
    for i in range(3):
        assert w.query(f"SELECT {i}") == [[f"SELECT {i}"]]
    assert w.notices == []
    assert len(server.peers) >= 2 and "SELECT 0" not in server.peers[0].statements


def idle_servers(weir):
    row_ = weir.pool()
    return int(row_["sv_idle"]) + int(row_["sv_used"]) + int(row_["sv_active"]) if row_ else 0


def test_an_idle_notice_or_parameter_does_not_cost_the_server(play):
    """Legal at any time: a changed setting is kept for later clients, a notice for nobody is dropped."""
    said = threading.Event()

    def script(p):
        p.accept()
        p.answer(p.expect("first"))
        p.send(parameter("in_hot_standby", "on"), notice("for nobody"))
        said.set()
        p.serve()
    weir, server = play(script, default_pool_size=1, workers=1)
    w = weir.wire()
    w.query("SELECT 'first'")
    assert said.wait(10)
    idle_servers(weir)  # a round trip on the same worker, which has seen by then what was there before it
    wait_until(lambda: w.query("SELECT 'second'") and w.parameters["in_hot_standby"] == "on", 5)
    assert w.notices == []
    assert len(server.peers) == 1


def test_bytes_behind_an_answer_are_not_the_next_clients(play):
    """The answer and a stray row come in one write: whoever is next must not see it."""
    weir, server = play(once("first", lambda p: p.send(result("mine"), row("stray"), complete("SELECT 1"), ready())),
                        default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    assert a.query("SELECT 'first'") == [["mine"]]
    for w in (a, b, a):
        assert w.query("SELECT 'own'") == [["SELECT 'own'"]]


# --- during an answer

CUTS = {
    "nothing": b"",
    "half a header": columns("v")[:3],
    "half a description": columns("v")[:9],
    "a description": columns("v"),
    "half a row": columns("v") + row("x" * 100)[:50],
    "a row": columns("v") + row("x"),
    "all but ready": columns("v") + row("x") + complete("SELECT 1"),
    "half of ready": columns("v") + row("x") + complete("SELECT 1") + ready()[:5],
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_read_whose_server_goes_is_answered_or_08006_and_the_client_stays(play, cut):
    def act(p):
        p.send(CUTS[cut])
        p.close()
    weir, server = play(once("SELECT 'cut'", act))
    w = weir.wire()
    answer = ask(w, "SELECT 'cut'")
    if cut in ("nothing", "half a header", "half a description"):
        assert answer == [["SELECT 'cut'"]], "no byte was forwarded: it is retried once"
    else:
        assert (answer.level, answer.sqlstate) == ("ERROR", "08006")
        assert answer.message.startswith("connection to node ")
    assert w.query("SELECT 'next'") == [["SELECT 'next'"]]


@pytest.mark.parametrize("cut", ["a row", "all but ready"])
def test_a_write_that_has_given_rows_may_have_happened(play, cut):
    def act(p):
        p.send(CUTS[cut])
        p.close()
    weir, _ = play(once("INSERT", act))
    answer = ask(weir.wire(), "INSERT INTO t VALUES (1) RETURNING v")
    assert (answer.level, answer.sqlstate) == ("FATAL", "08007")


def test_a_read_is_retried_once_and_not_for_ever(play):
    def script(p):
        p.accept()
        p.expect("'poison'")
        p.close()
    weir, server = play(script)
    w = weir.wire()
    answer = ask(w, "SELECT 'poison'")
    assert isinstance(answer, wire.ServerError) and answer.sqlstate in ("08006", "08007")
    assert sum("'poison'" in s for s in server.statements()) <= 2


def test_a_read_behind_a_question_of_ours_is_sent_once_more_and_nothing_before_it(play):
    def script(p):
        p.accept()
        if p.number == 0:
            p.expect("'first'")
            p.send(parameter("TimeZone", "Asia/Seoul") + result("SELECT 'first'"))
            p.expect("pg_settings")  # who set that?
            p.expect("'second'")
            p.close()
        p.serve()
    weir, server = play(script)
    w = weir.wire()
    assert w.query("SELECT 'first'") == [["SELECT 'first'"]]
    assert w.query("SELECT 'second'") == [["SELECT 'second'"]]
    assert w.query("SELECT 'third'") == [["SELECT 'third'"]]
    assert sum("'first'" in s for s in server.statements()) == 1


@pytest.mark.parametrize("statement", ["INSERT INTO t VALUES (1)", "SELECT nextval('s')",
                                       "WITH x AS (DELETE FROM t RETURNING 1) SELECT 1",
                                       "SELECT 1; INSERT INTO t VALUES (1)", "CALL p()", "DO $$ BEGIN END $$", "EXPLAIN ANALYZE DELETE FROM t"])
def test_a_write_whose_server_goes_is_08007_and_never_sent_twice(play, statement):
    word = statement[-20:]
    weir, server = play(once(word, lambda p: p.close()))
    w = weir.wire()
    answer = ask(w, statement)
    assert (answer.level, answer.sqlstate) == ("FATAL", "08007")
    w.expect_closed(5)
    assert weir.wire().query("SELECT 1") == [["SELECT 1"]]
    assert sum(word in s for s in server.statements()) == 1


@pytest.mark.parametrize("end", ["COMMIT", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'a'", "ROLLBACK; INSERT INTO t VALUES (2)"])
def test_a_commit_whose_server_goes_is_08007(play, end):
    weir, server = play(once(end, lambda p: p.close()))
    w = weir.wire()
    w.query("BEGIN")
    w.query("INSERT INTO t VALUES (1)")
    answer = ask(w, end)
    assert (answer.level, answer.sqlstate) == ("FATAL", "08007")
    assert server.statements().count(end) == 1


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "CALL p()", "DO 'BEGIN END'"])
def test_what_commits_nothing_in_a_block_is_40001_when_its_server_goes(play, sql):
    weir, _ = play(once(sql, lambda p: p.close()))
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    answer = ask(w, sql)
    assert (answer.level, answer.sqlstate) == ("ERROR", "40001")


def test_a_statement_in_a_transaction_whose_server_goes_is_40001(play):
    weir, server = play(once("'in tx'", lambda p: p.close()))
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    answer = ask(w, "SELECT 'in tx'")
    assert (answer.level, answer.sqlstate) == ("ERROR", "40001")
    assert w.status == "E"
    assert w.query("ROLLBACK") == [] and w.status == "I"
    assert w.query("SELECT 1") == [["SELECT 1"]]


BAD_ANSWERS = {
    "an unknown type": message("~", b"what"),
    "a zero byte": b"\0" * 50,
    "length 3": b"D" + struct.pack("!i", 3),
    "length 0": b"C" + struct.pack("!i", 0),
    "negative length": b"T" + struct.pack("!i", -5) + b"xxx",
    "authentication": message("R", struct.pack("!I", 0)),
    "a key": message("K", b"\0" * 8),
    "a client's message": wire.query("SELECT 1"),
    "ready with an odd status": ready("?"),
    "ready with a long body": message("Z", b"I" * 100),
    "ready with a huge length": b"Z" + struct.pack("!i", 0x7fffffff),
    "parameter with a huge length": b"S" + struct.pack("!i", 0x7fffffff) + b"TimeZone\0",
    "parameter unterminated": message("S", b"TimeZone"),
    "negotiation": message("v", struct.pack("!Ii", 0x30000, 0)),
    "parse complete for nothing": message("1") * 3 + ready(),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_broken_answer_costs_that_query_and_that_server_only(play, name):
    broke = []

    def act(p):
        broke.append(p)
        p.send(BAD_ANSWERS[name])
        p.take(1, 30)
    weir, _ = play(once("'broken'", act), query_timeout=2, default_pool_size=1)  # so that it is the first connection
    other = weir.wire()
    w = weir.wire(seconds=8)
    w.send(wire.query("SELECT 'broken'"))
    wait_until(lambda: broke)
    assert other.query("SELECT 'other'") == [["SELECT 'other'"]]
    try:
        w.until("Z")
    except wire.Closed:
        pass
    assert recovered(weir, w) or recovered(weir, weir.wire())
    assert "SELECT 'next'" not in broke[0].statements or name == "parse complete for nothing"


def test_an_answer_of_one_byte_at_a_time_arrives_whole(play):
    def act(p):
        for byte in columns("a", "b") + row("1", "two" * 50) + notice("slow") + complete("SELECT 1") + ready():
            p.send(bytes([byte]))
    weir, _ = play(once("'slow'", act))
    w = weir.wire()
    assert w.query("SELECT 'slow'") == [["1", "two" * 50]]
    assert [n["M"] for n in w.notices] == ["slow"]


def test_fatal_of_the_server_in_the_middle_passes_in_its_own_words(play):
    def act(p):
        p.send(columns("v"), row("1"), error("FATAL", "57P05", "terminating connection due to idle-session timeout"))
        p.close()
    weir, _ = play(once("'fatal'", act))
    w = weir.wire()
    w.send(wire.query("SELECT 'fatal'"))
    codes = []
    try:
        codes = [m.fields()["C"] for m in w.until("Z") if m.kind == "E"]
    except wire.Closed:
        pass
    assert codes in (["57P05"], ["08006"])
    assert recovered(weir, w)


def test_a_parameter_during_an_answer_reaches_the_client(play):
    weir, _ = play(once("'standby'", lambda p: p.send(parameter("in_hot_standby", "on"), result("s"))))
    w = weir.wire()
    assert w.query("SELECT 'standby'") == [["s"]]
    assert w.parameters["in_hot_standby"] == "on"


def test_a_warning_of_a_local_commit_passes_verbatim(play):
    text = "The transaction has already committed locally, but might not have been replicated to the standby."
    weir, _ = play(once("INSERT", lambda p: p.send(notice(text), complete("INSERT 0 1"), ready())))
    w = weir.wire()
    assert w.query("INSERT INTO t VALUES (1)") == []
    assert [n["M"] for n in w.notices] == [text]


# --- cancel

def test_a_query_that_never_ends_is_cancelled_with_the_servers_key(play):
    def script(p):
        if p.number == 0:
            p.accept(pid=77, secret=b"\x0a\x0b\x0c\x0d")
            p.expect("'hang'")
            wait_until(lambda: p.server.cancels, 20)
            p.send(error("ERROR", "57014", "canceling statement due to user request"), ready())
            p.serve()
        good(p)
    weir, server = play(script, query_timeout=1)
    w = weir.wire()
    answer = ask(w, "SELECT 'hang'")
    assert (answer.level, answer.sqlstate, answer.message) == ("ERROR", "57014", "canceling statement due to query_timeout")
    assert server.cancels == [(77, b"\x0a\x0b\x0c\x0d")]
    assert w.query("SELECT 1") == [["SELECT 1"]]


def test_a_server_that_ignores_the_cancel_is_dropped(play):
    def act(p):
        p.take(1, 30)
    weir, server = play(once("'hang'", act), query_timeout=1, cancel_wait_timeout=1, default_pool_size=1)
    w = weir.wire(seconds=9)
    w.send(wire.query("SELECT 'hang'"))
    try:
        errors = [m.fields()["C"] for m in w.until("Z") if m.kind == "E"]
        assert errors == ["57014"]
    except wire.Closed:
        pass
    assert recovered(weir, w)


def test_a_clients_cancel_carries_the_servers_key_not_the_clients(play):
    def script(p):
        if p.number == 0:
            p.accept(pid=88, secret=b"key!")
            p.expect("'wait'")
            wait_until(lambda: p.server.cancels, 20)
            p.send(error("ERROR", "57014", "canceling statement due to user request"), ready())
            p.serve()
        good(p)
    weir, server = play(script)
    w = weir.wire()
    w.send(wire.query("SELECT 'wait'"))
    wait_until(lambda: server.peers and "SELECT 'wait'" in server.statements())
    assert (w.pid, w.secret) != (88, b"key!")
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish()
    assert server.cancels == [(88, b"key!")]


def test_a_server_is_not_lent_while_a_cancel_to_it_is_on_its_way(play):
    """The query ends by itself, the cancel arrives late: it must not hit the next client's statement."""
    may_read = threading.Event()

    def script(p):
        if p.number == 0:
            p.accept(pid=99)
            p.expect("'race'")
            wait_until(lambda: len(p.server.peers) > 1, 20)  # the cancel connection is open and not read yet
            p.send(result("done"))
            while True:
                m = p.receive(60)
                if m.kind == "Q" and "victim" in m.text():
                    p.server.lent_early = not may_read.is_set()
                p.answer(m)
        if p.number == 1:
            may_read.wait(3)
        good(p)
    weir, server = play(script, default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.send(wire.query("SELECT 'race'"))
    wait_until(lambda: "SELECT 'race'" in server.statements())
    canceller = Worker(wire.send_cancel, "127.0.0.1", weir.port, a.pid, a.secret)
    assert a.finish() == [["done"]]
    b.send(wire.query("SELECT 'victim'"))
    with pytest.raises(TimeoutError):
        b.receive(0.4)
    may_read.set()
    assert b.finish() == [["SELECT 'victim'"]]
    canceller.result()
    assert not getattr(server, "lent_early", False)


def test_the_end_comes_while_cancels_of_other_workers_are_on_their_way(play):
    """Which worker a client and its cancel request come to is a matter of turns: both orders are among these."""
    clients = 6

    def script(p):
        if p.number < clients:
            p.accept()
            p.expect("'hang'")
        p.take(1 << 20, 30)
    weir, server = play(script, workers=2, default_pool_size=clients, cancel_wait_timeout=20)
    hung = [weir.raw(host=weir.folder).login() for _ in range(clients)]
    for w in hung:
        w.send(wire.query("SELECT 'hang'"))
    wait_until(lambda: server.statements().count("SELECT 'hang'") == clients)
    asking = []
    for i, w in enumerate(hung):
        asking += [weir.raw(host=weir.folder) for _ in range(1 + i % 2)]
        asking[-1].send(wire.cancel(w.pid, w.secret))
    wait_until(lambda: len(server.peers) == 2 * clients)
    weir.wanted_status = (4,)  # clients were cut off
    weir.stop()


# --- what may have happened all the same

@pytest.mark.parametrize("limit", ["query_timeout", "transaction_timeout"])
def test_a_write_that_took_too_long_may_have_happened(play, limit):
    weir, _ = play(once("INSERT", lambda p: p.take(1, 30)), cancel_wait_timeout=1, **{limit: 1})
    e = ask(weir.wire(), "INSERT INTO t VALUES (1)")
    assert (e.level, e.sqlstate) == ("FATAL", "08007") and limit.replace("_", " ") in e.detail.replace("_", " ")


def test_a_write_whose_pinned_server_vanished_may_have_happened(play):
    weir, _ = play(once("INSERT", lambda p: p.close()), pool_mode="session")
    e = ask(weir.wire(), "INSERT INTO t VALUES (1)")
    assert (e.level, e.sqlstate) == ("FATAL", "08007")


@pytest.mark.parametrize("nonsense", [b"\xde\xad\xbe\xef" * 20, message("v", b"?"), ready("?")], ids=["garbage", "unknown", "status"])
def test_a_write_answered_by_nonsense_may_have_happened(play, nonsense):
    weir, _ = play(once("INSERT", lambda p: p.send(nonsense)))
    w = weir.wire()
    e = ask(w, "INSERT INTO t VALUES (1)")
    assert (e.level, e.sqlstate) == ("FATAL", "08007"), e
