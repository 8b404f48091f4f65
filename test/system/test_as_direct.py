# SPDX-License-Identifier: ISC
"""What clients trip over behind other poolers: each answer is that of a direct connection, in either mode."""
import pytest

from harness import place, wire
from harness.cluster import programs
from harness.wait import wait_until


@pytest.fixture(params=["transaction", "session"])
def weir(make_weir, request):
    """One server for all, so that each client meets what the one before has left."""
    return make_weir(pool_mode=request.param, default_pool_size=1, databases={"app": {}, "gone": {"dbname": "no_such_db"}, "*": {}})


@pytest.fixture
def both(weir, cluster):
    """act(client) on a connection through pgweir, then on a direct one: both bring the same. Returns that."""
    def compare(act, **params):
        answers = []
        for connect in (weir.raw, lambda: wire.Wire(cluster.folder, cluster.port)):
            with connect() as w:
                answers.append(act(w.login(**params)))
                w.send(wire.terminate())
        assert answers[0] == answers[1]
        return answers[1]
    return compare


def errors_of(messages):
    return [tuple(m.fields()[k] for k in "SVCM") for m in messages if m.kind == "E"]


STARTED = dict(application_name="mine", search_path="pg_catalog", DateStyle="SQL, DMY", client_encoding="utf8", work_mem="9MB",
               options="-c geqo=off --enable_seqscan=off -cstatement_timeout=7s -c myapp.k=v")
SHOWN = "SELECT " + ", ".join(f"current_setting('{n}', true)" for n in (
    "application_name", "search_path", "DateStyle", "client_encoding", "work_mem", "geqo", "enable_seqscan", "statement_timeout",
    "myapp.k"))


def test_any_setting_at_start_up_and_reset_goes_back_to_it(both):
    def act(w):
        out = [w.query(SHOWN), dict(w.parameters)]
        for reset in ("RESET ALL", "RESET work_mem; RESET search_path; RESET geqo; RESET DateStyle", "DISCARD ALL"):
            w.query("SET work_mem = '1GB'; SET search_path = public; SET geqo = on; SET DateStyle = German")
            for statement in reset.split("; "):
                w.query(statement)
            out += [w.query(SHOWN), dict(w.parameters)]
        return out
    said = both(act, **STARTED)
    assert said[0] == [["mine", "pg_catalog", "SQL, DMY", "UTF8", "9MB", "off", "off", "7s", "v"]]
    assert all(s == said[i % 2] for i, s in enumerate(said)) and said[1]["client_encoding"] == "UTF8"


def test_a_part_of_DateStyle_is_set_on_what_is_the_default_of_the_server(weir, both):
    for left in ("German", "SQL, DMY", "ymd"):
        with weir.raw() as w:
            w.login().query(f"SET DateStyle = '{left}'")
        for start in ("SQL", "ISO", "Postgres"):
            shown = both(lambda w: [w.query("SHOW DateStyle"), w.parameters["DateStyle"]], DateStyle=start)
            assert shown[1].endswith(", MDY")


@pytest.mark.parametrize("before", ["SET work_mem = '3MB'", "RESET geqo", "SELECT 1"])
def test_a_report_beside_a_SET_of_something_else_is_that_sessions(weir, both, cluster, before):
    cluster.sql("CREATE OR REPLACE FUNCTION zone(z text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SET TimeZone = ' || quote_literal(z); END $$")

    def act(w):
        w.query(f"{before}; SELECT zone('Asia/Tokyo')")
        with weir.raw() if weir.general["pool_mode"] == "transaction" else wire.Wire(cluster.folder, cluster.port) as other:
            seen = other.login().query("SHOW TimeZone"), other.parameters["TimeZone"]
        return [seen, w.query("SHOW TimeZone"), w.parameters["TimeZone"]]
    assert both(act)[1] == [["Asia/Tokyo"]]


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_what_DISCARD_ALL_resets_is_reported_at_once(both, protocol):
    def act(w):
        w.query("SET TimeZone = 'Asia/Tokyo'")
        getattr(w, protocol)("DISCARD ALL")
        return dict(w.parameters)
    both(act, DateStyle="German")


