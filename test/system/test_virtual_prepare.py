# SPDX-License-Identifier: ISC
"""PREPARE, EXECUTE and DEALLOCATE as in a session, whatever server the session gets."""
import pytest

from harness import wire
from harness.wait import wait_until


def fails(client, sql, sqlstate, protocol="query"):
    with pytest.raises(wire.ServerError) as e:
        getattr(client, protocol)(sql)
    assert e.value.sqlstate == sqlstate
    return e.value


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_each_session_has_its_own_statements(pair, protocol):
    a, b = pair
    getattr(a, protocol)("PREPARE s (int) AS SELECT 'a', $1 + 1")
    getattr(b, protocol)("PREPARE s (text) AS SELECT 'b', upper($1)")
    getattr(a, protocol)("PREPARE t AS SELECT 't'")
    for _ in range(3):
        assert getattr(a, protocol)("EXECUTE s(1)") == [["a", "2"]]
        assert getattr(b, protocol)("EXECUTE s('x')") == [["b", "X"]]
    fails(b, "EXECUTE t", "26000", protocol)
    getattr(a, protocol)("DEALLOCATE s")
    assert getattr(b, protocol)("EXECUTE s('x')") == [["b", "X"]]
    fails(a, "EXECUTE s(1)", "26000", protocol)
    assert getattr(a, protocol)("EXECUTE t") == [["t"]]
    assert a.notices == b.notices == []


def test_every_way_to_name_a_statement(pair, unique):
    a, b = pair
    a.query("PREPARE s AS SELECT 42 AS v;")
    b.query("PREPARE s AS SELECT 43 AS v")
    assert "Result" in a.query("EXPLAIN EXECUTE s")[0][0]
    b.query("SELECT 1")
    a.query(f"BEGIN; CREATE TEMP TABLE {unique} ON COMMIT DROP AS EXECUTE s")
    assert a.value(f"SELECT v FROM {unique}") == "42"
    a.query("COMMIT")
    b.query("EXECUTE s")
    assert a.query("SELECT name, statement FROM pg_prepared_statements WHERE from_sql") == [["s", "PREPARE s AS SELECT 42 AS v;"]]
    assert a.query("DO $$ DECLARE x int; BEGIN EXECUTE 'EXECUTE s' INTO x; ASSERT x = 42; END $$") == []


def test_errors_are_those_of_a_session(pair):
    a, b = pair
    a.query("PREPARE s AS SELECT 1")
    b.query("SELECT 1")
    assert fails(a, "PREPARE s AS SELECT 2", "42P05").message == 'prepared statement "s" already exists'
    assert fails(b, "EXECUTE s", "26000").message == 'prepared statement "s" does not exist'
    assert fails(b, "DEALLOCATE s", "26000").message == 'prepared statement "s" does not exist'
    b.query("BEGIN")
    b.query("PREPARE s AS SELECT 3")
    fails(b, "PREPARE s AS SELECT 3", "42P05")
    b.query("ROLLBACK")
    assert b.value("EXECUTE s") == "3", "a rollback does not take it back"
    assert a.value("EXECUTE s") == "1"


@pytest.mark.parametrize("clear", ["DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE PREPARE ALL"])
def test_all_of_a_session_go_and_no_others(pair, clear):
    a, b = pair
    a.query("PREPARE s AS SELECT 1")
    b.query("PREPARE s AS SELECT 2")
    a.query(clear)
    fails(a, "EXECUTE s", "26000")
    assert b.value("EXECUTE s") == "2"


def test_a_statement_follows_the_settings_of_its_session(pair, cluster, unique):
    a, b = pair
    for schema in "xy":
        cluster.sql(f"CREATE SCHEMA {unique}{schema}; CREATE TABLE {unique}{schema}.{unique} AS SELECT '{schema}' AS v; "
                    f"GRANT USAGE ON SCHEMA {unique}{schema} TO app; GRANT SELECT ON {unique}{schema}.{unique} TO app")
    a.query(f"SET search_path TO {unique}x")
    a.query(f"PREPARE s AS SELECT v FROM {unique}")
    fails(b, f"SELECT v FROM {unique}", "42P01")
    assert a.value("EXECUTE s") == "x"
    a.query(f"SET search_path TO {unique}y")
    b.query("SELECT 1")
    assert a.value("EXECUTE s") == "y"
    cluster.sql(f"DROP SCHEMA {unique}x, {unique}y CASCADE")


