# SPDX-License-Identifier: ISC
"""What a server can do to a BEGIN that pgweir kept: refuse it, be slow with it, say something beside it, die of it."""
import pytest

from harness import wire
from script import complete, error, message, notice, parameter, ready


def opens(p):
    """The next messages: Parse of BEGIN, Bind, Execute."""
    kinds = "".join(p.receive(60).kind for _ in range(2))
    assert kinds == "BE"


def refuses(p, *last):
    """As PostgreSQL after an error in the extended protocol: nothing is done until Sync."""
    opens(p)
    p.send(error("ERROR", "57014", "canceling statement due to user request"))
    while True:
        if p.receive(60).kind == "S":
            p.send(ready())


def script_of(act):
    def script(p):
        p.accept()
        if p.number == 0:
            p.expect("BEGIN")
            act(p)
        p.serve()
    return script


REQUESTS = {
    "simple": (wire.query("INSERT INTO t VALUES (1)"), 1),
    "simple, pipelined": (wire.query("INSERT INTO t VALUES (1)") * 3, 3),
    "extended": (wire.extended("INSERT INTO t VALUES (1)") + wire.sync(), 1),
    "extended, pipelined": ((wire.extended("INSERT INTO t VALUES (1)") + wire.sync()) * 3, 3),
    "both": (wire.extended("INSERT INTO t VALUES (1)") + wire.sync() + wire.query("INSERT INTO t VALUES (1)"), 2),
    "function": (wire.function_call(1397, b"\0\0\0\1"), 1),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_nothing_runs_outside_of_a_transaction_that_could_not_begin(play, kind):
    weir, server = play(script_of(refuses))
    w = weir.wire()
    messages, count = REQUESTS[kind]
    assert w.query("BEGIN") == [] and w.status == "T"
    w.send(messages)
    with pytest.raises(wire.ServerError, match="57014 canceling"):
        w.finish()
    for _ in range(count - 1):
        with pytest.raises(wire.ServerError):
            w.finish()
    assert w.status == "E"
    with pytest.raises(wire.ServerError, match="25P02"):
        w.query("SELECT 1")
    w.query("ROLLBACK")
    assert w.status == "I"
    assert w.query("SELECT 'alive'") == [["SELECT 'alive'"]]
    assert not any("INSERT" in s for s in server.statements())


def test_nothing_passes_a_sync_before_the_server_has_begun(play):
    """What is behind it would run, begun or not."""
    arrived = []

    def slow(p):
        opens(p)
        while True:
            m = p.receive(60)
            arrived.append(m.kind)
            if m.kind == "S":
                break
        with pytest.raises(TimeoutError):
            p.receive(0.5)
        p.send(message("1"), message("2"), complete("BEGIN"), message("1"), message("2"), message("n"), complete("INSERT 0 1"),
               ready("T"))
        p.status = "T"
    weir, server = play(script_of(slow))
    w = weir.wire()
    w.query("BEGIN")
    w.send((wire.extended("INSERT INTO t VALUES (1)") + wire.sync()) * 2, wire.query("COMMIT"))
    assert [w.kinds() for _ in range(3)] == ["12nCZ", "12TCZ", "CZ"]
    assert "".join(arrived) == "PBDES"
    assert server.statements().count("INSERT INTO t VALUES (1)") == 1  # the one that the script did not take itself


def test_what_the_server_says_beside_begin_reaches_the_client(play):
    def talks(p):
        opens(p)
        p.send(message("1"), message("2"), notice("mind the gap"), parameter("TimeZone", "Asia/Tokyo"), complete("BEGIN"))
        p.status = "T"
    weir, _ = play(script_of(talks))
    w = weir.wire()
    w.query("BEGIN")
    assert w.query("SELECT 'x'") == [["SELECT 'x'"]]
    assert [n["M"] for n in w.notices] == ["mind the gap"]
    assert w.parameters["TimeZone"] == "Asia/Tokyo"


def test_begin_and_the_first_statement_arrive_together(play):
    def look(p):
        opens(p)
        assert b"'first'" in p._buffer, "in one write"
        p.send(message("1"), message("2"), complete("BEGIN"))
        p.status = "T"
    weir, server = play(script_of(look))
    w = weir.wire()
    w.query("BEGIN")
    assert not any("BEGIN" in s for s in server.statements())
    assert w.query("SELECT 'first'") == [["SELECT 'first'"]]


@pytest.mark.parametrize("sql, code", [("SELECT 'read'", None), ("INSERT INTO t VALUES (1)", "40001")])
def test_a_server_that_dies_of_begin_is_replaced_for_a_read_and_40001_for_a_write(play, sql, code):
    weir, server = play(script_of(lambda p: p.close()))
    w = weir.wire()
    w.query("BEGIN")
    if code is None:
        assert w.query(sql) == [[sql]] and w.status == "T"
        assert sum("BEGIN" in s for s in server.statements()) == 2
        w.query("COMMIT")
    else:
        with pytest.raises(wire.ServerError, match=code):
            w.query(sql)
        assert w.status == "E"
        w.query("ROLLBACK")
    assert w.query("SELECT 1") == [["SELECT 1"]]


def test_a_message_cut_off_by_its_servers_death_is_dropped_to_its_end(play):
    """The rest of it is no message."""
    def half(p):
        opens(p)
        p.take(50000)
        p.close()
    weir, _ = play(script_of(half))
    w = weir.wire()
    w.query("BEGIN")
    bind = wire.bind("", "", ["SQZX" * 50000])
    w.send(wire.parse("", "INSERT INTO t VALUES ($1)"), bind[:100000])
    assert w.kinds("E") == "E"
    w.send(bind[100000:], wire.execute(), wire.sync())
    assert w.kinds() == "Z"
    w.query("ROLLBACK")
    assert w.query("SELECT 'in step'") == [["SELECT 'in step'"]]
