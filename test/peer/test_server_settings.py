# SPDX-License-Identifier: ISC
"""What a server can do to the settings that are brought to it: the client's statement never runs without them."""
import pytest

from harness import wire
from script import error, ready


def refuses(marker, *answer):
    """The first connection serves until it is to run what contains MARKER, and refuses that as PostgreSQL does: after an error in the
    extended protocol nothing is done until Sync."""
    def script(p):
        p.accept()
        if p.number == 0:
            m = p.expect("SET " + marker)
            while "INSERT" not in p.statements:  # the client that sets it; the second time it is brought back
                p.answer(m)
                m = p.expect("SET " + marker)
            p.send(error(*answer))
            if m.kind == "Q":
                p.send(ready())
            while m.kind != "Q" and p.receive(60).kind != "S":
                pass
            if m.kind != "Q":
                p.send(ready())
        p.serve()
    return script


INSERT = "INSERT INTO t VALUES (1)"
REQUESTS = {
    "simple": wire.query(INSERT),
    "simple, pipelined": wire.query(INSERT) * 3,
    "behind an end": wire.query("ROLLBACK") + wire.query(INSERT),
    "extended": wire.extended(INSERT) + wire.sync(),
    "extended, pipelined": (wire.extended(INSERT) + wire.sync()) * 3,
    "behind a Sync": wire.sync() + wire.query(INSERT),
    "function": wire.function_call(1397, b"\0\0\0\1") + wire.query(INSERT),
    "in a block": wire.query("BEGIN") + wire.query(INSERT) + wire.query("COMMIT"),
    "by name": wire.query("DEALLOCATE none; " + INSERT),
}


def share(weir):
    """A client whose settings were taken from the only server by another one."""
    a, b = weir.wire(), weir.wire()
    a.send(wire.parse("none", "SELECT 1") + wire.sync())
    a.until("Z")
    a.query("SET work_mem = '11MB'")
    b.query("INSERT")
    return a


@pytest.mark.parametrize("kind", REQUESTS)
def test_nothing_runs_without_the_settings_of_its_session(play, kind):
    weir, server = play(refuses("work_mem", "ERROR", "42501", 'permission denied to set parameter "work_mem"'), default_pool_size=1)
    a = share(weir)
    a.send(REQUESTS[kind])
    with pytest.raises(wire.ServerError) as refused:
        for _ in range(3):
            a.finish()
    assert (refused.value.level, refused.value.sqlstate) == ("FATAL", "42501")
    a.expect_closed(5)
    assert weir.wire().query("SELECT 'alive'") == [["SELECT 'alive'"]]
    assert not any(INSERT in s for s in server.statements())


@pytest.mark.parametrize("kind", ["simple", "extended"])
def test_a_time_limit_of_the_session_before_is_40001_and_nothing_ran(play, kind):
    weir, server = play(refuses("work_mem", "ERROR", "57014", "canceling statement due to statement timeout"), default_pool_size=1)
    a = share(weir)
    a.send(REQUESTS[kind])
    with pytest.raises(wire.ServerError, match="40001"):
        a.finish()
    assert not any(INSERT in s for s in server.statements())
    a.send(REQUESTS[kind])
    a.finish()
    assert sum(INSERT in s for s in server.statements()) == 1
    assert server.peers[-1].statements[:3] == ["START TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET work_mem = '11MB'", "COMMIT"]


def test_a_read_goes_to_another_server_then(play):
    weir, server = play(refuses("work_mem", "ERROR", "57014", "canceling statement due to statement timeout"), default_pool_size=1)
    assert share(weir).query("SELECT 'read'") == [["SELECT 'read'"]]


def test_a_login_is_tried_again_then(play):
    weir, server = play(refuses("work_mem", "ERROR", "57014", "canceling statement due to statement timeout"), default_pool_size=1)
    share(weir).close()
    assert weir.wire(work_mem="3MB").query("SELECT 'in'") == [["SELECT 'in'"]]


@pytest.mark.parametrize("begin", [False, True])
def test_what_a_request_names_and_cannot_be_had_fails_it(play, begin):
    """A statement of the protocol that SQL names goes out with it, under that name."""
    def script(p):
        p.accept()
        if p.number == 0:
            p.answer(p.expect("SELECT v"))
            p.expect("SELECT v")
            p.send(error("ERROR", "42P01", 'relation "v" does not exist'))
            while p.receive(60).kind != "S":
                pass
            p.send(ready())
        p.serve()
    weir, server = play(script, default_pool_size=1)
    a = weir.wire()
    a.send(wire.parse("mine", "SELECT v") + wire.sync())
    a.finish()
    if begin:
        a.query("BEGIN")
    a.send(wire.query("EXECUTE mine; " + INSERT))
    with pytest.raises(wire.ServerError, match='ERROR 42P01 relation "v" does not exist'):
        a.finish()
    assert a.status == ("E" if begin else "I")
    if begin:
        a.query("ROLLBACK")
    assert a.query("SELECT 'alive'") == [["SELECT 'alive'"]]
    assert not any(INSERT in s for s in server.statements())


def test_a_name_that_the_server_does_not_report_is_set_once(play):
    """Somewhere else than in PostgreSQL, a SET may go unreported: what was there before it is not a setting of the session."""
    weir, server = play(lambda p: (p.accept(), p.serve()), default_pool_size=1)
    for _ in range(3):
        with weir.wire(application_name="same") as w:
            for _ in range(2):
                assert w.query("SELECT 'mine'") == [["SELECT 'mine'"]]
    assert sum("application_name" in s for s in server.statements()) == 1
