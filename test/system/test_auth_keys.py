# SPDX-License-Identifier: ISC
"""Each auth_type over each kind of connection, and the keys around logins, with pgweir's and PgBouncer's texts."""
import os
import struct

import psycopg
import pytest

from harness import place, scram, wire

SECTIONS = ["pgweir", "pgbouncer"]
TYPES = {"any": None, "trust": None, "plain": 3, "md5": 5, "scram-sha-256": 10}
LINKS = ["tcp", "unix", "tls"]


@pytest.fixture(scope="module", params=SECTIONS)
def section(request):
    return request.param


def said(weir, user="app", password=None, database="app", **kwargs):
    with pytest.raises(wire.ServerError) as e:
        weir.wire(user, database, password, **kwargs)
    return e.value.level, e.value.sqlstate, e.value.message


def in_words_of(section, ours, theirs):
    return ("FATAL", *ours) if section == "pgweir" else ("FATAL", "08P01", theirs)


@pytest.mark.parametrize("auth_type", TYPES)
def test_each_auth_type_on_each_link(make_weir, certs, section, auth_type):
    weir = make_weir(section=section, auth_type=auth_type, client_tls_sslmode="allow", client_tls_key_file=certs.server_key,
                     client_tls_cert_file=certs.server_cert, databases={"app": {"user": "app"} if auth_type == "any" else {}})
    links = {"tcp": {}, "unix": {"host": weir.folder}, "tls": {"sslmode": "require"}}
    for link in LINKS:
        c = weir.connect(password="app-pw", **links[link])
        assert c.execute("SELECT session_user").fetchone() == ("app",)
        assert c.pgconn.ssl_in_use == (link == "tls")
        words = weir.dsn(password="app-pw", **links[link])
        assert place.run("psql", "-XAt", words, "-c", "SELECT session_user", env={**os.environ, "HOME": weir.folder}).strip() == "app"
        if TYPES[auth_type] is None:
            continue
        for user in ("app", "stranger"):
            with pytest.raises(psycopg.OperationalError) as e:
                weir.connect(user=user, password="wrong", **links[link])
            theirs = "SASL authentication failed" if auth_type == "scram-sha-256" else "password authentication failed"
            ours = "28P01", f'password authentication failed for user "{user}"'
            assert in_words_of(section, ours, theirs)[-1] in str(e.value)


@pytest.mark.parametrize("auth_type, code", [(t, c) for t, c in TYPES.items() if c])
def test_the_question_is_the_one_of_the_type(make_weir, section, auth_type, code):
    weir = make_weir(section=section, auth_type=auth_type)
    for user in ("app", "stranger"):
        w = weir.raw()
        w.send(wire.startup(user=user, database="app"))
        assert struct.unpack_from("!I", w.receive().body)[0] == code


def test_trust_is_for_those_who_are_known(make_weir, section):
    weir = make_weir(section=section)
    level, sqlstate, message = said(weir, "stranger")
    assert (level, sqlstate) == ("FATAL", "28P01" if section == "pgweir" else "08P01")
    assert message.startswith('"trust" authentication failed')


def test_any_needs_a_user_for_the_database(make_weir, section):
    weir = make_weir(section=section, auth_type="any", databases={"app": {"user": "app"}, "app2": {}})
    assert weir.wire("whoever").value("SELECT session_user") == "app"
    assert said(weir, "whoever", database="app2") == in_words_of(
        section, ("28000", 'auth_type = any needs a user for database "app2"'), "bouncer config error")
    assert weir.console("SHOW STATE", user="whoever")


