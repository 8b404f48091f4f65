# SPDX-License-Identifier: ISC
"""Prepared statements work in transaction mode, whatever server they meet."""
import psycopg
import pytest

from harness import wire


def scatter(weir, count):
    """Transactions held open by COUNT other clients, so that the next statement needs another server."""
    held = [weir.wire() for _ in range(count)]
    for w in held:
        w.query("BEGIN; SELECT 1")
    return held


def release(held):
    for w in held:
        w.query("COMMIT")
        w.close()


def run(w, name, values=()):
    w.send(wire.bind("", name, values), wire.execute(), wire.sync())
    return w.finish()


def prepare(w, name, sql, types=()):
    w.send(wire.parse(name, sql, types), wire.sync())
    return w.finish()


def test_a_named_statement_works_on_every_server(make_weir):
    weir = make_weir(default_pool_size=4)
    w = weir.wire()
    prepare(w, "s", "SELECT $1::int * 2, pg_backend_pid()")
    pids = set()
    for busy in range(4):
        held = scatter(weir, busy)
        (double, pid), = run(w, "s", [busy])
        assert double == str(busy * 2)
        pids.add(pid)
        release(held)
    for held_first in range(6):
        held = scatter(weir, 3)
        pids.add(run(w, "s", [1])[0][1])
        release(held[1:] + held[:1])
    assert len(pids) > 1, "several servers were met"


