# SPDX-License-Identifier: ISC
"""compat = pgbouncer: SQLSTATEs and messages that PgBouncer's users match; DETAIL and HINT stay pgweir's."""
import hashlib
import signal

import pytest

from harness import wire
from harness.wait import wait_until


def refused(act, *words, **more):
    with pytest.raises(wire.ServerError) as e:
        act(*words, **more)
    return e.value


def said(error):
    return error.level, error.sqlstate, error.message


def last_words(w):
    f, = [m.fields() for m in w.expect_closed(8) if m.kind == "E"]
    return f["V"], f["C"], f["M"]


@pytest.mark.parametrize("option, message", [
    ("max_client_conn", "no more connections allowed (max_client_conn)"),
    ("max_db_client_connections", "client connections exceeded (max_db_client_connections)"),
    ("max_user_client_connections", "client connections exceeded (max_user_client_connections)")])
def test_a_client_too_many_hears_of_the_limit(make_weir, option, message):
    weir = make_weir(section="pgbouncer", **{option: 1})
    with weir.wire():
        e = refused(weir.wire)
    assert said(e) == ("FATAL", "08P01", message)
    assert e.fields["D"].startswith(option + " is 1") and e.fields["H"]


def test_a_long_wait_ends_the_client(make_weir):
    weir = make_weir(section="pgbouncer", query_wait_timeout=1, default_pool_size=1, pool_mode="transaction")
    with weir.wire() as first, weir.wire() as second:
        first.query("BEGIN; SELECT 1")
        second.send(wire.query("SELECT 1"))
        assert last_words(second) == ("FATAL", "08P01", "query_wait_timeout")
        assert first.value("SELECT 'kept'") == "kept"
    assert "closing because: query_wait_timeout (age=" in weir.log()


def test_without_compat_a_long_wait_keeps_the_client(make_weir):
    weir = make_weir(query_wait_timeout=1, default_pool_size=1, pool_mode="transaction")
    with weir.wire() as first, weir.wire() as second:
        first.query("BEGIN; SELECT 1")
        assert refused(second.query, "SELECT 1").sqlstate == "53300"
        first.query("COMMIT")
        assert second.value("SELECT 'kept'") == "kept"


@pytest.mark.parametrize("option, before, message", [
    ("client_idle_timeout", "SELECT 1", "client_idle_timeout"),
    ("idle_transaction_timeout", "BEGIN", "idle transaction timeout"),
    ("transaction_timeout", "BEGIN", "transaction timeout")])
def test_timeouts_have_pgbouncers_names(make_weir, option, before, message):
    w = make_weir(section="pgbouncer", **{option: 1}).wire()
    w.query(before)
    assert last_words(w) == ("FATAL", "08P01", message)


def test_a_long_query_is_cancelled_by_pgbouncers_name(make_weir):
    w = make_weir(section="pgbouncer", query_timeout=1).wire()
    assert said(refused(w.query, "SELECT pg_sleep(20)")) == ("ERROR", "08P01", "query timeout")


@pytest.mark.parametrize("auth_type, message", [
    ("plain", "password authentication failed"), ("md5", "password authentication failed"),
    ("scram-sha-256", "SASL authentication failed"), ("trust", '"trust" authentication failed')])
def test_strangers_hear_which_way_failed(make_weir, auth_type, message):
    weir = make_weir(section="pgbouncer", auth_type=auth_type)
    assert said(refused(weir.wire, "stranger", password="x")) == ("FATAL", "08P01", message)


def test_databases_that_nobody_may_use_are_named(make_weir):
    weir = make_weir(section="pgbouncer")
    assert said(refused(weir.wire, "app", "nowhere")) == ("FATAL", "08P01", "no such database: nowhere")
    weir.console("DISABLE app")
    assert said(refused(weir.wire, "app")) == ("FATAL", "08P01", 'database "app" is disabled')


def test_what_postgresql_says_keeps_its_sqlstate(make_weir):
    weir = make_weir(section="pgbouncer", databases={"lost": {"dbname": "never_made"}})
    e = refused(weir.wire, "app", "lost")
    assert (e.sqlstate, e.message) == ("3D000", 'database "never_made" does not exist')


def test_start_up_options_have_a_form(make_weir):
    weir = make_weir(section="pgbouncer")
    e = refused(weir.wire, options="nonsense")
    assert said(e) == ("FATAL", "08P01",
                       "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")


def test_a_pooler_that_shuts_down_says_so(make_weir):
    weir = make_weir(section="pgbouncer", drain_delay=10)
    with weir.wire():
        weir.send_signal(signal.SIGTERM)
        e = wait_until(lambda: refusal(weir), 5)
        assert said(e) == ("FATAL", "08P01", "pooler is shutting down")
        weir.send_signal(signal.SIGTERM)


