# SPDX-License-Identifier: ISC
"""SET ROLE is carried from server to server, and no session ever has the role of another."""
import pytest

from harness import wire
from harness.wait import wait_until

WHO = "SELECT current_user, current_setting('role')"


@pytest.fixture
def roles(cluster, unique):
    """Two roles that app may take, one with more rights than it has, and one that it may not take."""
    names = {k: f"{unique}_{k}" for k in ("one", "two", "admin", "other")}
    cluster.sql(f"CREATE ROLE {names['one']}; CREATE ROLE {names['two']}; CREATE ROLE {names['other']};"
                f"CREATE ROLE {names['admin']} SUPERUSER; GRANT {names['one']}, {names['two']}, {names['admin']} TO app")
    yield names
    for name in names.values():
        cluster.sql(f"DROP ROLE IF EXISTS {name}")


@pytest.fixture
def weir(make_weir):
    """One server for all."""
    return make_weir(default_pool_size=1, workers=1, databases={"app": {}, "su": {"dbname": "app", "user": "postgres"}})


@pytest.fixture
def both(weir, cluster):
    """act(client) through pgweir, where another session of the pool is at work after each statement, and directly: both bring the same."""
    def compare(act, user="app", **params):
        answers = []
        with weir.raw() as w, weir.raw() as other, wire.Wire(cluster.folder, cluster.port) as direct:
            other.login("app", "app" if user == "app" else "su")
            session = w.login("app", "app" if user == "app" else "su", **params)
            query = session.query

            def disturbed(sql, *args):
                try:
                    return query(sql, *args)
                finally:
                    if session.status == "I":
                        assert other.value("SELECT current_user || current_setting('role')") == user + "none"
            session.query = disturbed
            answers.append(act(session))
            assert weir.console("SHOW PINS") == []
            answers.append(act(direct.login(user, "app", **params)))
        assert answers[0] == answers[1]
        return answers[1]
    return compare


def tried(run, sql):
    try:
        return run(sql)
    except wire.ServerError as e:
        return e.sqlstate