def test_equal_names_of_two_clients_do_not_meet(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    prepare(a, "same", "SELECT 'a'")
    prepare(b, "same", "SELECT 'b', $1::int")
    for _ in range(3):
        assert run(a, "same") == [["a"]]
        assert run(b, "same", [5]) == [["b", "5"]]


def test_equal_texts_with_other_types_do_not_meet(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    prepare(a, "s", "SELECT pg_typeof($1)::text", [23])
    prepare(b, "s", "SELECT pg_typeof($1)::text", [25])
    for _ in range(3):
        assert run(a, "s", [1]) == [["integer"]]
        assert run(b, "s", [1]) == [["text"]]


def test_equal_texts_under_another_search_path_do_not_meet(make_weir, cluster, unique):
    cluster.sql(f"CREATE SCHEMA {unique}_x; CREATE SCHEMA {unique}_y; GRANT ALL ON SCHEMA {unique}_x, {unique}_y TO app;"
                f"CREATE TABLE {unique}_x.t AS SELECT 'x' AS v; CREATE TABLE {unique}_y.t AS SELECT 'y' AS v;"
                f"GRANT ALL ON {unique}_x.t, {unique}_y.t TO app")
    weir = make_weir(default_pool_size=1)
    clients = {name: weir.wire() for name in "xy"}
    for name, w in clients.items():
        w.query(f"SET search_path = {unique}_{name}")
        prepare(w, "s", "SELECT v FROM t")
    for _ in range(3):
        for name, w in clients.items():
            assert run(w, "s") == [[name]]
    cluster.sql(f"DROP SCHEMA {unique}_x, {unique}_y CASCADE")


@pytest.mark.parametrize("setting", ["SET search_path = pg_catalog", "SELECT set_config('search_path', 'pg_catalog', false)",
                                     "BEGIN; SET search_path = pg_catalog"])
def test_a_parse_fails_at_once_where_the_search_path_does_not_reach(make_weir, cluster, unique, setting):
    """Though the server has that text from somebody who reaches it."""
    cluster.sql(f"CREATE TABLE public.{unique} (v int); GRANT ALL ON public.{unique} TO app")
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    prepare(a, "s", f"SELECT v FROM {unique}")
    b.query(setting)
    for _ in range(2):
        b.send(wire.parse("s", f"SELECT v FROM {unique}"), wire.describe("S", "s"), wire.sync())
        assert b.kinds("Z") == "EZ"
        b.query("ROLLBACK")
        b.query(setting)
    b.query("ROLLBACK; RESET search_path")
    assert run(a, "s") == []
    cluster.sql(f"DROP TABLE public.{unique}")


def test_more_statements_than_a_server_keeps_still_work(make_weir, cluster):
    weir = make_weir(default_pool_size=1, max_prepared_statements=5)
    w = weir.wire()
    for i in range(30):
        prepare(w, f"s{i}", f"SELECT {i}")
    for i in list(range(30)) + list(range(29, -1, -1)):
        assert run(w, f"s{i}") == [[str(i)]]
    assert int(w.value("SELECT count(*) FROM pg_prepared_statements")) <= 5


def test_a_batch_of_more_statements_than_a_server_keeps_works(make_weir):
    weir = make_weir(default_pool_size=1, max_prepared_statements=3)
    w = weir.wire()
    for i in range(10):
        prepare(w, f"s{i}", f"SELECT {i}")
    for _ in range(2):
        w.send(*[wire.bind("", f"s{i}") + wire.execute() for i in range(10)], wire.sync())
        assert w.finish() == [[str(i)] for i in range(10)]


def test_named_statements_in_a_deep_pipeline_answer_in_order(make_weir):
    weir = make_weir(default_pool_size=2, max_prepared_statements=4)
    w = weir.wire()
    for i in range(8):
        w.send(wire.parse(f"s{i}", f"SELECT {i}, $1::int"))
    w.send(wire.sync())
    assert w.kinds() == "1" * 8 + "Z"
    w.send(*[wire.bind("", f"s{i % 8}", [i]) + wire.execute() + wire.sync() for i in range(200)])
    for i in range(200):
        assert w.finish() == [[str(i % 8), str(i)]]


@pytest.mark.parametrize("before, after", [
    ([wire.bind("", "nobody")], []),
    ([wire.extended("SELECT 1/0")], [wire.bind("", "nobody") + wire.sync()]),
    ([wire.extended("BEGIN"), wire.sync(), wire.extended("SELECT 1/0"), wire.sync()], [wire.extended("ROLLBACK") + wire.sync()]),
])
def test_a_batch_that_fails_does_not_lose_the_statements_of_the_next(make_weir, before, after):
    """The server lacks the statement; what would bring it is skipped."""
    weir = make_weir(default_pool_size=1, max_prepared_statements=3)
    w, other = weir.wire(), weir.wire()
    for name in "st":
        prepare(w, name, f"SELECT '{name}'")
    for turn in range(3):
        for i in range(4): # which make the server forget it
            prepare(other, f"{turn}{i}", f"SELECT {turn} + {i}")
        use = wire.bind("", "s") + wire.execute()
        w.send(*before, use, wire.sync(), *after, use, use, wire.sync(), use, wire.sync(), wire.bind("", "t"), wire.execute(), wire.sync(), wire.query("SELECT 'end'"))
        said = []
        while not said or said[-1] != ["end"]:
            try:
                said += w.finish()
            except wire.ServerError:
                said.append("error")
        assert said[-5:] == [["s"], ["s"], ["s"], ["t"], ["end"]] and "error" in said
        assert run(w, "s") == [["s"]]


def test_answers_hold_no_trace_of_a_silent_prepare(make_weir):
    """A statement made known to a new server on demand must not add ParseComplete or CloseComplete."""
    weir = make_weir(default_pool_size=2, max_prepared_statements=1)
    w = weir.wire()
    prepare(w, "s", "SELECT 1")
    prepare(w, "t", "SELECT 2")
    for name in "ststst":
        w.send(wire.describe("S", name), wire.bind("", name), wire.execute(), wire.sync())
        assert w.kinds() == "tT2DCZ"


def test_describe_of_a_named_statement_works_on_another_server(make_weir):
    weir = make_weir(default_pool_size=2)
    w = weir.wire()
    prepare(w, "s", "SELECT $1::int8 AS col")
    held = scatter(weir, 1)
    w.send(wire.describe("S", "s"), wire.sync())
    messages = {m.kind: m for m in w.until("Z")}
    assert messages["T"].columns()[0][:2] == ("col", 20)
    release(held)


def test_parse_of_a_used_name_is_42P05_and_the_client_stays(make_weir):
    w = make_weir().wire()
    prepare(w, "s", "SELECT 1")
    for _ in range(2):
        with pytest.raises(wire.ServerError) as e:
            prepare(w, "s", "SELECT 2")
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "42P05")
        assert e.value.message == 'prepared statement "s" already exists'
    assert run(w, "s") == [["1"]]


def test_a_used_name_is_told_by_its_name_whatever_follows(make_weir):
    w = make_weir().wire()
    for name in "rs":
        prepare(w, name, "SELECT 1")
    w.send(wire.parse("s", "SELECT 2"), wire.sync(), wire.close("S", "s"), wire.sync())
    with pytest.raises(wire.ServerError, match='"s" already exists'):
        w.finish()
    w.finish()


def errors(w, *messages):
    w.send(*messages)
    answers = w.until("Z")
    w.status = answers[-1].body.decode()
    return [m.fields() for m in answers if m.kind == "E"]


@pytest.fixture
def with_direct(make_weir, cluster):
    """The same client twice: through pgweir, and to PostgreSQL itself."""
    with wire.Wire(cluster.folder, cluster.port) as direct:
        yield make_weir(default_pool_size=1).wire(), direct.login()


def test_errors_name_statements_as_the_client_does(with_direct):
    """Two names of one text, in the order of their making and against it."""
    seen = []
    for w in with_direct:
        for name in ("first", "second"):
            prepare(w, name, "SELECT $1::int")
        seen.append([errors(w, *messages, wire.sync()) for messages in (
            [wire.parse("first", "SELECT 2")], [wire.parse("second", "SELECT $1::int")], [wire.parse("first", "SELECT $1::int")],
            [wire.bind("", "second", [1, 2])], [wire.describe("S", "third")], [wire.bind("", "third")],
            [wire.parse("n" * 300, "SELECT 3"), wire.parse("n" * 300, "SELECT 3")], [wire.parse("fourth", "SELECT nothing")])])
        assert run(w, "first", [1]) == run(w, "second", [1]) == [["1"]]
    assert seen[0] == seen[1]


def test_a_statement_that_the_server_lost_is_brought_again(make_weir):
    w = make_weir(default_pool_size=1).wire()
    prepare(w, "s", "SELECT 1")
    w.query("DO $$ BEGIN EXECUTE 'DEALLO' || 'CATE ALL'; END $$")
    first = errors(w, wire.bind("", "s"), wire.execute(), wire.sync())
    assert [e["M"] for e in first] in ([], ['prepared statement "s" does not exist'])
    assert run(w, "s") == [["1"]]


@pytest.mark.parametrize("known", [False, True])
def test_parse_in_a_failed_transaction_is_25P02(with_direct, known):
    seen = []
    for w in with_direct:
        if known:
            prepare(w, "before", "SELECT 1")
            prepare(w, "end before", "ROLLBACK")
        w.query("BEGIN")
        errors(w, wire.query("SELECT 1/0"))
        seen.append([errors(w, *messages, wire.sync()) for messages in (
            [wire.parse("s", "SELECT 1")], [wire.parse("s", "SELECT 1"), wire.bind("", "s"), wire.execute()], [wire.parse("", "SELECT 1")],
            [wire.parse("before", "SELECT 2")], [wire.parse("end", "ROLLBACK")])])
        assert w.status == "E"
        assert run(w, "end") == [] and w.status == "I"
        prepare(w, "s", "SELECT 1")
        assert run(w, "s") == [["1"]]
    drop = "FLR"
    assert [[{k: v for k, v in e.items() if k not in drop} for e in es] for es in seen[0]] \
        == [[{k: v for k, v in e.items() if k not in drop} for e in es] for es in seen[1]]


def test_a_used_name_in_a_batch_fails_the_batch_in_its_place(make_weir):
    w = make_weir().wire()
    prepare(w, "s", "SELECT 1")
    w.send(wire.extended("SELECT 'before'"), wire.parse("s", "SELECT 2"), wire.extended("SELECT 'after'"), wire.sync(),
           wire.extended("SELECT 'next'"), wire.sync())
    assert w.kinds() == "12TDCEZ"
    assert w.finish() == [["next"]]


def test_a_name_may_be_used_again_after_close(make_weir):
    w = make_weir().wire()
    prepare(w, "s", "SELECT 1")
    w.send(wire.close("S", "s"), wire.parse("s", "SELECT 2"), wire.bind("", "s"), wire.execute(), wire.sync())
    assert w.kinds() == "312DCZ"
    assert run(w, "s") == [["2"]]


def test_bind_of_an_unknown_name_is_26000(make_weir):
    w = make_weir().wire()
    with pytest.raises(wire.ServerError) as e:
        run(w, "nobody")
    assert (e.value.sqlstate, e.value.message) == ("26000", 'prepared statement "nobody" does not exist')
    assert w.value("SELECT 1") == "1"


def test_a_closed_name_is_unknown(make_weir):
    w = make_weir().wire()
    prepare(w, "s", "SELECT 1")
    w.send(wire.close("S", "s"), wire.sync())
    w.finish()
    with pytest.raises(wire.ServerError, match="26000"):
        run(w, "s")


def test_a_statement_whose_parse_failed_does_not_exist(make_weir):
    w = make_weir().wire()
    with pytest.raises(wire.ServerError, match="42601"):
        prepare(w, "bad", "SELEC")
    with pytest.raises(wire.ServerError, match="26000"):
        run(w, "bad")
    prepare(w, "bad", "SELECT 'good'")
    assert run(w, "bad") == [["good"]]


def test_a_parse_that_was_skipped_after_an_error_does_not_exist(make_weir):
    w = make_weir().wire()
    w.send(wire.extended("SELECT 1/0"), wire.parse("skipped", "SELECT 1"), wire.sync())
    with pytest.raises(wire.ServerError, match="22012"):
        w.finish()
    with pytest.raises(wire.ServerError, match="26000"):
        run(w, "skipped")
    prepare(w, "skipped", "SELECT 'now'")
    assert run(w, "skipped") == [["now"]]


@pytest.mark.parametrize("how", ["DEALLOCATE ALL", "DISCARD ALL", "DEALLOCATE s", "DEALLOCATE PREPARE s"])
def test_sql_may_forget_a_statement_made_by_protocol(make_weir, how):
    weir = make_weir(default_pool_size=1)
    w, other = weir.wire(), weir.wire()
    prepare(w, "s", "SELECT 1")
    prepare(other, "s", "SELECT 'other'")
    w.query(how)
    with pytest.raises(wire.ServerError, match="26000"):
        run(w, "s")
    prepare(w, "s", "SELECT 2")
    assert run(w, "s") == [["2"]]
    assert run(other, "s") == [["other"]], "nobody else's statement is forgotten"


def test_deallocate_of_an_unknown_name_is_26000(make_weir):
    w = make_weir().wire()
    with pytest.raises(wire.ServerError, match="26000"):
        w.query("DEALLOCATE nothing")
    assert w.value("SELECT 1") == "1"


def test_sql_prepare_and_execute_work_whatever_the_server(make_weir):
    weir = make_weir(default_pool_size=2)
    a, b = weir.wire(), weir.wire()
    a.query("PREPARE q (int) AS SELECT 'a', $1")
    b.query("PREPARE q (int) AS SELECT 'b', $1")
    for i in range(3):
        assert a.query(f"EXECUTE q({i})") == [["a", str(i)]]
        assert b.query(f"EXECUTE q({i})") == [["b", str(i)]]
    a.query("DEALLOCATE q")
    with pytest.raises(wire.ServerError, match="26000"):
        a.query("EXECUTE q(1)")


def test_a_statement_survives_the_loss_of_its_server(make_weir, cluster):
    w = make_weir(default_pool_size=1).wire()
    prepare(w, "s", "SELECT 'alive'")
    for _ in range(3):
        cluster.terminate(cluster.pids()[0])
        assert run(w, "s") == [["alive"]]


def test_a_statement_survives_a_change_of_its_tables(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 1 AS a; GRANT ALL ON {unique} TO app")
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    prepare(a, "s", f"SELECT * FROM {unique}")
    assert run(a, "s") == [["1"]]
    cluster.sql(f"ALTER TABLE {unique} ADD b int DEFAULT 2")
    with pytest.raises(wire.ServerError, match="cached plan"):
        run(a, "s")
    assert run(a, "s") == [["1", "2"]], "the server has learnt the statement anew"
    prepare(b, "s", f"SELECT * FROM {unique}")
    assert run(b, "s") == [["1", "2"]], "a client that prepared after the change does not meet the older plan"
    cluster.sql(f"DROP TABLE {unique}")


def test_psycopg_prepares_evicts_and_goes_on(make_weir):
    weir = make_weir(default_pool_size=2)
    clients = [weir.connect(prepare_threshold=0) for _ in range(4)]
    for c in clients:
        c.prepared_max = 3
    for round_ in range(3):
        for c in clients:
            for i in range(8):
                assert c.execute(f"SELECT {i}, %s::int", (round_,)).fetchone() == (i, round_)


def test_psycopg_sees_a_failed_prepared_statement_as_its_own_error(make_weir):
    c = make_weir().connect(prepare_threshold=0)
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero):
            c.execute("SELECT 1 / %s::int", (0,))
    assert c.execute("SELECT 1 / %s::int", (1,)).fetchone() == (1,)


def test_statements_of_a_client_that_left_do_not_pile_up(make_weir, cluster):
    weir = make_weir(default_pool_size=1, max_prepared_statements=10)
    for i in range(40):
        w = weir.wire()
        prepare(w, "s", f"SELECT {i}")
        assert run(w, "s") == [[str(i)]]
        w.close()
    assert int(weir.wire().value("SELECT count(*) FROM pg_prepared_statements")) <= 10


def test_prepared_statements_off_passes_names_through(make_weir):
    weir = make_weir(max_prepared_statements=0, pool_mode="session")
    w = weir.wire()
    prepare(w, "plain", "SELECT 1")
    assert w.query("SELECT name FROM pg_prepared_statements") == [["plain"]]


def test_a_long_statement_name_works(make_weir):
    w = make_weir().wire()
    name = "n" * 2000
    prepare(w, name, "SELECT 'long'")
    assert run(w, name) == [["long"]]


def test_a_changed_table_leaves_statements_made_by_sql_alone(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 1 AS a; GRANT ALL ON {unique} TO app")
    w = make_weir(pool_mode="session").wire()
    w.query(f"PREPARE mine AS SELECT * FROM {unique}; PREPARE other AS SELECT 7")
    w.query("EXECUTE mine")
    cluster.sql(f"ALTER TABLE {unique} ADD b int DEFAULT 2")
    for _ in range(2):
        with pytest.raises(wire.ServerError, match="cached plan"):
            w.query("EXECUTE mine")
    assert w.query("EXECUTE other") == [["7"]]
    cluster.sql(f"DROP TABLE {unique}")


@pytest.fixture
def changing(cluster, unique):
    """A table of app's own, one row, to be changed under prepared statements."""
    cluster.sql(f"CREATE TABLE {unique} AS SELECT 1 AS a; ALTER TABLE {unique} OWNER TO app")
    yield unique
    cluster.sql(f"DROP TABLE {unique}")


def known_everywhere(weir, sql, count=3):
    """Clients with a statement that all COUNT servers of the pool know."""
    clients = [weir.wire() for _ in range(count)]
    for w in clients:
        w.query("BEGIN")
    for w in clients:
        prepare(w, "s", sql)
        run(w, "s")
    for w in clients:
        w.query("COMMIT")
    return clients


def on_each_server(weir, act, count=3):
    """What ACT brings on each server of the pool, while the others are held."""
    out = []
    for i in range(count):
        held = scatter(weir, count - 1)
        out.append(act())
        release(held[i:] + held[:i])
    return out


@pytest.mark.parametrize("block", [False, True])
def test_a_statement_that_is_parsed_after_a_change_sees_it_on_every_server(make_weir, changing, block):
    weir = make_weir(default_pool_size=3, workers=1)
    old, changer, _ = known_everywhere(weir, f"SELECT * FROM {changing}")
    changer.query("BEGIN" if block else "SELECT 1")
    changer.query(f"ALTER TABLE {changing} ADD COLUMN b int DEFAULT 2")
    changer.query("COMMIT" if block else "SELECT 1")
    new = weir.wire()
    prepare(new, "n", f"SELECT * FROM {changing}")
    assert on_each_server(weir, lambda: run(new, "n")) == 3 * [[["1", "2"]]]
    old.send(wire.close("S", "s"), wire.parse("s", f"SELECT * FROM {changing}"), wire.sync())
    old.finish()
    assert on_each_server(weir, lambda: run(old, "s")) == 3 * [[["1", "2"]]]


def test_whoever_parsed_before_a_change_is_told(make_weir, changing):
    weir = make_weir(default_pool_size=3, workers=1)
    old, changer, _ = known_everywhere(weir, f"SELECT * FROM {changing}")
    changer.query(f"ALTER TABLE {changing} ADD COLUMN b int DEFAULT 2")
    with pytest.raises(wire.ServerError, match="cached plan must not change result type"):
        run(old, "s")
    assert old.value("SELECT 'kept'") == "kept"


def test_whoever_was_told_the_columns_hears_that_a_new_plan_has_others(make_weir, changing):
    """Some drivers ask for the columns once, and read every later row by them."""
    weir = make_weir(default_pool_size=3, workers=1)
    old, same, changer = weir.wire(), weir.wire(), weir.wire()
    old.send(wire.parse("s", f"SELECT * FROM {changing}"), wire.describe("S", "s"), wire.sync())
    same.send(wire.parse("s", "SELECT 5 AS n"), wire.describe("S", "s"), wire.sync())
    old.finish(), same.finish()
    changer.query(f"ALTER TABLE {changing} ADD COLUMN b int DEFAULT 2")
    held = scatter(weir, 1)  # nobody has a plan on the next server
    old.query("BEGIN")
    with pytest.raises(wire.ServerError) as e:
        run(old, "s")
    assert (e.value.sqlstate, e.value.message) == ("0A000", "cached plan must not change result type")
    assert e.value.fields["R"] == "RevalidateCachedQuery", "what drivers look for before they prepare again"
    assert old.status == "E"
    old.query("ROLLBACK")
    assert run(old, "s") == [["1", "2"]], "once it was told"
    assert run(same, "s") == [["5"]], "a change elsewhere is none of its affair"
    release(held)


def test_a_pipeline_goes_on_after_the_question_for_columns(make_weir, changing):
    weir = make_weir(default_pool_size=1)
    w, changer = weir.wire(), weir.wire()
    w.send(wire.parse("s", f"SELECT a, $1::int FROM {changing}"), wire.describe("S", "s"), wire.sync())
    w.finish()
    for i in range(3):
        changer.query(f"ALTER TABLE {changing} ADD COLUMN b{i} int")
        w.send(*[wire.bind("", "s", [n]) + wire.execute() + wire.sync() for n in range(50)])
        assert [w.finish() for n in range(50)] == [[["1", str(n)]] for n in range(50)]


def test_a_change_that_pgweir_did_not_see_is_told_at_most_once(make_weir, cluster, changing):
    """The plan that a new client was given was out of date: it never heard of the old table."""
    weir = make_weir(default_pool_size=3, workers=1)
    known_everywhere(weir, f"SELECT * FROM {changing}")
    cluster.sql(f"ALTER TABLE {changing} ADD COLUMN b int DEFAULT 2")
    new = weir.wire()
    prepare(new, "n", f"SELECT * FROM {changing}")
    with pytest.raises(wire.ServerError, match="cached plan must not change result type"):
        run(new, "n")
    assert on_each_server(weir, lambda: run(new, "n")) == 3 * [[["1", "2"]]]


def test_a_type_that_was_made_again_is_the_new_one(make_weir, unique):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    for _ in range(2):
        w.query(f"CREATE TYPE {unique} AS (a int)")
        prepare(w, "s", f"SELECT ARRAY[ROW(1)::{unique}]")
        assert run(w, "s") == [["{(1)}"]]
        w.send(wire.close("S", "s"), wire.sync())
        w.finish()
        w.query(f"DROP TYPE {unique}")


def test_a_statement_whose_place_was_taken_in_a_failed_batch_still_works(make_weir):
    """The server never saw the Close that made room for the new one."""
    weir = make_weir(default_pool_size=1, max_prepared_statements=1)
    w = weir.wire()
    prepare(w, "first", "SELECT 1")
    w.send(wire.bind("", "none such"), wire.parse("second", "SELECT 2"), wire.sync())
    with pytest.raises(wire.ServerError, match="none such"):
        w.finish()
    for name in ("first", "first"):
        assert run(w, name) == [["1"]]
    prepare(w, "second", "SELECT 2")
    assert run(w, "second") == [["2"]] and run(w, "first") == [["1"]]


READ_OTHERWISE = {"TimeZone": ("SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)", "UTC", "Asia/Tokyo"),
                  "DateStyle": ("SELECT '01/02/2020'::date - '2020-01-01'::date", "ISO, MDY", "ISO, DMY"),
                  "client_encoding": ("SELECT length('\u00e9')", "UTF8", "LATIN1")}


@pytest.mark.parametrize("name", READ_OTHERWISE)
@pytest.mark.parametrize("statement", ["named", ""])
def test_a_text_that_is_read_otherwise_is_another_statement(make_weir, cluster, name, statement):
    """Literals are read when a statement is prepared, as the settings are then."""
    sql, *values = READ_OTHERWISE[name]
    weir = make_weir(default_pool_size=1)
    clients = [weir.wire(**{name: value}) for value in values]
    expected = []
    for value in values:
        with wire.Wire(cluster.folder, cluster.port) as direct:
            prepare(direct.login(**{name: value}), "s", sql)
            expected.append(run(direct, "s"))
    assert expected[0] != expected[1]
    for w in clients:
        prepare(w, statement, sql)
    for _ in range(2):
        assert [run(w, statement) for w in clients] == expected


def test_more_names_in_a_second_than_shapes_are_parsed_are_deallocated(make_weir):
    w, names = make_weir().wire(), [f"driver_{i}" for i in range(400)]
    w.send(*[wire.parse(name, "SELECT 1") for name in names], wire.sync())
    w.finish()
    w.send(*[wire.query(f"DEALLOCATE {name}") for name in names])
    for _ in names:
        w.finish()