@pytest.mark.parametrize("sql", ["DISCARD ALL", "SET application_name = ''", "RESET ALL", "BEGIN; SET LOCAL application_name = ''", "SELECT 1"])
def test_an_application_name_that_is_taken_back_at_once_is_not_told(weir, both, sql):
    def act(w):
        w.query(sql)
        out = [w.parameters["application_name"]]
        if weir.general["pool_mode"] == "transaction" and w.status == "I":
            with weir.raw() as other:
                other.login().query("SELECT 1")
                assert other.parameters["application_name"] == ""
        return out
    both(act, application_name="mine")


BATCHES = {
    "Parse skipped": [wire.parse("", "SELECT 'kept'"), "", wire.execute("none") + wire.parse("", "SELECT 'no'"), ""],
    "Close skipped": [wire.parse("", "SELECT 'kept'"), "", wire.execute("none") + wire.close("S", ""), ""],
    "Parse skipped twice": [wire.execute("none") + wire.parse("", "SELECT 'no'") + wire.parse("", "BEGIN"), ""],
    "Parse fails": [wire.parse("", "SELECT 'no'"), wire.parse("", "SELEC"), ""],
    "skipped, then again": [wire.execute("none") + wire.parse("", "SELECT 'no'"), wire.parse("", "SELECT 'again'"), ""],
    "DISCARD ALL": [wire.extended("DISCARD ALL"), wire.parse("", "SELECT 'kept'"), ""],
    "DISCARD ALL is what it is": [wire.extended("SELECT set_config('my.own', 'kept', false)"), wire.extended("DISCARD ALL"), ""],
    "named Close skipped": [wire.parse("s", "SELECT 'kept'"), wire.execute("none") + wire.close("S", "s"), "s"],
    "named Close and Parse skipped": [wire.parse("s", "SELECT 'kept'"), wire.execute("none") + wire.close("S", "s") + wire.parse("s", "SELECT 'no'"), "s"],
    "Query": [wire.parse("", "SELECT 'no'"), wire.query("SELECT 1"), ""],
    "DEALLOCATE": [wire.parse("s", "SELECT 1") + wire.parse("", "SELECT 'no'"), wire.query("DEALLOCATE s"), ""],
}


@pytest.mark.parametrize("name", BATCHES)
def test_what_a_failed_batch_did_not_reach_did_not_happen(weir, both, name):
    def act(w):
        out = []
        for what in BATCHES[name]:
            if isinstance(what, str):
                what = wire.describe("S", what) + wire.bind("", what) + wire.execute()
            w.send(what if what[:1] == b"Q" else what + wire.sync())
            out.append([(m.kind, m.fields()["M"] if m.kind == "E" else m.body) for m in w.until("Z")])
            if weir.general["pool_mode"] == "transaction":
                with weir.raw() as other:  # it has the server in between
                    other.login().extended("SELECT 'other'")
        return out
    both(act)


@pytest.mark.parametrize("how", ["by hand", "pg_dump"])
def test_a_search_path_and_temporary_tables_are_nobody_elses(weir, both, cluster, unique, how):
    def look(w):
        return [w.query(SHOWN), w.query("SELECT to_regclass('pg_class') IS NULL, to_regclass('pg_temp.kept') IS NULL")]
    before = both(look)
    cluster.sql(f"CREATE TABLE {unique} (); GRANT SELECT ON {unique} TO app")
    if how == "pg_dump":
        place.run(f"{programs()}/pg_dump", "-h", "127.0.0.1", "-p", weir.port, "-U", "app", "-t", unique, "app")
    else:
        with weir.raw() as w:
            w.login()
            w.query("SELECT pg_catalog.set_config('search_path', '', false)")
            w.query("CREATE TEMP TABLE kept ()")
            w.send(wire.terminate())
    assert both(look) == before
    cluster.sql(f"DROP TABLE {unique}")


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_sql_deallocates_what_was_prepared_by_protocol(both, protocol):
    def act(w):
        out = []
        for statement in ("DEALLOCATE s", "DEALLOCATE PREPARE s", "DEALLOCATE ALL"):
            w.send(wire.parse("s", "SELECT 1"), wire.sync())
            out.append(w.kinds())
            w.send(wire.parse("s", "SELECT 2"), wire.sync())
            out += [errors_of(w.until("Z")), w.query("EXECUTE s")]
            getattr(w, protocol)(statement)
            w.send(wire.bind("", "s"), wire.execute(), wire.sync())
            out += [errors_of(w.until("Z")), w.query("SELECT count(*) FROM pg_prepared_statements WHERE name = 's'")]
        return out
    assert both(act)[1][0][2:] == ("42P05", 'prepared statement "s" already exists')


