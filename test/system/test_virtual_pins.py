# SPDX-License-Identifier: ISC
"""A pin ends as soon as its reason does, and what pgweir could not analyse is asked from the server."""
import pytest

from harness import wire
from harness.wait import wait_until

LONG = "/* " + "x" * 70000 + " */ "  # longer than what is analysed
CHAIN = "SELECT " + "+".join(["1"] * 1200) + "; "  # deeper than that

ENDING = {
    "drop table": (["CREATE TEMP TABLE t1 (i int)", "CREATE TEMP TABLE t2 (i int)"], ["DROP TABLE t1", "DROP TABLE t2"]),
    "drop a type": (["CREATE TYPE pg_temp.mood AS ENUM ('ok')"], ["DROP TYPE pg_temp.mood"]),
    "drop by cascade": (["CREATE TEMP TABLE t1 (i int)", "CREATE TEMP VIEW v AS SELECT * FROM t1"], ["DROP TABLE t1 CASCADE"]),
    "close": (["DECLARE c1 CURSOR WITH HOLD FOR SELECT 1", "DECLARE c2 CURSOR WITH HOLD FOR SELECT 1"], ["CLOSE c1", "CLOSE c2"]),
    "unlock": (["SELECT pg_advisory_lock(7101)", "SELECT pg_advisory_lock(7101)"], ["SELECT pg_advisory_unlock(7101)"] * 2),
    "unlock shared": (["SELECT pg_advisory_lock_shared(1, 7)"], ["SELECT count(pg_advisory_unlock_shared(1, 7))"]),
    "several": (["CREATE TEMP TABLE t1 (i int); SELECT pg_advisory_lock(7102)"],
                ["SELECT pg_advisory_unlock(7102)", "DROP TABLE t1"]),
    "in a transaction": (["CREATE TEMP TABLE t1 (i int)"], ["BEGIN", "DROP TABLE t1", "COMMIT"]),
    "settings without a name": (["SELECT set_config(name, '2MB', false) FROM pg_settings WHERE name = 'work_mem'"], ["SELECT 1", "RESET ALL"]),
    "settings of the view": (["UPDATE pg_settings SET setting = '2' WHERE name = 'extra_float_digits'"], ["SELECT 1", "RESET ALL"]),
    "in a DO": (["CREATE TEMP TABLE t1 (i int)"], ["DO $$ BEGIN DROP TABLE t1; END $$"]),
}


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_the_pin_ends_with_the_last_of_its_kind(make_weir, name, protocol):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    makes, ends = ENDING[name]
    for sql in makes:
        a.query(sql)
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    for sql in ends[:-1]:
        getattr(a, protocol)(sql)
        assert weir.pool()["cl_waiting"] == "1", "something is left"
    getattr(a, protocol)(ends[-1])
    assert b.finish() == [["b"]]