WAYS = {
    "set": ["SET ROLE {one}"],
    "session": ["SET SESSION ROLE '{one}'"],
    "to": ["SET role TO {one}", "SET \"ROLE\" = '{two}'"],
    "config": ["SELECT set_config('role', '{one}', false)"],
    "computed": ["SELECT set_config('role', '{one}' || '', false)"],
    "local": ["BEGIN", "SET LOCAL ROLE {one}", WHO, "COMMIT"],
    "local config": ["BEGIN", "SELECT set_config('role', '{one}', true)", WHO, "COMMIT"],
    "none": ["SET ROLE {one}", "SET ROLE NONE"],
    "reset": ["SET ROLE {one}", "RESET ROLE"],
    "default": ["SET ROLE {one}", "SET ROLE TO DEFAULT"],
    "config null": ["SET ROLE {one}", "SELECT set_config('role', NULL, false)"],
    "reset all keeps it": ["SET ROLE {one}", "SET work_mem = '3MB'", "RESET ALL", "SHOW work_mem"],
    "discard all": ["SET ROLE {one}", "DISCARD ALL"],
    "one after the other": ["SET ROLE {one}", "SET ROLE {two}"],
    "committed": ["BEGIN", "SET ROLE {one}", "COMMIT"],
    "rolled back": ["SET ROLE {two}", "BEGIN", "SET ROLE {one}", "ROLLBACK"],
    "failed": ["BEGIN", "SET ROLE {one}", "SELECT 1/0", "COMMIT"],
    "failed in one": ["SET ROLE {one}; SELECT 1/0"],
    "savepoint": ["BEGIN", "SET ROLE {one}", "SAVEPOINT a", "SET ROLE {two}", "ROLLBACK TO a", "COMMIT"],
    "released": ["BEGIN", "SET ROLE {one}", "SAVEPOINT a", "SET ROLE {two}", "RELEASE a", "COMMIT"],
    "local over session": ["BEGIN", "SET ROLE {one}", "SET LOCAL ROLE {two}", WHO, "COMMIT"],
    "session over local": ["BEGIN", "SET LOCAL ROLE {one}", "SET ROLE {two}", WHO, "COMMIT"],
    "refused": ["SET ROLE {one}", "SET ROLE {other}", "SET ROLE no_such_role"],
    "prepared transaction": ["BEGIN", "SET ROLE {one}", "COMMIT AND CHAIN", WHO, "ROLLBACK"],
    "own authorization": ["SET ROLE {one}", "SET SESSION AUTHORIZATION app; RESET SESSION AUTHORIZATION"],
    "no authorization": ["SET ROLE {one}", "RESET SESSION AUTHORIZATION"],
    "authorization rolled back": ["SET ROLE {one}", "BEGIN", "SET SESSION AUTHORIZATION DEFAULT", "ROLLBACK"],
    "authorization for a transaction": ["SET ROLE {one}", "BEGIN", "SET LOCAL SESSION AUTHORIZATION app", "COMMIT"],
    "in a DO": ["DO $$ BEGIN SET ROLE {one}; END $$"],
    "long": ["/* " + "x" * 70000 + " */ SET ROLE {one}"],
    "out of a DO": ["SET ROLE {one}", "DO $$ BEGIN RESET ROLE; END $$"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_a_role_is_what_it_is_in_a_session(both, roles, way, protocol):
    def act(w):
        out = []
        for sql in [s.format(**roles) for s in WAYS[way]]:
            run = w.query if protocol == "query" or sql.startswith("SET") and ";" in sql else w.extended
            out += [tried(run, sql), tried(w.query, WHO), tried(w.query, "SELECT session_user")]
        return out + [w.query("SHOW work_mem")]
    assert both(act)


@pytest.mark.parametrize("options", ["-c role={one}", "-c work_mem=3MB"])
def test_what_a_role_goes_back_to(both, roles, options):
    def act(w):
        out = []
        for sql in ["SELECT 1", "SET ROLE {two}", "RESET ROLE", "SET ROLE NONE", "RESET ALL", "RESET ROLE", "DISCARD ALL", "SET ROLE {two}",
                    "BEGIN", "RESET ROLE", "ROLLBACK", "BEGIN", "RESET ROLE", "COMMIT"]:
            out += [tried(w.query, sql.format(**roles)), w.query(WHO), w.query("SHOW work_mem")]
        return out
    assert both(act, options=options.format(**roles))


def test_no_session_sees_the_role_that_a_login_lost(make_weir, cluster, roles):
    cluster.sql(f"GRANT {roles['one']}, {roles['two']} TO app2; ALTER ROLE app2 SET role = '{roles['one']}'")
    try:
        weir = make_weir(default_pool_size=1, workers=1)
        a, b = weir.wire("app2"), weir.wire("app2")
        for sql, mine in (("SET ROLE NONE", "app2"), ("RESET ROLE", roles["one"]), ("SET ROLE " + roles["two"], roles["two"]),
                          ("RESET ALL", roles["two"]), ("DISCARD ALL", roles["one"])):
            a.query(sql)
            assert b.value("SELECT current_user") == roles["one"], sql
            assert a.value("SELECT current_user") == mine, sql
        a.query("SELECT pg_advisory_lock(8001)")  # its server is reset when it leaves
        a.close()
        assert b.value("SELECT current_user") == roles["one"]
        b.query("SELECT pg_advisory_lock(8001)")
        b.close()
        assert weir.wire("app2").value("SELECT current_user") == roles["one"]
    finally:
        cluster.sql(f"ALTER ROLE app2 RESET role; REVOKE {roles['one']}, {roles['two']} FROM app2")


@pytest.mark.parametrize("reset", ["DISCARD ALL", "RESET ALL", "SELECT 1"])
def test_nobody_gets_the_role_of_who_left_with_a_pin(make_weir, roles, reset):
    weir = make_weir(default_pool_size=1, workers=1, server_reset_query=reset)
    for leave in ("close", "terminate"):
        a = weir.wire()
        a.query(f"CREATE TEMP TABLE {leave} (i int); SET ROLE {roles['one']}")
        if leave == "terminate":
            a.send(wire.terminate())
        a.close()
        assert weir.wire().query(WHO) == [["app", "none"]]


LEAVING = {
    "idle": [],
    "in a transaction": ["BEGIN", "SELECT 1"],
    "in a failed one": ["BEGIN", "SELECT 1/0"],
    "set in a transaction": ["BEGIN", "SET ROLE {two}"],
    "after an error": ["SELECT 1/0"],
    "with a pin": ["SELECT pg_advisory_lock(8002)"],
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_role_does_not_outlive_its_client(weir, roles, how):
    a, b = weir.wire(), weir.wire()
    a.query("SET ROLE " + roles["one"])
    for sql in LEAVING[how]:
        tried(a.query, sql.format(**roles))
    a.close()
    assert b.query(WHO) == [["app", "none"]]
    assert weir.wire().query(WHO) == [["app", "none"]]


def test_a_role_survives_errors_cancels_and_lost_servers(make_weir, cluster, roles):
    weir = make_weir(default_pool_size=1, workers=1)
    a, b = weir.wire(), weir.wire()
    a.query("SET ROLE " + roles["one"])
    for sql in ("SELECT 1/0", "SELEC 1", "BEGIN; SELECT 1/0"):
        assert tried(a.query, sql) in ("22012", "42601")
        assert b.query(WHO) == [["app", "none"]] if a.status == "I" else a.query("ROLLBACK") == []
        assert a.value("SELECT current_user") == roles["one"]
    a.send(wire.query("SELECT pg_sleep(30)"))
    wait_until(lambda: cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
                                   " AND pid <> pg_backend_pid()") == [(1,)])
    wire.send_cancel("127.0.0.1", weir.port, a.pid, a.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        a.finish()
    assert b.query(WHO) == [["app", "none"]]
    assert a.value("SELECT current_user") == roles["one"]
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    assert a.value("SELECT current_user") == roles["one"]
    assert b.query(WHO) == [["app", "none"]]


def test_many_sessions_in_their_roles_on_several_servers(make_weir, roles):
    weir = make_weir(default_pool_size=2)
    mine = [roles["one"], roles["two"], "app", roles["admin"]] * 2
    clients = [weir.wire() for _ in mine]
    for w, role in zip(clients, mine):
        if role != "app":
            w.query("SET ROLE " + role)
    for _ in range(5):
        for w in clients:
            w.send(wire.query("SELECT current_user") * 2 + wire.extended("SELECT current_user") + wire.sync())
        for w, role in zip(clients, mine):
            assert [w.finish() for _ in range(3)] == [[[role]]] * 3


@pytest.mark.parametrize("user", ["app", "postgres"])
def test_what_may_be_set_under_a_role_only_is_carried(both, roles, user):
    """Superuser settings, made before and after, by who may and who may not."""
    def act(w):
        out = []
        for sql in ["SET log_min_duration_statement = 7001", "SET ROLE {admin}", "SET log_min_duration_statement = 7002",
                    "SET search_path = pg_catalog", "SET plpgsql.extra_errors = 'all'", "SET ROLE {one}", "SET lc_messages = 'C'", "SET my.own = 'x'",
                    "RESET log_min_duration_statement", "RESET ROLE", "RESET log_min_duration_statement", "SET ROLE {admin}",
                    "RESET log_min_duration_statement", "BEGIN", "SET LOCAL ROLE NONE", "SET log_temp_files = 7003", "COMMIT", "RESET ALL"]:
            out += [tried(w.query, sql.format(**roles)), tried(w.query, WHO),
                    tried(w.query, "SELECT current_setting('log_min_duration_statement'), current_setting('search_path'), current_setting('lc_messages'),"
                          " current_setting('log_temp_files'), current_setting('my.own', true)")]
        return out
    assert both(act, user)


def test_the_client_hears_whether_it_is_superuser(both, roles):
    def act(w):
        out = [w.parameters["is_superuser"]]
        for sql in ["SET ROLE {admin}", "SELECT 1", "SET ROLE {one}", "SELECT 1", "SET ROLE {admin}", "BEGIN", "RESET ROLE", "ROLLBACK", "RESET ROLE",
                    "BEGIN", "SET LOCAL ROLE {admin}", "COMMIT", "SET ROLE {admin}", "DISCARD ALL"]:
            w.query(sql.format(**roles))
            out.append(w.parameters["is_superuser"])
        return out
    assert set(both(act)) == {"on", "off"}


@pytest.mark.parametrize("how", ["function call", "very long", "many portals"])
def test_a_role_that_is_set_in_an_uncommon_way(make_weir, roles, how):
    weir = make_weir(default_pool_size=1, workers=1, max_statement_size="64kB")
    a, b = weir.wire(), weir.wire()
    if how == "function call":
        a.send(wire.function_call(2078, b"role", roles["one"].encode(), b"\0"))
        a.finish()
    elif how == "many portals":
        a.send(wire.parse("s", "SET work_mem = '3MB'"), wire.parse("r", "SET ROLE " + roles["one"]))
        a.send(*[wire.bind(f"p{i}", "s") for i in range(20)], wire.bind("last", "r"), wire.execute("last"), wire.sync())
        a.finish()
    else:
        a.extended("/* " + "x" * 200000 + " */ SET ROLE " + roles["one"])
    assert b.query(WHO) == [["app", "none"]]
    assert a.value("SELECT current_user") == roles["one"]


def test_a_function_of_the_user_that_makes_a_superuser_is_noticed(weir, cluster, roles, unique):
    cluster.sql(f"CREATE FUNCTION {unique}() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
                f" EXECUTE 'SET ROLE {roles['admin']}'; RETURN 'x'; END $$")
    a, b = weir.wire(), weir.wire()
    a.query(f"SELECT {unique}()")
    assert b.query(WHO) == [["app", "none"]]
    assert a.value("SELECT current_user") == roles["admin"]
    cluster.sql(f"DROP FUNCTION {unique}")


@pytest.mark.parametrize("change", ["DROP ROLE {one}", "REVOKE {one} FROM app"])
def test_a_role_that_may_not_be_taken_any_more_ends_the_session(weir, cluster, roles, change):
    a, b = weir.wire(), weir.wire()
    a.query("SET ROLE " + roles["one"])
    assert b.query(WHO) == [["app", "none"]]
    cluster.sql(change.format(**roles))
    a.send(wire.query("CREATE TABLE never (i int)"))
    with pytest.raises(wire.ServerError) as refused:
        a.finish()
    assert refused.value.level == "FATAL" and roles["one"] in refused.value.message
    a.expect_closed(5)
    assert b.query(WHO) == [["app", "none"]]
    assert cluster.sql("SELECT to_regclass('never') IS NULL") == [(True,)]


@pytest.mark.parametrize("named", ["", "s"])
def test_prepared_statements_share_no_rights(make_weir, cluster, roles, unique, named):
    """Row security and schemas: what one role may is not what another does."""
    cluster.sql(f"CREATE SCHEMA {unique}; CREATE TABLE {unique}.t AS SELECT r AS owner FROM unnest('{{{roles['one']},{roles['two']},app}}'::text[]) r;"
                f"ALTER TABLE {unique}.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {unique}.t USING (owner = current_user);"
                f"GRANT SELECT ON {unique}.t TO public; GRANT USAGE ON SCHEMA {unique} TO app, {roles['one']}, {roles['admin']}")
    weir = make_weir(default_pool_size=1, workers=1)
    clients = {role: weir.wire() for role in ("app", roles["one"], roles["admin"], roles["two"])}
    sql = f"SELECT owner FROM {unique}.t ORDER BY 1"
    for role, w in clients.items():
        if role != "app":
            w.query("SET ROLE " + role)
    for role, w in clients.items():
        w.send(wire.parse(named, sql), wire.sync())
        if role == roles["two"]:
            with pytest.raises(wire.ServerError, match="42501"):  # no USAGE, though its server knows the statement
                w.finish()
        else:
            w.finish()
    for _ in range(2 if named else 1):
        for role in ("app", roles["one"], roles["admin"]):
            clients[role].send(wire.bind("", named), wire.execute(), wire.sync())
            rows = [row[0] for row in clients[role].finish()]
            assert rows == (sorted(["app", roles["one"], roles["two"]]) if role == roles["admin"] else [role])
    cluster.sql(f"DROP SCHEMA {unique} CASCADE")


def test_a_role_follows_its_client_to_another_process_of_its_own(make_weir, roles):
    weir = make_weir(default_pool_size=1, workers=1)
    a = weir.wire()
    a.query(f"SET ROLE {roles['admin']}; SET log_min_duration_statement = 7004")
    weir.take_over()
    b = weir.wire()
    assert b.query(WHO) == [["app", "none"]]
    assert a.query(WHO) == [[roles["admin"]] * 2]
    assert a.value("SHOW log_min_duration_statement") == "7004ms"


def test_a_role_that_was_made_anew_is_another_one(make_weir, cluster, unique):
    """A server that had the one before is given the one of now."""
    weir = make_weir(default_pool_size=2, workers=1, databases={"app": {}, "su": {"dbname": "app", "user": "postgres"}})
    a, b, su = weir.wire(), weir.wire(), weir.wire(database="su")

    def make_and_take():
        su.query(f"CREATE ROLE {unique}_role; GRANT {unique}_role TO app; CREATE TABLE {unique} (v int); ALTER TABLE {unique} OWNER TO {unique}_role")
        a.query(f"SET ROLE {unique}_role")
        for held in (False, True):  # on each server
            b.query("BEGIN; SELECT 1") if held else None
            assert a.query(f"SELECT * FROM {unique}") == []
            b.query("COMMIT") if held else None
    for _ in range(3):
        make_and_take()
        a.query("RESET ROLE")
        su.query(f"DROP TABLE {unique}; DROP ROLE {unique}_role")
