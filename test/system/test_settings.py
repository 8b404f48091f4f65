# SPDX-License-Identifier: ISC
"""SET, RESET and start-up parameters belong to the session, whatever server it gets."""
import pytest

from harness import wire
from harness.wait import wait_until


def test_each_session_sees_its_own_settings(pair):
    a, b = pair
    before = b.value("SHOW work_mem")
    a.query("SET work_mem = '11MB'")
    assert b.value("SHOW work_mem") == before
    b.query("SET work_mem = '22MB'")
    for _ in range(3):
        assert a.value("SHOW work_mem") == "11MB"
        assert b.value("SHOW work_mem") == "22MB"


def test_many_sessions_on_several_servers_keep_their_settings(make_weir):
    weir = make_weir(default_pool_size=3)
    clients = [weir.wire() for _ in range(10)]
    for i, w in enumerate(clients):
        w.query(f"SET application_name = 'client {i}'; SET statement_timeout = {1001 + i}")
    for _ in range(3):
        for i, w in enumerate(clients):
            assert w.query("SELECT current_setting('application_name'), current_setting('statement_timeout')") \
                == [[f"client {i}", f"{1001 + i}ms"]]


@pytest.mark.parametrize("how", [
    "SET search_path = app, public", "SET search_path TO 'app, public'", "SET SESSION search_path = app, public",
    "SELECT set_config('search_path', 'app, public', false)", "/* c */ set Search_Path to app , public;",
    "DO $$ BEGIN PERFORM set_config('work_mem', '8MB', true); END $$; SET search_path = app, public"])
def test_every_way_to_set_is_seen(pair, how):
    a, b = pair
    default = b.value("SHOW search_path")
    a.query(how)
    assert b.value("SHOW search_path") == default
    assert a.value("SHOW search_path") in ("app, public", '"app, public"')


def test_set_by_the_extended_protocol_is_seen(pair):
    a, b = pair
    a.extended("SET work_mem = '13MB'")
    a.extended("SELECT set_config('maintenance_work_mem', '14MB', false)")
    b.query("SELECT 1")
    assert b.value("SHOW work_mem") != "13MB" and b.value("SHOW maintenance_work_mem") != "14MB"
    assert a.value("SHOW work_mem") == "13MB" and a.value("SHOW maintenance_work_mem") == "14MB"


