# SPDX-License-Identifier: ISC
"""Who gets in, by which method, on both sides."""
import signal
import struct

import pytest

from harness import place, scram, wire
from harness.wait import run_all, wait_until

CLIENT_SIDE = ["trust", "plain", "md5", "scram-sha-256"]
SERVER_SIDE = ["in_trust", "in_password", "in_md5", "in_scram"]
PASSWORD_REFUSED = 'password authentication failed for user "%s"'


@pytest.mark.parametrize("auth_type", CLIENT_SIDE)
def test_every_method_meets_every_method(make_weir, auth_type):
    weir = make_weir(auth_type=auth_type)
    for role in SERVER_SIDE:
        assert weir.wire(role, password=role + "-pw").value("SELECT session_user") == role
        assert weir.connect(user=role, password=role + "-pw").execute("SELECT session_user").fetchone() == (role,)


def login_error(weir, user, password="wrong", database="app", **params):
    with pytest.raises(wire.ServerError) as e:
        weir.wire(user, database, password, **params)
    return e.value


@pytest.mark.parametrize("auth_type", CLIENT_SIDE[1:])
def test_wrong_password_and_unknown_user_are_told_apart_by_nobody(make_weir, auth_type):
    weir = make_weir(auth_type=auth_type)
    for user in ("app", "stranger"):
        e = login_error(weir, user)
        assert (e.level, e.sqlstate, e.message) == ("FATAL", "28P01", PASSWORD_REFUSED % user)
    known, unknown = login_error(weir, "app").fields, login_error(weir, "nob").fields
    assert set(known) == set(unknown)
    assert {k: v.replace("app", "nob") for k, v in known.items()} == unknown