def test_what_a_rollback_brings_back_pins_on(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("CREATE TEMP TABLE t1 AS SELECT 5 AS i")
    a.query("BEGIN; DROP TABLE t1; ROLLBACK")
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    assert a.value("SELECT i FROM t1") == "5"
    a.query("DROP TABLE t1")
    assert b.finish() == [["b"]]


def test_what_lived_in_one_transaction_is_not_announced(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("BEGIN; CREATE TEMP TABLE t1 (i int); DROP TABLE t1; COMMIT")
    assert b.value("SELECT 'b'") == "b"
    assert a.notices == []


def test_the_next_message_waits_for_the_answer(make_weir):
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query("CREATE TEMP TABLE t1 (i int)")
    a.send(wire.query("DROP TABLE t1") + wire.query("SET work_mem = '3MB'") + wire.query("SHOW work_mem") + wire.query("BEGIN")
           + wire.query("SELECT 7"))
    assert [a.finish() for _ in range(5)] == [[], [], [["3MB"]], [], [["7"]]]
    a.query("ROLLBACK")
    assert weir.wire().value("SELECT 'b'") == "b"


@pytest.mark.parametrize("before", [LONG, CHAIN], ids=["long", "deep"])
@pytest.mark.parametrize("make, look, expected", [
    ("CREATE TEMP TABLE kept AS SELECT 42 AS v", "SELECT v FROM kept", "42"),
    ("SELECT pg_advisory_lock(7103)", "SELECT pg_advisory_unlock(7103)", "t"),
    ("PREPARE kept AS SELECT 44", "EXECUTE kept", "44"),
    ("SET application_name = 'kept'", "SHOW application_name", "kept"),
    ("SET work_mem = '3MB'", "SHOW work_mem", "3MB"),
    ("SET statement_timeout = 1234", "SHOW statement_timeout", "1234ms"),
    ("UPDATE pg_settings SET setting = '2' WHERE name = 'extra_float_digits'", "SHOW extra_float_digits", "2"),
    ("SELECT set_config('search_path', 'a, ' || 'b', false)", "SHOW search_path", "a, b")])
def test_what_is_not_analysed_leaves_its_state_to_its_session(make_weir, before, make, look, expected):
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(), weir.wire()
    other = b.value(look) if look.startswith("SHOW") else None
    a.query(before + make)
    for _ in range(3):
        if other:
            assert b.value(look) == other
        else:
            b.query("SELECT 1")
    b.query("BEGIN; SELECT 1")
    assert a.value(look) == expected
    b.query("COMMIT")


@pytest.mark.parametrize("before", [LONG, CHAIN], ids=["long", "deep"])
def test_what_is_not_analysed_and_leaves_nothing_does_not_pin(make_weir, before):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query(before + "SELECT 1")
    a.query("SET work_mem = '3MB'")
    a.query(before + "SELECT 1")
    assert b.value("SHOW work_mem") != "3MB"
    assert a.value("SHOW work_mem") == "3MB"
    a.query("RESET work_mem")
    assert a.value("SHOW work_mem") != "3MB"


def test_many_new_statements_in_a_second_are_followed_too(make_weir):
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(), weir.wire()
    for i in range(1500):
        a.send(wire.query(f"SELECT 1 AS a{i}"))
    a.send(wire.query("CREATE TEMP TABLE kept AS SELECT 42 AS v"))
    for _ in range(1501):
        a.finish()
    b.query("BEGIN; SELECT 1")
    assert a.value("SELECT v FROM kept") == "42"


@pytest.mark.parametrize("make, look, expected", [
    ("SELECT pg_try_advisory_lock(7104)", "SELECT pg_advisory_unlock(7104)", "t"),
    ("SELECT set_config('work_mem', '3MB', false)", "SHOW work_mem", "3MB"),
    ("SELECT set_config('work_mem', '3' || 'MB', false)", "SHOW work_mem", "3MB")])
def test_a_statement_of_which_one_row_was_asked_for_has_run(make_weir, make, look, expected):
    """As asyncpg does for fetchval() and fetchrow(): the answer is PortalSuspended, and Sync ends the portal."""
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(), weir.wire()
    other = b.value(look) if look.startswith("SHOW") else None
    a.send(wire.parse("", make), wire.bind("", ""), wire.execute("", 1), wire.sync())
    assert a.kinds("Z") == "12DsZ"
    b.query("BEGIN; SELECT 1")
    assert a.value(look) == expected
    b.query("COMMIT")
    if other:
        assert {b.value(look) for _ in range(3)} == {other}


def test_a_value_that_only_the_server_knows_is_carried(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.extended("SELECT set_config('app.tenant', $1, false)", ["it's 7"])
    a.query("BEGIN; SELECT set_config('app.other', 'x' || 'y', false); COMMIT")
    a.query("BEGIN; SELECT set_config('app.none', 'x' || 'y', false); ROLLBACK")
    assert b.value("SELECT current_setting('app.tenant', true)") in (None, "")
    assert a.value("SELECT current_setting('app.tenant')") == "it's 7"
    assert a.value("SELECT current_setting('app.other')") == "xy"
    assert a.value("SELECT current_setting('app.none', true)") in (None, "")
    assert a.notices == []

LOCK = "DO $$ BEGIN PERFORM pg_advisory_lock(7201); END $$"


def waits(weir, b):
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")


def test_what_is_in_doubt_is_asked_also_before_an_answer_of_our_own(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.extended("SELECT 1", name="named")
    a.send(wire.query(LOCK), wire.query("DEALLOCATE named"))
    a.finish()
    a.finish()
    waits(weir, b)
    a.query("SELECT pg_advisory_unlock(7201)")
    assert b.finish() == [["b"]]


def test_what_is_in_doubt_goes_with_a_client_that_leaves_in_its_transaction(make_weir):
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query("BEGIN")
    a.query(LOCK)
    a.close()
    assert weir.wire().value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7201") == "0"


def test_discarded_temporary_tables_come_back_with_a_rollback(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("CREATE TEMP TABLE t1 AS SELECT 5 AS i")
    a.query("BEGIN; DISCARD TEMP; ROLLBACK")
    waits(weir, b)
    assert a.value("SELECT i FROM t1") == "5"
    a.query("DISCARD TEMP")
    assert b.finish() == [["b"]]


def test_a_lock_taken_after_all_were_given_up_pins(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    for sql in ["BEGIN", "SELECT pg_advisory_unlock_all()", "SELECT pg_advisory_lock(7202)", "COMMIT"]:
        a.query(sql)
    waits(weir, b)
    a.query("BEGIN; SELECT pg_advisory_unlock_all(); ROLLBACK")
    assert b.finish() == [["b"]]


@pytest.mark.parametrize("statement", ["SELECT 1 / (pg_advisory_lock(7105) IS NULL)::int",
                                       "DO $$ BEGIN PERFORM pg_advisory_lock(7105); RAISE 'no'; END $$",
                                       "SELECT 1; SELECT 1 / (pg_advisory_lock(7105) IS NULL)::int", LONG +
                                       "SELECT 1 / (pg_advisory_lock(7105) IS NULL)::int"], ids=["alone", "do", "second", "long"])
@pytest.mark.parametrize("block", [False, True], ids=["alone", "block"])
def test_a_lock_taken_by_a_statement_that_failed_pins(make_weir, statement, block):
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(), weir.wire()
    if block:
        a.query("BEGIN")
    with pytest.raises(wire.ServerError):
        a.query(statement)
    if block:
        a.query("ROLLBACK")
    mine = a.value("SELECT pg_backend_pid()")
    for _ in range(3):
        assert b.value("SELECT pg_backend_pid()") != mine
    assert a.value("SELECT pg_advisory_unlock(7105)") == "t"
    wait_until(lambda: weir.console("SHOW PINS") == [])


def test_a_statement_that_failed_and_locked_nothing_does_not_pin(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    with pytest.raises(wire.ServerError):
        a.extended("SELECT pg_advisory_lock(7106) WHERE 1 / length($1) > 0", [""])
    assert b.value("SELECT 'b'") == "b"
    assert a.notices == []


def test_an_authorization_that_only_the_server_knows_of_pins(make_weir, cluster):
    weir = make_weir(default_pool_size=1, databases={"app": {"dbname": "app", "user": "postgres"}})
    a, b = weir.wire(), weir.wire()
    a.query("DO $$ BEGIN PERFORM set_config('session_authorization', 'app2', false); END $$")
    b.send(wire.query("SELECT session_user"))
    wait_until(lambda: any(p["cl_waiting"] == "1" for p in weir.console("SHOW POOLS")))
    assert a.value("SELECT session_user") == "app2"
    a.query("DO $$ BEGIN PERFORM set_config('session_authorization', 'postgres', false); END $$")
    assert b.finish() == [["postgres"]]


@pytest.mark.parametrize("local, error", [("DEALLOCATE named", None), ("SELECT pg_advisory_lock(1)", "0A000")])
def test_who_waited_for_a_server_and_did_not_need_it_does_not_keep_it(make_weir, local, error):
    weir = make_weir(default_pool_size=1, on_session_state="error")
    a, b, c = weir.wire(), weir.wire(), weir.wire()
    b.extended("SELECT 1", name="named")
    a.query("BEGIN; SELECT 1")
    b.send(wire.query(local))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    a.query("COMMIT")
    if error:
        with pytest.raises(wire.ServerError, match=error):
            b.finish()
    else:
        b.finish()
    assert c.value("SELECT 'c'") == "c"