def test_reset_returns_to_the_start_up_value(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(application_name="at start", options="-c work_mem=15MB"), weir.wire()
    a.query("SET application_name = 'changed'; SET work_mem = '1GB'")
    b.query("SELECT 1")
    a.query("RESET application_name")
    assert a.value("SHOW application_name") == "at start"
    a.query("SET work_mem TO DEFAULT")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "15MB"
    a.query("SET work_mem = '2GB'; RESET ALL")
    assert a.query("SELECT current_setting('work_mem'), current_setting('application_name')") == [["15MB", "at start"]]
    assert b.value("SHOW work_mem") not in ("15MB", "2GB")


def test_discard_all_returns_to_the_start_up_values_of_this_client_only(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(TimeZone="Asia/Tokyo"), weir.wire()
    a.query("SET TimeZone = 'UTC'")
    b.query("SET work_mem = '16MB'")
    a.query("DISCARD ALL")
    assert a.value("SHOW TimeZone") == "Asia/Tokyo"
    assert b.value("SHOW work_mem") == "16MB"


def test_rollback_undoes_a_set(pair):
    a, b = pair
    a.query("SET work_mem = '17MB'")
    a.query("BEGIN")
    a.query("SET work_mem = '18MB'")
    assert a.value("SHOW work_mem") == "18MB"
    a.query("ROLLBACK")
    assert a.value("SHOW work_mem") == "17MB"
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "17MB"


def test_a_failed_transaction_undoes_a_set(pair):
    a, b = pair
    a.query("BEGIN; SET work_mem = '19MB'")
    with pytest.raises(wire.ServerError):
        a.query("SELECT 1/0")
    a.query("COMMIT")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") != "19MB"
    assert b.value("SHOW work_mem") != "19MB"


def test_a_failed_string_of_statements_undoes_its_set(pair):
    a, b = pair
    with pytest.raises(wire.ServerError):
        a.query("SET work_mem = '20MB'; SELECT 1/0")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") != "20MB"


def test_rollback_to_a_savepoint_undoes_a_set(pair):
    a, b = pair
    a.query("BEGIN; SET work_mem = '21MB'; SAVEPOINT s; SET work_mem = '23MB'; ROLLBACK TO s; COMMIT")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "21MB"
    for statement in ("BEGIN", "SAVEPOINT s", "SET work_mem = '24MB'", "RELEASE s", "COMMIT"):
        a.query(statement)
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "24MB"
    for statement in ("BEGIN", "SET work_mem = '25MB'", "SAVEPOINT s", "SET work_mem = '26MB'", "ROLLBACK TO SAVEPOINT s", "COMMIT"):
        a.query(statement)
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "25MB"


def test_commit_keeps_a_set(pair):
    a, b = pair
    a.query("BEGIN")
    a.query("SET work_mem = '27MB'")
    a.query("COMMIT")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "27MB"


def test_set_local_ends_with_its_transaction(pair):
    a, b = pair
    a.query("BEGIN; SET LOCAL work_mem = '28MB'")
    assert a.value("SHOW work_mem") == "28MB"
    a.query("COMMIT")
    assert a.value("SHOW work_mem") != "28MB"
    assert b.value("SHOW work_mem") != "28MB"


def test_a_refused_set_changes_nothing(pair):
    a, b = pair
    a.query("SET work_mem = '29MB'")
    with pytest.raises(wire.ServerError, match="22023"):
        a.query("SET work_mem = 'banana'")
    b.query("SELECT 1")
    assert a.value("SHOW work_mem") == "29MB"


def test_custom_settings_are_kept_apart(pair):
    a, b = pair
    a.query("SET myapp.tenant = 'a'")
    b.query("SET myapp.tenant = 'b'")
    for _ in range(2):
        assert a.value("SELECT current_setting('myapp.tenant')") == "a"
        assert b.value("SELECT current_setting('myapp.tenant')") == "b"


def test_a_value_with_quotes_and_backslashes_is_carried_whole(pair):
    a, b = pair
    value = r"""it's "q" \ $1 %s ; é -- /*"""
    a.query("SET myapp.odd = '" + value.replace("'", "''") + "'")
    b.query("SELECT 1")
    assert a.value("SELECT current_setting('myapp.odd')") == value


def test_a_value_outlives_a_change_of_the_encoding(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(client_encoding="LATIN1"), weir.wire(client_encoding="LATIN2")
    odd = b"\xb1\xe9"
    for w in (a, b):
        w.send(wire.message("Q", b"SET myapp.odd = '" + odd + b"'\0"))
        w.finish()
    points = "SELECT encode(convert_to(current_setting('myapp.odd'), 'UTF8'), 'hex')"
    for _ in range(2):
        assert a.value(points) == "\u00b1\u00e9".encode().hex()
        assert b.value(points) == "\u0105\u00e9".encode().hex()
    a.query("SET client_encoding = 'UTF8'")
    b.query("BEGIN; RESET client_encoding; COMMIT")
    a.query("SET client_encoding = 'UTF8'; SET myapp.more = 'ж'")
    for _ in range(2):
        assert a.value(points) == "\u00b1\u00e9".encode().hex()
        assert b.value(points) == "\u0105\u00e9".encode().hex()
    assert weir.console("SHOW PINS") == []
    a.query("SET client_encoding = 'LATIN1'")  # has no such letter
    a.query("SELECT 1")
    assert [p["reason"] for p in weir.console("SHOW PINS")] == ["set"]
    assert a.value("SELECT encode(convert_to(current_setting('myapp.more'), 'UTF8'), 'hex')") == "ж".encode().hex()


def test_set_role_is_kept_apart(make_weir, cluster):
    cluster.sql("GRANT lookup TO app")
    weir = make_weir(default_pool_size=2)
    a, b = weir.wire(), weir.wire()
    a.query("SET ROLE lookup")
    assert b.value("SELECT current_user") == "app"
    assert a.value("SELECT current_user") == "lookup"
    a.query("RESET ROLE")
    assert a.value("SELECT current_user") == "app"
    cluster.sql("REVOKE lookup FROM app")


def test_session_characteristics_are_kept_apart(pair):
    a, b = pair
    a.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    b.query("SELECT 1")
    assert b.value("SHOW transaction_read_only") == "off"
    assert a.value("SHOW transaction_read_only") == "on"


# --- start-up

def test_start_up_parameters_are_each_sessions_own(make_weir):
    weir = make_weir(default_pool_size=1)
    a = weir.wire(application_name="one", TimeZone="Europe/Lisbon", DateStyle="German", extra_float_digits="0",
                  options="-c geqo=off --statement_timeout=7s -cwork_mem=31MB", client_encoding="latin1")
    b = weir.wire(application_name="two")
    shown = "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('geqo'), " \
            "current_setting('statement_timeout'), current_setting('work_mem'), current_setting('extra_float_digits')"
    for _ in range(2):
        assert a.query(shown) == [["one", "Europe/Lisbon", "off", "7s", "31MB", "0"]]
        assert b.query(shown)[0][0] == "two" and b.query(shown)[0][2] == "on"
    assert a.value("SHOW client_encoding") == "LATIN1"
    assert a.value("SELECT '2020-12-31'::date") == "31.12.2020"


def test_an_option_with_an_escaped_space_is_understood(make_weir):
    w = make_weir().wire(options=r"-c search_path=app,\ public -c application_name=with\ space\\slash")
    assert w.value("SHOW search_path") == "app, public"
    assert w.value("SHOW application_name") == "with space\\slash"


def test_dsn_options_and_settings_work_with_psycopg(make_weir):
    c = make_weir(default_pool_size=1).connect(options="-c work_mem=32MB", application_name="py")
    assert c.execute("SHOW work_mem").fetchone() == ("32MB",)
    assert c.info.parameter_status("application_name") == "py"


@pytest.mark.parametrize("params, sqlstate, text", [
    ({"options": "-c work_mem=banana"}, "22023", "work_mem"),
    ({"options": "-c no_such_setting=1"}, "42704", "no_such_setting"),
    ({"no_such_setting": "1"}, "42704", "no_such_setting"),
    ({"client_encoding": "klingon"}, "22023", "client_encoding"),
    ({"TimeZone": "Not/AZone"}, "22023", "TimeZone"),
    ({"options": "-c fsync=off"}, "55P02", "fsync"),
])
def test_a_bad_start_up_parameter_is_fatal_with_postgresqls_own_words(make_weir, cluster, params, sqlstate, text):
    weir = make_weir(default_pool_size=1)
    with pytest.raises(wire.ServerError) as ours:
        weir.wire(**params)
    with wire.Wire(cluster.folder, cluster.port) as direct, pytest.raises(wire.ServerError) as theirs:
        direct.login(**params)
    assert (ours.value.level, ours.value.sqlstate, ours.value.message) == ("FATAL", sqlstate, theirs.value.message)
    assert text in ours.value.message
    assert weir.wire().value("SELECT 'unharmed'") == "unharmed"


def test_ignored_start_up_parameters_are_dropped(make_weir):
    weir = make_weir(ignore_startup_parameters="no_such_setting, other")
    assert weir.wire(no_such_setting="1").value("SELECT 1") == "1"


# --- ParameterStatus

def test_login_reports_what_postgresql_reports(make_weir, cluster):
    with wire.Wire(cluster.folder, cluster.port) as direct:
        theirs = direct.login(application_name="x", client_encoding="utf8").parameters
    ours = make_weir().wire(application_name="x", client_encoding="utf8").parameters
    assert ours == theirs
    assert ours["client_encoding"] == "UTF8", "PostgreSQL's spelling, not the client's"


def test_parameter_status_follows_set_reset_and_rollback(pair):
    a, b = pair
    start = a.parameters["TimeZone"]
    a.query("SET TimeZone = 'Asia/Tokyo'")
    assert a.parameters["TimeZone"] == "Asia/Tokyo"
    a.query("BEGIN; SET TimeZone = 'Asia/Seoul'")
    assert a.parameters["TimeZone"] == "Asia/Seoul"
    a.query("ROLLBACK")
    assert a.parameters["TimeZone"] == "Asia/Tokyo"
    a.query("RESET TimeZone")
    assert a.parameters["TimeZone"] == start
    assert b.parameters["TimeZone"] == start


def test_a_client_is_not_told_of_other_clients_settings(pair):
    """Whatever is done to the server on its way to the next session, that session's reported values stay true."""
    a, b = pair
    for i in range(5):
        a.query(f"SET application_name = 'noise {i}'; SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'")
        b.send(wire.query("SELECT current_setting('application_name'), current_setting('TimeZone')"))
        told = [m for m in b.until("Z") if m.kind == "S"]
        assert b.parameters["TimeZone"] != "Asia/Tokyo" and b.parameters["application_name"] == ""
        assert told == [], "nothing changed for b, so it hears nothing"
    assert a.value("SHOW DateStyle").startswith("German")


def test_psycopg_follows_client_encoding(make_weir):
    weir = make_weir(default_pool_size=1)
    latin, utf = weir.connect(client_encoding="latin1"), weir.connect()
    for _ in range(2):
        assert latin.execute("SELECT 'é'").fetchone() == ("é",)
        assert utf.execute("SELECT 'é€'").fetchone() == ("é€",)
    assert latin.info.encoding == "iso8859-1"
    utf.execute("SET client_encoding = 'latin1'")
    assert utf.info.parameter_status("client_encoding") == "LATIN1"
    assert utf.execute("SELECT 'ü'").fetchone() == ("ü",)


def test_settings_survive_the_loss_of_the_server(make_weir, cluster):
    w = make_weir(default_pool_size=1).wire()
    w.query("SET work_mem = '33MB'; SET myapp.k = 'v'")
    cluster.terminate(cluster.pids()[0])
    assert w.query("SELECT current_setting('work_mem'), current_setting('myapp.k')") == [["33MB", "v"]]


def test_a_replica_says_that_it_is_one(make_weir, replica):
    weir = make_weir(cluster=replica)
    w = weir.wire()
    assert w.parameters["in_hot_standby"] == "on"
    with pytest.raises(wire.ServerError, match="25006"):
        w.query("CREATE TABLE never (i int)")


def test_a_setting_that_keeps_a_part_of_what_was_is_carried_whole(make_weir):
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(datestyle="Postgres, MDY"), weir.wire(datestyle="German")
    a.query("SET datestyle TO ymd")
    mine = a.value("SELECT pg_backend_pid()")
    b.query("BEGIN")
    assert b.value("SELECT pg_backend_pid()") == mine
    assert a.value("SELECT pg_backend_pid()") != mine
    assert a.value("SHOW datestyle") == "Postgres, YMD"
    a.query("BEGIN; SET datestyle TO iso; COMMIT")
    a.query("BEGIN; SET datestyle TO sql; ROLLBACK")
    b.query("COMMIT")
    assert b.value("SHOW datestyle") == "German, DMY"
    assert a.value("SHOW datestyle") == "ISO, YMD"
    a.query("RESET datestyle")
    assert a.value("SHOW datestyle") == "Postgres, MDY"


RESETS = {"TimeZone": ["RESET TimeZone", "SET timezone TO DEFAULT", "SET TIME ZONE LOCAL -- where we are", "/* */ RESET TIME ZONE;",
                       "RESET ALL", "SELECT set_config('TimeZone', NULL, false)"],
          "search_path": ["RESET search_path", "reset all"]}


@pytest.mark.parametrize("name, reset", [(name, reset) for name in RESETS for reset in RESETS[name]])
@pytest.mark.parametrize("how", ["alone", "in a block", "extended", "pipelined"])
def test_a_reset_goes_to_the_start_up_value_at_once(make_weir, cluster, name, reset, how):
    start = {"TimeZone": "Asia/Tokyo", "search_path": "app, public", "options": "-c myapp.k=v"}
    weir = make_weir(default_pool_size=1)
    answers = []
    with wire.Wire(cluster.folder, cluster.port) as direct:
        for w in (weir.wire(**start), direct.login(**start)):
            w.query(f"SET {name} = 'UTC'")
            if how == "in a block":
                w.query("BEGIN")
            if how in ("alone", "in a block"):
                w.send(wire.query(reset))
            elif how == "extended":
                w.send(wire.extended(reset) + wire.sync())
            else:
                w.send(wire.extended(reset) + wire.extended(f"SHOW {name}") + wire.sync())
            said = w.until("Z")  # but what set_config() itself says of it
            answers.append([m for m in said if m.kind != "D" or "NULL" not in reset])
            assert w.value(f"SHOW {name}") == start[name]
            if how == "in a block":
                w.query("COMMIT")
            answers.append([w.parameters["TimeZone"], w.query("SELECT current_setting('myapp.k'), current_setting('search_path')")])
    assert answers[:2] == answers[2:]
    b = weir.wire()
    assert b.value("SHOW TimeZone") != "Asia/Tokyo" and b.value("SHOW search_path") != "app, public"
    assert b.value("SELECT current_setting('myapp.k', true)") in (None, "")


@pytest.mark.parametrize("end, seen", [("ROLLBACK", "UTC"), ("ROLLBACK TO s; COMMIT", "UTC"), ("COMMIT", "Asia/Tokyo")])
def test_a_rollback_undoes_a_reset_and_what_came_with_it(make_weir, end, seen):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(TimeZone="Asia/Tokyo"), weir.wire()
    a.query("SET TimeZone = 'UTC'")
    a.query("BEGIN; SAVEPOINT s")
    a.query("RESET TimeZone")
    assert a.value("SHOW TimeZone") == "Asia/Tokyo"
    a.query(end)
    assert a.value("SHOW TimeZone") == a.parameters["TimeZone"] == seen
    assert b.value("SHOW TimeZone") == b.parameters["TimeZone"] != "Asia/Tokyo"
    assert a.value("SHOW TimeZone") == seen


def test_discard_all_reports_nothing_that_is_not_so(make_weir):
    w = make_weir(default_pool_size=1).wire(TimeZone="Asia/Tokyo")
    w.send(wire.query("DISCARD ALL"))
    assert [m.kind for m in w.until("Z")] == ["C", "Z"]
    assert w.value("SHOW TimeZone") == w.parameters["TimeZone"] == "Asia/Tokyo"


# --- what goes in front of a statement is no part of it

@pytest.fixture
def shared(pair):
    """A client whose settings are not on the only server now."""
    a, b = pair
    a.query("SET work_mem = '11MB'; SET TimeZone = 'Asia/Tokyo'; SELECT set_config('myapp.k', 'v', false)")
    b.query("SELECT 1")
    return a


@pytest.mark.parametrize("statement", ["VACUUM pg_class", "SELECT 1/0", "SET LOCAL work_mem = '1MB'", "LOCK TABLE pg_class",
                                       "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; ROLLBACK", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"])
@pytest.mark.parametrize("extended", [False, True])
def test_a_statement_does_what_it_would_without_them(shared, cluster, statement, extended):
    if extended and ";" in statement:
        pytest.skip("several statements")
    answers = []
    with wire.Wire(cluster.folder, cluster.port) as direct:
        for w in (shared, direct.login()):
            w.send(wire.extended(statement) + wire.sync() if extended else wire.query(statement))
            answers.append([(m.kind, (m.fields()["C"], m.fields()["M"]) if m.kind in "EN" else m.body) for m in w.until("Z")])
    assert answers[0] == answers[1]
    assert shared.query("SELECT current_setting('work_mem'), current_setting('TimeZone'), current_setting('myapp.k')") \
        == [["11MB", "Asia/Tokyo", "v"]]


def test_a_setting_that_is_not_allowed_any_more_ends_its_session_before_anything_runs(make_weir, cluster):
    cluster.sql("GRANT SET ON PARAMETER log_min_duration_statement TO app")
    cluster.sql("CREATE TABLE IF NOT EXISTS ran (i int); GRANT ALL ON ran TO app; TRUNCATE ran")
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("SET log_min_duration_statement = '1h'")
    b.query("SELECT 1")
    cluster.sql("REVOKE SET ON PARAMETER log_min_duration_statement FROM app")
    with pytest.raises(wire.ServerError) as refused:
        a.query("INSERT INTO ran VALUES (1)")
    assert (refused.value.level, refused.value.sqlstate) == ("FATAL", "42501")
    assert b.query("SELECT count(*) FROM ran") == [["0"]]
    cluster.sql("DROP TABLE ran")


def test_text_is_read_in_the_encoding_of_its_session(make_weir):
    weir = make_weir(default_pool_size=1)
    latin, utf = weir.connect(client_encoding="latin1"), weir.connect(client_encoding="utf8")
    for c, value in ((latin, "é"), (utf, "è€")):
        c.execute(f"SET myapp.text = '{value}'")
    for _ in range(2):
        assert latin.execute("SHOW myapp.text").fetchone() == ("é",)
        assert utf.execute("SHOW myapp.text").fetchone() == ("è€",)


def test_a_setting_that_a_function_makes_is_carried(pair):
    a, b = pair
    b.query("SET TimeZone = 'Asia/Seoul'")
    a.query("DO $$ BEGIN PERFORM set_config('TimeZone', 'Asia/Tokyo', false); END $$")
    assert a.parameters["TimeZone"] == "Asia/Tokyo"
    assert b.value("SHOW TimeZone") == "Asia/Seoul"
    assert a.value("SHOW TimeZone") == "Asia/Tokyo"
    assert b.parameters["TimeZone"] == "Asia/Seoul"


@pytest.mark.parametrize("name,value", [("default_transaction_read_only", "on"), ("TimeZone", "Asia/Seoul")])
def test_what_a_server_reads_from_its_configuration_is_not_taken_for_a_setting(make_weir, cluster, name, value):
    """ALTER SYSTEM, a reload, and back: every session follows, though the report comes with its own answer."""
    weir = make_weir(default_pool_size=2)
    first, *clients = [weir.wire() for _ in range(4)]
    own = first.value("SHOW TimeZone")
    first.query("SET TimeZone = 'Asia/Tokyo'")

    def reload(statement):
        cluster.sql(statement)
        before = cluster._loaded()
        cluster.sql("SELECT pg_reload_conf()")
        wait_until(lambda: cluster._loaded() > before)

    def follow(w, want):
        wait_until(lambda: w.value(f"SHOW {name}") == want, 5)
    try:
        for _ in range(2):
            reload(f"ALTER SYSTEM SET {name} = '{value}'")
            for w in clients * 2:
                follow(w, value)
            assert all(w.parameters[name] == value for w in clients)
            reload(f"ALTER SYSTEM RESET {name}")
            for w in clients * 2:
                follow(w, "off" if value == "on" else own)
            assert first.value("SHOW TimeZone") == "Asia/Tokyo"
        for w in clients:
            w.query("BEGIN; CREATE TABLE writes (); ROLLBACK")
    finally:
        reload(f"ALTER SYSTEM RESET {name}")


def test_another_default_of_a_server_is_not_taken_for_a_setting(make_weir, cluster):
    """Servers from before and after ALTER ROLE in one pool."""
    weir = make_weir(default_pool_size=2, workers=1)
    a, b = weir.wire(), weir.wire()
    try:
        old = b.value("SHOW TimeZone")
        b.query("BEGIN; SET TimeZone = 'UTC'; SELECT 1")
        cluster.sql("ALTER ROLE app SET TimeZone = 'Asia/Seoul'")
        a.query("SET work_mem = '1MB'")  # on the new one
        c = weir.wire()
        assert c.value("SHOW TimeZone") == c.parameters["TimeZone"] == "Asia/Seoul"
        a.query("BEGIN; SELECT 1")
        b.query("COMMIT")
        assert c.value("SHOW TimeZone") == c.parameters["TimeZone"] == old
        b.query("BEGIN; SELECT 1")  # the old one
        a.query("COMMIT")
        assert c.value("SHOW TimeZone") == c.parameters["TimeZone"] == "Asia/Seoul"
    finally:
        cluster.sql("ALTER ROLE app RESET TimeZone")