def refusal(weir):
    try:
        weir.wire().close()
    except wire.ServerError as e:
        return e


def test_a_disabled_authentication_database_is_named(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="md5", auth_user="lookup", auth_dbname="app2", userlist={"lookup": "lookup-pw", "admin": "x"})
    weir.raw().login("admin", "pgbouncer", "x").query("DISABLE app2")
    assert said(refused(weir.wire, password="app-pw")) == ("FATAL", "08P01", 'authentication database "app2" is disabled')


def test_any_needs_a_user_of_the_database(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="any")
    assert said(refused(weir.wire)) == ("FATAL", "08P01", "bouncer config error")


@pytest.mark.parametrize("shows", ["simple", "extended"])
def test_a_statement_that_is_not_there(make_weir, shows):
    """PostgreSQL's own answer: the client stays."""
    w = make_weir(section="pgbouncer").wire()
    w.send(wire.bind(name="gone") + wire.execute() + wire.sync() if shows == "extended" else wire.query("EXECUTE gone"))
    error, = [m.fields() for m in w.until("Z") if m.kind == "E"]
    assert error["C"] == "26000" and w.value("SELECT 1") == "1"


def test_auth_query_that_finds_nobody_says_so(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="scram-sha-256", userlist={"lookup": "lookup-pw"}, auth_user="lookup")
    assert said(refused(weir.wire, "stranger", password="x")) == ("FATAL", "08P01", "no such user")
    assert "closing because: no such user (age=" in weir.log()
    assert said(refused(weir.wire, "app", password="x")) == ("FATAL", "08P01", "SASL authentication failed")


def test_a_secret_that_the_server_cannot_use_is_named(make_weir, cluster):
    secret = "md5" + hashlib.md5(b"app-pw" + b"in_scram").hexdigest()
    weir = make_weir(section="pgbouncer", auth_type="trust", userlist={"in_scram": secret})
    e = refused(weir.wire, "in_scram")
    assert said(e) == ("FATAL", "08P01", "server login failed: wrong password type") and e.fields["H"]


def test_query_timeout_runs_while_waiting_for_a_server(make_weir):
    weir = make_weir(section="pgbouncer", query_timeout=2, query_wait_timeout=30, default_pool_size=1, pool_mode="transaction")
    with weir.wire() as first, weir.wire() as second:
        first.query("BEGIN; SELECT 1")
        second.send(wire.query("SELECT 1"))
        assert last_words(second) == ("FATAL", "08P01", "query_timeout")
        assert first.value("SELECT 'kept'") == "kept"


@pytest.mark.parametrize("parameters, message", [
    ({"options": "-c no_such_thing=1"}, "unsupported startup parameter in options: no_such_thing"),
    ({"no_such_thing": "1"}, "unsupported startup parameter: no_such_thing")])
def test_start_up_parameters_that_postgresql_does_not_know(make_weir, parameters, message):
    weir = make_weir(section="pgbouncer")
    assert said(refused(weir.wire, **parameters)) == ("FATAL", "08P01", message)
    assert weir.wire(options="-c extra_float_digits=1").value("SHOW extra_float_digits") == "1"


def test_every_setting_is_followed_whatever_track_extra_parameters_says(make_weir):
    weir = make_weir(section="pgbouncer", default_pool_size=1, pool_mode="transaction", track_extra_parameters="IntervalStyle, search_path",
                     sbuf_loopcnt=2)
    a, b = weir.wire(IntervalStyle="iso_8601"), weir.wire(options="-c search_path=pg_catalog")
    a.query("SET extra_float_digits = 0")
    for _ in range(2):
        assert [a.value(f"SHOW {k}") for k in ("IntervalStyle", "extra_float_digits")] == ["iso_8601", "0"]
        assert [b.value(f"SHOW {k}") for k in ("IntervalStyle", "extra_float_digits", "search_path")] == ["postgres", "1", "pg_catalog"]
    assert len(b.value("SELECT repeat('x', 1000000)")) == 1000000
    assert "changes nothing" not in weir.log()


@pytest.mark.parametrize("pkt_buf, size", [(8192, 61440), (200000, 200000), (2147483647, 1048576)])
def test_pkt_buf_is_what_is_read_at_once_when_it_is_more_than_60_kb(make_weir, pkt_buf, size):
    weir = make_weir(section="pgbouncer", pkt_buf=pkt_buf)
    assert {r["name"]: int(r["size"]) for r in weir.console("SHOW MEM")}["iobuf"] == size
    assert {r["key"]: r["value"] for r in weir.console("SHOW CONFIG")}["pkt_buf"] == str(pkt_buf)
    w = weir.wire()
    assert w.query("SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i") == [[str(i), "x" * 100] for i in range(1, 30001)]
    assert "changes nothing" not in weir.log()