def test_a_statement_that_cannot_be_made_again_fails_alone(pair, cluster, unique):
    a, b = pair
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 1 AS v; GRANT ALL ON {unique} TO app")
    a.query(f"PREPARE s AS SELECT v FROM {unique}")
    a.query("PREPARE t AS SELECT 't'")
    b.query("PREPARE s AS SELECT 1")
    cluster.sql(f"DROP TABLE {unique}")
    assert a.value("EXECUTE t") == "t"
    with pytest.raises(wire.ServerError):
        a.query("EXECUTE s")
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 2 AS v; GRANT ALL ON {unique} TO app")
    b.query("EXECUTE s")
    assert a.value("EXECUTE s") == "2"
    cluster.sql(f"DROP TABLE {unique}")


def test_the_protocol_sees_statements_of_sql(pair):
    a, b = pair
    a.query("PREPARE s (int) AS SELECT $1 + 1")
    b.query("PREPARE s AS SELECT 'b'")
    a.send(wire.bind(name="s", values=["41"]), wire.describe("S", "s"), wire.execute(), wire.sync())
    assert a.finish() == [["42"]]
    a.send(wire.parse("s", "SELECT 1"), wire.sync())
    with pytest.raises(wire.ServerError, match="42P05"):
        a.finish()
    b.query("EXECUTE s")
    a.send(wire.close("S", "s"), wire.sync())
    a.finish()
    fails(a, "EXECUTE s(1)", "26000")
    assert b.value("EXECUTE s") == "b"


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_sql_sees_statements_of_the_protocol(make_weir, pool_mode, protocol):
    weir = make_weir(default_pool_size=3, workers=1, pool_mode=pool_mode)
    a, b = weir.wire(), weir.wire()
    a.send(wire.parse("s", "SELECT 42"), wire.sync())
    a.finish()
    b.query("PREPARE s AS SELECT 'b'")
    assert getattr(a, protocol)("EXECUTE s") == [["42"]]
    fails(a, "PREPARE s AS SELECT 1", "42P05", protocol)
    a.query("BEGIN")
    assert getattr(a, protocol)("EXECUTE s") == [["42"]]
    a.query("COMMIT")
    getattr(a, protocol)("DEALLOCATE s")
    fails(a, "EXECUTE s", "26000", protocol)
    a.send(wire.bind(name="s"), wire.sync())
    with pytest.raises(wire.ServerError, match="26000"):
        a.finish()
    assert b.value("EXECUTE s") == "b"


def test_a_name_that_the_protocol_did_not_make_is_nobody_elses(pair):
    a, b = pair
    a.query("PREPARE s AS SELECT 'sql'")
    a.send(wire.parse("t", "SELECT 'protocol'"), wire.sync())
    a.finish()
    for name in "st":
        for ask in (wire.bind("", name) + wire.execute(), wire.describe("S", name)):
            a.query(f"EXECUTE {name}")  # now the server has it under this name
            b.send(ask + wire.sync())
            with pytest.raises(wire.ServerError, match="26000"):
                b.finish()
    a.query("EXECUTE t")
    a.query("DEALLOCATE t")
    a.send(wire.bind("", "t") + wire.execute() + wire.sync())
    with pytest.raises(wire.ServerError, match="26000"):
        a.finish()
    a.send(wire.bind("", "s") + wire.execute() + wire.sync())
    assert a.finish() == a.query("EXECUTE s") == [["sql"]]