def test_a_changed_plan_is_told_and_the_client_goes_on(both, cluster, unique):
    def act(w):
        cluster.sql(f"CREATE TABLE {unique} AS SELECT 1 AS a; GRANT ALL ON {unique} TO app")
        w.send(wire.parse("s", f"SELECT * FROM {unique}"), wire.bind("", "s"), wire.execute(), wire.sync())
        out = [w.finish()]
        cluster.sql(f"ALTER TABLE {unique} ADD b int DEFAULT 2")
        w.send(wire.bind("", "s"), wire.execute(), wire.sync())
        out.append(errors_of(w.until("Z")))
        w.send(wire.close("S", "s"), wire.parse("s", f"SELECT * FROM {unique}"), wire.bind("", "s"), wire.execute(), wire.sync())
        out.append(w.finish())
        cluster.sql(f"DROP TABLE {unique}")
        return out
    assert both(act)[1:] == [[("ERROR", "ERROR", "0A000", "cached plan must not change result type")], [["1", "2"]]]


def test_a_notification_is_heard(weir):
    with weir.raw() as w, weir.raw() as other:
        w.login()
        w.query("LISTEN heard")
        w.query("NOTIFY heard, 'own'")
        if weir.general["pool_mode"] == "transaction":
            other.login().query("NOTIFY heard, 'other'")
        else:
            w.query("NOTIFY heard, 'other'")
        wait_until(lambda: w.query("SELECT 1") and len(w.notifications) == 2)
        assert w.notifications == [("heard", "own"), ("heard", "other")]


@pytest.mark.parametrize("database", ["gone", "no_such_db"])
def test_a_missing_database_is_told_at_login(weir, database):
    for _ in range(2):
        with weir.raw() as w, pytest.raises(wire.ServerError) as e:
            w.login(database=database)
        assert (e.value.level, e.value.sqlstate, e.value.message) == ("FATAL", "3D000", 'database "no_such_db" does not exist')


def test_a_database_that_takes_nobody_is_told_at_login(weir, cluster):
    said = []
    for w in (weir.raw(), wire.Wire(cluster.folder, cluster.port)):
        with w, pytest.raises(wire.ServerError) as e:
            w.login(database="template0")
        said.append(e.value.fields)
    assert said[0] == {k: v for k, v in said[1].items() if k not in "FLR"}
    assert said[0]["C"] == "55000"


def test_a_wrong_password_is_28P01_in_postgresqls_words(make_weir, cluster):
    said = []
    for port in (make_weir(auth_type="scram-sha-256").port, cluster.port):
        with wire.Wire("127.0.0.1", port) as w, pytest.raises(wire.ServerError) as e:
            w.login("in_scram", password="wrong")
        said.append(tuple(e.value.fields[k] for k in "SVCM"))
    assert said[0] == said[1] == ("FATAL", "FATAL", "28P01", 'password authentication failed for user "in_scram"')


@pytest.mark.parametrize("mode, begin", [("session", "SELECT 1"), ("session", "BEGIN"), ("session", "CREATE TEMP TABLE kept ()"),
                                         ("transaction", "CREATE TEMP TABLE kept ()")])
@pytest.mark.parametrize("busy", [False, True])
def test_who_loses_its_server_hears_the_servers_words(make_weir, cluster, mode, begin, busy):
    said = []
    for connect in (make_weir(pool_mode=mode).wire, lambda: wire.Wire(cluster.folder, cluster.port).login()):
        w = connect()
        w.query(begin)
        pid = int(w.value("SELECT pg_backend_pid()"))
        if busy:
            w.send(wire.query("SELECT pg_sleep(30)"))
            wait_until(lambda: cluster.value("SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s", (pid,)))
        cluster.terminate(pid)
        said.append(errors_of(w.expect_closed()))
        w.close()
    assert said[0] == said[1] == [("FATAL", "FATAL", "57P01", "terminating connection due to administrator command")]


def test_idling_in_a_transaction_ends_a_session_in_the_servers_words(make_weir, cluster):
    said = []
    for connect in (make_weir(pool_mode="session").wire, lambda: wire.Wire(cluster.folder, cluster.port).login()):
        w = connect()
        w.query("SET idle_in_transaction_session_timeout = '50ms'; BEGIN")
        said.append(errors_of(w.expect_closed()))
        w.close()
    assert said[0] == said[1] == [("FATAL", "FATAL", "25P03", "terminating connection due to idle-in-transaction timeout")]