def scram_question(weir, user):
    w = weir.raw()
    w.send(wire.startup(user=user, database="app"))
    kinds = w.receive().body[4:]
    first = scram.Client("x", nonce=b"fixednonce").first()
    w.send(wire.message("p", wire.cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
    m = w.receive()
    assert m.kind == "R" and struct.unpack_from("!I", m.body)[0] == 11
    _, salt, iterations = m.body[4:].split(b",")
    w.close()
    return kinds, salt, iterations


def test_the_scram_question_is_stable_for_known_and_unknown(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    asked = {user: scram_question(weir, user) for user in ("app", "stranger", "other")}
    assert {user: scram_question(weir, user) for user in asked} == asked
    assert len({salt for _, salt, _ in asked.values()}) == 3
    assert len({(kinds, iterations, len(salt)) for kinds, salt, iterations in asked.values()}) == 1
    weir.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload" in weir.log().lower())
    assert scram_question(weir, "stranger") == asked["stranger"]


def test_unknown_user_is_refused_under_trust(make_weir):
    e = login_error(make_weir(), "stranger", None)
    assert (e.level, e.sqlstate) == ("FATAL", "28P01")


def test_unknown_database_is_3D000_after_the_password(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    e = login_error(weir, "app", "app-pw", "nowhere")
    assert (e.level, e.sqlstate, e.message) == ("FATAL", "3D000", 'database "nowhere" does not exist')
    assert login_error(weir, "app", "wrong", "nowhere").sqlstate == "28P01", "names of databases are not for strangers"


def test_a_database_that_postgresql_does_not_have_is_its_own_error(make_weir):
    e = login_error(make_weir(databases={"x": {"dbname": "no_such_db"}}), "app", None, "x")
    assert (e.level, e.sqlstate) == ("FATAL", "3D000")


def test_the_database_defaults_to_the_user(make_weir):
    w = make_weir().raw()
    w.send(wire.startup(user="app"))
    w.authenticate("app", None)
    assert w.value("SELECT current_database()") == "app"


def test_a_start_up_packet_without_user_is_refused(make_weir):
    w = make_weir().raw()
    w.send(wire.startup(database="app"))
    assert [m.fields()["V"] for m in w.expect_closed(5) if m.kind == "E"] == ["FATAL"]


def test_scram_passes_through_with_nothing_but_scram_secrets(make_weir, cluster):
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    assert secret.startswith("SCRAM-SHA-256$")
    weir = make_weir(auth_type="scram-sha-256", userlist={"in_scram": secret})
    run_all([lambda: weir.wire("in_scram", password="in_scram-pw").query("SELECT pg_sleep(0.1)") for _ in range(5)])
    assert login_error(weir, "in_scram").sqlstate == "28P01"


def test_md5_secrets_serve_both_sides(make_weir):
    weir = make_weir(auth_type="md5", userlist={"in_md5": scram.md5_secret("in_md5", "in_md5-pw")})
    assert weir.wire("in_md5", password="in_md5-pw").value("SELECT session_user") == "in_md5"
    assert login_error(weir, "in_md5").sqlstate == "28P01"


def test_md5_becomes_scram_for_a_scram_secret(make_weir):
    weir = make_weir(auth_type="md5", userlist={"app": scram.scram_secret("app-pw")})
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    assert struct.unpack_from("!I", w.receive().body)[0] == 10
    assert weir.wire(password="app-pw").value("SELECT 1") == "1"


def test_an_empty_password_never_logs_in(make_weir):
    weir = make_weir(auth_type="plain", userlist={"app": ""})
    assert login_error(weir, "app", "").sqlstate == "28P01"


def test_any_lets_everybody_in_as_the_forced_user(make_weir):
    weir = make_weir(auth_type="any", databases={"app": {"user": "app", "password": "app-pw"}})
    assert weir.wire("whoever").value("SELECT current_user") == "app"


def test_a_wrong_password_for_the_server_is_reported_at_login(make_weir):
    weir = make_weir(userlist={"in_scram": "not the password"})
    e = login_error(weir, "in_scram", None)
    assert (e.level, e.sqlstate) == ("FATAL", "28P01")


# --- auth_query

@pytest.fixture
def asking(make_weir):
    return make_weir(auth_type="scram-sha-256", userlist={"lookup": "lookup-pw"}, auth_user="lookup")


def test_auth_query_finds_users(asking):
    for user in ("app", "app2", "in_scram"):
        assert asking.wire(user, password=user + "-pw").value("SELECT session_user") == user


def test_auth_query_refuses_all_others_alike(asking):
    for user in ("stranger", "expired", "nologin", "app'; DROP ROLE app; --", 'a"b\\c', "pg_monitor"):
        for password in ("wrong", user + "-pw"):
            e = login_error(asking, user, password)
            assert (e.level, e.sqlstate, e.message) == ("FATAL", "28P01", PASSWORD_REFUSED % user)
    assert asking.wire(password="app-pw").value("SELECT 1") == "1"


def test_auth_query_sees_a_changed_password(asking, cluster, unique):
    cluster.sql(f"CREATE ROLE {unique} LOGIN PASSWORD 'old'; GRANT app TO {unique}")
    cluster.set_hba(f"host all {unique},lookup all trust\n")
    try:
        assert asking.wire(unique, password="old").value("SELECT 1") == "1"
        cluster.sql(f"ALTER ROLE {unique} PASSWORD 'new'")

        def new_works():
            try:
                return asking.wire(unique, password="new")
            except wire.ServerError:
                return None
        wait_until(new_works, 10, "the new password")
        assert login_error(asking, unique, "old").sqlstate == "28P01"
    finally:
        cluster.set_hba()
        cluster.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", (unique,))
        cluster.sql(f"DROP ROLE {unique}")


@pytest.mark.parametrize("database, sqlstate, message", [
    ("nowhere", "3D000", 'database "nowhere" does not exist'),
    ("template0", "55000", 'database "template0" is not currently accepting connections')])
def test_a_database_that_auth_query_cannot_enter_is_told_in_postgresqls_words(make_weir, database, sqlstate, message):
    asking = make_weir(auth_type="scram-sha-256", userlist={"lookup": "lookup-pw"}, auth_user="lookup", databases={"*": {}})
    for user in ("app", "stranger"):
        e = login_error(asking, user, database=database)
        assert (e.level, e.sqlstate, e.message, e.detail) == ("FATAL", sqlstate, message, None)


def test_auth_query_runs_in_auth_dbname(make_weir):
    weir = make_weir(auth_type="scram-sha-256", userlist={"lookup": "lookup-pw"}, auth_user="lookup", auth_dbname="app2",
                     auth_query="SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1 AND current_database() = 'app2'")
    assert weir.wire(password="app-pw").value("SELECT current_database()") == "app"


def test_client_parameters_do_not_reach_auth_query(make_weir, cluster, unique):
    cluster.sql(f"CREATE SCHEMA {unique}; GRANT ALL ON SCHEMA {unique} TO PUBLIC;"
                f"CREATE TABLE {unique}.pg_authid AS SELECT 'app'::name AS rolname, 'stolen' AS rolpassword, true AS rolcanlogin;"
                f"GRANT ALL ON {unique}.pg_authid TO PUBLIC")
    weir = make_weir(auth_type="plain", userlist={"lookup": "lookup-pw"}, auth_user="lookup",
                     auth_query="SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1")
    for params in ({"options": f"-c search_path={unique},pg_catalog"}, {"search_path": f"{unique},pg_catalog"},
                   {"options": "-c role=nologin"}):
        assert login_error(weir, "app", "stolen", **params).sqlstate == "28P01"
    cluster.sql(f"DROP SCHEMA {unique} CASCADE")


# --- identity

def test_a_second_start_up_packet_changes_nobody(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    for user, password in (("admin", "app-pw"), ("app2", "app-pw")):
        w = weir.raw()
        w.send(wire.startup(user="app", database="app"))
        assert w.receive().kind == "R"
        w.send(wire.startup(user=user, database="app"))
        first = scram.Client(password).first()
        try:
            w.send(wire.message("p", wire.cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
            assert "Z" not in {m.kind for m in w.expect_closed(5)}
        except ConnectionError:
            pass


def test_a_query_before_the_password_is_refused(make_weir):
    w = make_weir(auth_type="scram-sha-256").raw()
    w.send(wire.startup(user="app", database="app"), wire.query("SELECT 1"))
    assert not {"D", "Z"} & {m.kind for m in w.expect_closed(5)}


def test_a_password_that_comes_early_is_taken(make_weir):
    weir = make_weir(auth_type="plain", userlist={"lookup": "lookup-pw", "app": scram.scram_secret("app-pw")}, auth_user="lookup",
                     auth_query="SELECT $1::text, $1 || '-pw' FROM pg_sleep(0.2)")
    for user in ("app", "in_trust"):  # known, and to be asked for
        w = weir.raw()
        w.send(wire.startup(user=user, database="app"), wire.message("p", wire.cstring(user + "-pw")), wire.query("SELECT 1"))
        w.until("Z")
        w.until("Z")


@pytest.mark.parametrize("spoil", [
    lambda f: f[:-8], lambda f: f + b",x=1", lambda f: f.replace(b",p=", b",q="), lambda f: f.replace(b"c=", b"d="),
    lambda f: b"", lambda f: b"\0" * 200, lambda f: f.replace(b",r=", b",r=x"), lambda f: b"c=biws,r=,p=", lambda f: f * 50],
    ids=["cut", "extra", "no proof", "no binding", "empty", "zeros", "nonce", "nothing", "long"])
def test_a_spoilt_scram_answer_is_refused_and_harms_nobody(make_weir, spoil):
    weir = make_weir(auth_type="scram-sha-256")
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    w.receive()
    client = scram.Client("app-pw")
    first = client.first()
    w.send(wire.message("p", wire.cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
    w.send(wire.message("p", spoil(client.final(w.receive().body[4:]))))
    messages = w.expect_closed(5)
    assert "Z" not in {m.kind for m in messages}
    assert {m.fields()["V"] for m in messages if m.kind == "E"} <= {"FATAL"}
    assert weir.wire(password="app-pw").value("SELECT 1") == "1"


# --- versions

def test_protocol_3_2_and_a_newer_one_with_unknown_options(make_weir):
    weir = make_weir()
    w = weir.raw()
    w.send(wire.startup(wire.PROTOCOL_3_2, user="app", database="app"))
    kinds = [m.kind for m in w.until("Z")]
    assert "v" not in kinds
    w = weir.raw()
    w.send(wire.startup(0x3270F, user="app", database="app", **{"_pq_.never_heard_of": "1", "_pq_.nor_this": "x"}))
    messages = w.until("Z")
    negotiations = [m for m in messages if m.kind == "v"]
    assert len(negotiations) == 1 and messages[0].kind == "v"
    assert struct.unpack_from("!Ii", negotiations[0].body) == (wire.PROTOCOL_3_2, 2)
    assert set(negotiations[0].body[8:].split(b"\0")) == {b"_pq_.never_heard_of", b"_pq_.nor_this", b""}
    assert w.value("SELECT 1") == "1"


@pytest.mark.parametrize("version", [0x20000, 0x40000, 0x00010000])
def test_other_major_versions_are_refused(make_weir, version):
    w = make_weir().raw()
    w.send(wire.startup(version, user="app", database="app"))
    errors = [m.fields() for m in w.expect_closed(5) if m.kind == "E"]
    assert [(f["V"], f["C"]) for f in errors] in ([("FATAL", "0A000")], [("FATAL", "08P01")])


def test_gss_is_declined_and_the_login_goes_on(make_weir):
    w = make_weir().raw()
    w.send(wire.packet(wire.GSS_REQUEST))
    assert w.take(1) == b"N"
    w.send(wire.packet(wire.SSL_REQUEST))
    assert w.take(1) == b"N"
    assert w.login().value("SELECT 1") == "1"


# --- addresses

def test_unix_socket_and_ipv6_serve(make_weir):
    weir = make_weir(listen_addr="127.0.0.1, ::1")
    assert weir.raw(host="::1").login().value("SELECT 1") == "1"
    assert weir.raw(host=weir.folder).login().value("SELECT 1") == "1"
    assert weir.connect(host=weir.folder).execute("SELECT 1").fetchone() == (1,)


def test_unix_sockets_only(make_weir):
    weir = make_weir(listen_addr="")
    assert weir.raw(host=weir.folder).login().value("SELECT 1") == "1"
    with pytest.raises(ConnectionRefusedError):
        weir.raw()


def test_servers_are_reached_by_unix_socket_and_ipv6(make_weir, cluster):
    weir = make_weir(databases={"u": {"host": cluster.folder, "dbname": "app"}, "six": {"host": "::1", "dbname": "app"},
                                "name": {"host": "localhost", "dbname": "app"}})
    assert weir.wire(database="u").value("SELECT inet_server_addr() IS NULL") == "t"
    assert weir.wire(database="six").value("SELECT host(inet_server_addr())") == "::1"
    assert weir.wire(database="name").value("SELECT 1") == "1"


# --- hba

def hba(weir_folder, text):
    return place.write(f"{weir_folder}/hba.conf", text)


def test_hba_rules_decide(make_weir):
    weir = make_weir(start=False, auth_type="hba")
    weir.general["auth_hba_file"] = hba(weir.folder, "\n".join([
        "local all app trust", "host app app 127.0.0.1/32 scram-sha-256", "host all app2 all md5",
        "host all in_trust 127.0.0.0/8 trust", "host all lookup all reject", "host pgbouncer,pgweir admin all trust"]))
    weir.write()
    weir.start()
    assert weir.raw(host=weir.folder).login().value("SELECT 1") == "1"
    assert weir.wire(password="app-pw").value("SELECT 1") == "1"
    assert login_error(weir, "app").sqlstate == "28P01"
    assert weir.wire("app2", password="app2-pw").value("SELECT 1") == "1"
    assert weir.wire("in_trust").value("SELECT 1") == "1"
    e = login_error(weir, "lookup", "lookup-pw")
    assert (e.level, e.sqlstate) == ("FATAL", "28000")
    assert e.message == 'pg_hba.conf rejects connection for host "127.0.0.1", user "lookup", database "app", no encryption'
    e = login_error(weir, "app", "app-pw", "app2")
    assert (e.level, e.sqlstate) == ("FATAL", "28000")
    assert e.message == 'no pg_hba.conf entry for host "127.0.0.1", user "app", database "app2", no encryption'


def test_the_console_is_open_to_the_owner_of_the_process_by_unix_socket(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    for user in ("pgweir", "pgbouncer"):
        out = place.run("psql", "-X", "-At", "-w", "-h", weir.folder, "-p", weir.port, "-U", user, "pgbouncer", "-c", "SHOW STATE")
        assert "active" in out
    with pytest.raises(wire.ServerError):
        weir.raw().login("pgweir", "pgbouncer", "guess")