def test_what_is_too_much_to_carry_pins_until_it_is_gone(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    makes = ["PREPARE l AS SELECT pg_advisory_xact_lock(1), pg_try_advisory_lock(7201)",
             "PREPARE long AS SELECT '" + "x" * 40000 + "'"]
    for sql, name in zip(makes, ["l", "long"]):
        a.query(sql)
        b.send(wire.query("SELECT 'b'"))
        wait_until(lambda: weir.pool()["cl_waiting"] == "1")
        a.query(f"EXECUTE {name}")
        assert weir.pool()["cl_waiting"] == "1"
        a.query(f"SELECT pg_advisory_unlock_all(); DEALLOCATE {name}")
        assert b.finish() == [["b"]]


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_names_are_told_apart_by_their_case(pair, protocol):
    a, b = pair
    names = ["Upper", "upper", "uPPER", "\x01upper", "\x01", "Ä", "ä", "a b"]
    for i, name in enumerate(names):
        getattr(a, protocol)(f'PREPARE "{name}" AS SELECT {i}')
        getattr(b, protocol)(f'PREPARE "{name}" AS SELECT {i + 100}')
    for _ in range(2):
        for i, name in enumerate(names):
            assert getattr(a, protocol)(f'EXECUTE "{name}"') == [[str(i)]]
            assert getattr(b, protocol)(f'EXECUTE "{name}"') == [[str(i + 100)]]
    getattr(a, protocol)('DEALLOCATE "Upper"')
    b.query("SELECT 1")
    assert fails(a, 'EXECUTE "Upper"', "26000", protocol).message == 'prepared statement "Upper" does not exist'
    assert fails(a, 'PREPARE "uPPER" AS SELECT 1', "42P05", protocol)
    assert a.value("EXECUTE upper") == "1"
    assert sorted(n for n, in a.query("SELECT name FROM pg_prepared_statements WHERE from_sql")) == sorted(names[1:])
    assert getattr(b, protocol)('EXECUTE "Upper"') == [["100"]]
    a.send(wire.parse("Proto", "SELECT 7"), wire.sync())
    a.finish()
    b.query("SELECT 1")
    assert a.value('EXECUTE "Proto"') == "7"
    fails(a, "EXECUTE proto", "26000")
    assert a.notices == b.notices == []


@pytest.mark.parametrize("protocol", ["query", "extended"])
@pytest.mark.parametrize("block", [False, True])
def test_why_a_statement_cannot_be_prepared_elsewhere_is_told_when_it_is_executed(pair, cluster, unique, protocol, block):
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 5 AS v; GRANT SELECT ON {unique} TO app")
    a, b = pair
    a.query(f"PREPARE s AS SELECT v FROM {unique}; PREPARE t AS SELECT 6")
    b.query("PREPARE s AS SELECT 7")
    cluster.sql(f"DROP TABLE {unique}")
    for _ in range(2):
        a.query("BEGIN" if block else "SELECT 1")
        a.query("SELECT 1")
        error = fails(a, "EXECUTE s", "42P01", protocol)
        assert error.message == f'relation "{unique}" does not exist'
        a.query("ROLLBACK" if block else "SELECT 1")
        assert fails(a, "EXECUTE none", "26000", protocol).message == 'prepared statement "none" does not exist'
        assert getattr(a, protocol)("EXECUTE t") == [["6"]]
        assert b.value("EXECUTE s") == "7"
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 8 AS v; GRANT SELECT ON {unique} TO app")
    assert getattr(a, protocol)("EXECUTE s") == [["8"]]
    assert fails(b, "EXECUTE t", "26000", protocol)
    cluster.sql(f"DROP TABLE {unique}")


def test_a_new_server_learns_them(make_weir, cluster):
    a = make_weir(default_pool_size=1).wire()
    a.query("PREPARE s AS SELECT 1; PREPARE t AS SELECT 2")
    cluster.terminate(cluster.pids()[0])
    assert a.value("EXECUTE t") == "2"


def test_with_names_as_they_are_nobody_meets_the_statements_of_another(make_weir):
    weir = make_weir(default_pool_size=1, max_prepared_statements=0)
    a, b = weir.wire(), weir.wire()
    a.query("PREPARE s1 AS SELECT 1")
    b.query("BEGIN")
    b.send(wire.extended("SELECT 2", name="s1"), wire.close("S", "s1"), wire.sync())
    assert b.finish() == [["2"]]
    b.query("COMMIT")
    assert a.query("EXECUTE s1") == [["1"]]


def test_what_was_skipped_after_an_error_is_not_taken_for_done(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    b.extended("SELECT 'mine'")
    a.extended("SELECT 'other'")
    a.query("PREPARE p AS SELECT 'of a'")
    a.extended("SELECT 'other'")
    bad = wire.parse("bad", "SELECT FROM FROM")
    b.send(bad, wire.bind(), wire.execute(), wire.sync())
    with pytest.raises(wire.ServerError, match="42601"):
        b.finish()
    b.send(wire.bind(), wire.execute(), wire.sync())
    assert b.finish() == [["mine"]]
    b.send(bad, wire.extended("EXECUTE p"), wire.sync())
    with pytest.raises(wire.ServerError, match="42601"):
        b.finish()
    with pytest.raises(wire.ServerError, match="26000"):
        b.query("EXECUTE p")
    assert a.query("EXECUTE p") == [["of a"]]