def test_scram_iterations_are_those_of_secrets_made_here(make_weir):
    weir = make_weir(auth_type="scram-sha-256", scram_iterations=5000,
                     userlist={"app": "app-pw", "app2": scram.scram_secret("app2-pw")})
    asked = {}
    for user in ("app", "stranger", "app2"):
        w = weir.raw()
        w.send(wire.startup(user=user, database="app"))
        w.receive()
        first = scram.Client("x").first()
        w.send(wire.message("p", wire.cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        asked[user] = w.receive().body.rsplit(b",i=", 1)[1]
    assert asked == {"app": b"5000", "stranger": b"5000", "app2": b"4096"}
    assert weir.wire(password="app-pw").value("SELECT 1") == "1"
    assert weir.wire("app2", password="app2-pw").value("SELECT 1") == "1"


def test_a_plain_password_is_as_good_as_scram_for_a_scram_secret(make_weir, cluster):
    """And it opens the server, which asks for SCRAM."""
    secret = cluster.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'in_scram'")
    weir = make_weir(auth_type="plain", userlist={"in_scram": secret})
    assert weir.wire("in_scram", password="in_scram-pw").value("SELECT session_user") == "in_scram"
    for user, password in (("in_scram", "wrong"), ("in_scram", ""), ("in_scram", secret), ("stranger", "x")):
        assert said(weir, user, password) == ("FATAL", "28P01", f'password authentication failed for user "{user}"')


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_a_password_may_be_long(make_weir, auth_type):
    """Tokens of clouds have thousands of letters."""
    token = "0123456789abcdef" * 1000
    weir = make_weir(auth_type=auth_type, userlist={"app": token, "app2": token[:-1]})
    assert weir.wire(password=token).value("SELECT 1") == "1"
    assert said(weir, "app2", token)[1] == "28P01"
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    w.receive()
    w.send(b"p" + struct.pack("!I", 70000))
    assert [m.fields()["C"] for m in w.expect_closed(5) if m.kind == "E"] == ["08P01"]


# --- auth_query

def test_each_database_may_have_its_own_auth_query(make_weir):
    fixed = "SELECT rolname, '{}' FROM pg_catalog.pg_roles WHERE rolname = $1 AND current_database() = '{}'"
    weir = make_weir(auth_type="plain", userlist={"lookup": "lookup-pw"}, auth_query=fixed.format("general", "app"), databases={
        "app": {"auth_user": "lookup"},
        "app2": {"auth_user": "lookup", "auth_query": fixed.format("own", "app2")},
        "third": {"dbname": "app", "auth_user": "lookup", "auth_dbname": "app2", "auth_query": fixed.format("elsewhere", "app2")},
        "none": {"dbname": "app"}})
    for database, password in (("app", "general"), ("app2", "own"), ("third", "elsewhere")):
        assert weir.wire("app", database, password).value("SELECT 1") == "1"
        assert said(weir, "app", "other", database)[1] == "28P01"
        assert said(weir, "stranger", password, database)[1] == "28P01"
    assert said(weir, "app", "general", "none")[1] == "28P01", "nobody can be asked"


def test_auth_dbname_must_be_a_database(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="plain", userlist={"lookup": "lookup-pw"}, auth_user="lookup", auth_dbname="nowhere")
    assert said(weir, "app", "app-pw") == ("FATAL", "08P01", "bouncer config error")
    assert 'authentication database "nowhere" is not configured' in weir.log()
    assert said(weir, "app2", "x", "nowhere") == ("FATAL", "08P01", "bouncer config error")
    for section in SECTIONS:
        bad = make_weir(start=False, section=section, auth_type="plain", auth_user="lookup", auth_dbname="pgbouncer")
        bad.start(wait=False)
        assert bad.wait() == 2
        bad.wanted_status = (2,)
        assert 'cannot use the reserved "pgbouncer" database as an auth_dbname' in bad.log()


def test_a_disabled_auth_dbname_is_told(make_weir, section):
    weir = make_weir(section=section, auth_type="plain", userlist={"lookup": "lookup-pw", "admin": "admin-pw"}, auth_user="lookup",
                     auth_dbname="app2")
    assert weir.wire(password="app-pw").value("SELECT current_database()") == "app"
    with weir.raw().login("admin", "pgbouncer", "admin-pw") as console:
        console.query("DISABLE app2")
        assert said(weir, "app", "app-pw") == in_words_of(section, ("57P03", 'authentication database "app2" is disabled'),
                                                          'authentication database "app2" is disabled')
        console.query("ENABLE app2")
    assert weir.wire(password="app-pw").value("SELECT 1") == "1"


def test_the_console_asks_auth_dbname(make_weir):
    options = {"auth_type": "scram-sha-256", "userlist": {"lookup": "lookup-pw"}, "auth_user": "lookup", "admin_users": "app"}
    weir = make_weir(auth_dbname="app2", **options)
    with weir.raw().login("app", "pgbouncer", "app-pw") as w:
        w.send(wire.query("SHOW STATE"))
        assert [m.row()[1] for m in w.until("Z") if m.kind == "D"]
    assert said(make_weir(**options), "app", "app-pw", "pgbouncer")[1] == "28P01"


def test_a_role_called_pgbouncer_is_no_admin(make_weir):
    weir = make_weir(auth_type="plain", userlist={"pgbouncer": "x", "pgweir": "y"})
    for user, password in (("pgbouncer", "x"), ("pgweir", "y")):
        for database in ("pgbouncer", "pgweir"):
            assert said(weir, user, password, database)[1] == "42501"


# --- databases

def test_any_database_by_the_fallback(make_weir):
    weir = make_weir(databases={"*": {}, "app2": {"dbname": "app"}})
    assert weir.wire().value("SELECT current_database()") == "app"
    assert weir.wire(database="postgres").value("SELECT current_database()") == "postgres"
    assert weir.wire(database="app2").value("SELECT current_database()") == "app"
    assert said(weir, database="no_such_one") == ("FATAL", "3D000", 'database "no_such_one" does not exist')


def test_a_database_may_set_parameters_of_its_servers(make_weir):
    weir = make_weir(databases={"app": {"client_encoding": "LATIN1", "datestyle": "German", "timezone": "Asia/Tokyo",
                                        "application_name": "by line"}})
    w = weir.wire()
    shown = "SELECT concat_ws('; ', " + ", ".join(f"current_setting('{n}')" for n in (
        "client_encoding", "datestyle", "timezone", "application_name")) + ")"
    assert w.value(shown) == "LATIN1; German, DMY; Asia/Tokyo; by line"
    assert (w.parameters["client_encoding"], w.parameters["TimeZone"]) == ("LATIN1", "Asia/Tokyo")
    own = weir.wire(client_encoding="UTF8", application_name="mine")
    assert own.value(shown) == "UTF8; German, DMY; Asia/Tokyo; mine"


def test_a_forced_user_needs_no_password_of_the_client(make_weir):
    weir = make_weir(auth_type="scram-sha-256", userlist={"app": "app-pw"}, databases={
        "app": {"user": "in_scram", "password": "in_scram-pw"}, "app2": {"user": "in_md5", "password": "in_md5-pw", "dbname": "app"}})
    for database, role in (("app", "in_scram"), ("app2", "in_md5")):
        assert weir.wire("app", database, "app-pw").value("SELECT session_user") == role
    assert said(weir, "in_scram", "in_scram-pw")[1] == "28P01", "the role of the line is nobody's user"


def test_the_address_is_part_of_the_application_name(make_weir):
    weir = make_weir(application_name_add_host=1)
    w = weir.wire(application_name="mine")
    port = w.socket.getsockname()[1]
    assert w.value("SHOW application_name") == f"mine - 127.0.0.1:{port}"
    other = weir.wire()
    assert other.value("SHOW application_name") == f"app - 127.0.0.1:{other.socket.getsockname()[1]}"
    assert weir.raw(host=weir.folder).login(application_name="x").value("SHOW application_name").startswith("x - unix")


def test_every_client_is_told_the_login_message(make_weir, section):
    text = "maintenance on Sunday; " * 20
    weir = make_weir(section=section, login_notify_message=text.strip())
    for _ in range(2):
        w = weir.raw()
        w.send(wire.startup(user="app", database="app"))
        notices = [m.fields() for m in w.until("Z") if m.kind == "N"]
        assert [(f["S"], f["C"], f["M"]) for f in notices] == [("NOTICE", "00000", text.strip())]
    weir.reload(login_notify_message="")
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    assert "N" not in [m.kind for m in w.until("Z")]
