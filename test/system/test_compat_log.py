# SPDX-License-Identifier: ISC
"""compat = pgbouncer: the lines of the log that scripts of PgBouncer's users look for."""
import re
import signal

import psycopg
import pytest

from harness import wire
from harness.wait import wait_until

PREFIX = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] "
CLIENT = PREFIX + r"LOG C-0x[0-9a-f]+: app/app@127\.0\.0\.1:\d+ "
SERVER = PREFIX + r"LOG S-0x[0-9a-f]+: app/app@127\.0\.0\.1:\d+ "


def has(weir, pattern, seconds=10):
    return wait_until(lambda: re.search("^" + pattern + "$", weir.log(), re.M), seconds, pattern)


def fails(act, *words, **more):
    with pytest.raises(wire.ServerError):
        act(*words, **more)


@pytest.fixture
def weir_of(make_weir):
    return lambda **general: make_weir(section="pgbouncer", **{"pool_mode": "transaction", **general})


def test_logins_and_their_end(weir_of):
    weir = weir_of()
    w = weir.wire()
    w.query("SELECT 1")
    has(weir, CLIENT + r"login attempt: db=app user=app tls=no")
    has(weir, SERVER + r"new connection to server \(from 127\.0\.0\.1:\d+\)")
    pointer = re.search(r"C-(0x[0-9a-f]+): app/app", weir.log())[1]
    assert pointer in [r["ptr"] for r in weir.console("SHOW CLIENTS")]
    w.close()
    has(weir, CLIENT + r"closing because: client unexpected eof \(age=\d+s\)")
    weir.wire().send(wire.terminate())
    has(weir, CLIENT + r"closing because: client close request \(age=\d+s\)")


def test_a_pause_is_the_reason_of_its_servers_end(weir_of):
    weir = weir_of()
    weir.wire().query("SELECT 1")
    weir.console("PAUSE")
    reason(weir, "pause mode", "S")
    weir.console("RESUME")


def test_tls_is_named_with_its_cipher(weir_of, certs):
    weir = weir_of(client_tls_sslmode="require", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert)
    psycopg.connect(weir.dsn(sslmode="require")).close()
    has(weir, CLIENT + r"login attempt: db=app user=app tls=TLSv1\.3/\S+")


def reason(weir, text, whose="C"):
    has(weir, PREFIX + r"LOG " + whose + r"-0x[0-9a-f]+: \S+@\S+:\d+ closing because: " + text + r" \(age=\d+s\)", 15)


@pytest.mark.parametrize("auth_type, text", [("trust", '"trust" authentication failed'), ("md5", "password authentication failed"),
                                             ("scram-sha-256", "SASL authentication failed")])
def test_strangers(weir_of, auth_type, text):
    weir = weir_of(auth_type=auth_type)
    fails(weir.wire, "stranger", password="x")
    reason(weir, text)
    has(weir, PREFIX + r"WARNING C-0x[0-9a-f]+: \S+ pooler error: " + text + " sqlstate=08P01")
    has(weir, PREFIX + r"LOG C-0x[0-9a-f]+: app/stranger@127\.0\.0\.1:\d+ login attempt: db=app user=stranger tls=no")


@pytest.mark.parametrize("option, before, text", [("client_idle_timeout", "SELECT 1", "client_idle_timeout"),
                                                  ("idle_transaction_timeout", "BEGIN", "idle transaction timeout"),
                                                  ("transaction_timeout", "BEGIN", "transaction timeout")])
def test_timeouts(weir_of, option, before, text):
    weir = weir_of(**{option: 1})
    weir.wire().query(before)
    reason(weir, text)


def test_databases_that_are_not_there(weir_of):
    weir = weir_of(databases={"lost": {"dbname": "never_made"}})
    fails(weir.wire, "app", "nowhere")
    reason(weir, "no such database: nowhere")
    fails(weir.wire, "app", "lost")
    reason(weir, 'database "never_made" does not exist')
    has(weir, PREFIX + r'WARNING S: lost/app@\S+ server login failed: FATAL database "never_made" does not exist')
    reason(weir, "login failed", "S")


def test_transaction_blocks_in_statement_mode_close_the_client(weir_of):
    weir = weir_of(pool_mode="statement")
    for use in (lambda w: w.send(wire.query("BEGIN")), lambda w: w.send(wire.extended("BEGIN") + wire.sync())):
        w = weir.wire()
        use(w)
        error, = [m.fields() for m in w.expect_closed() if m.kind == "E"]
        assert (error["V"], error["C"], error["M"]) \
            == ("FATAL", "08P01", "transaction blocks not allowed in statement pooling mode")
    reason(weir, "transaction blocks not allowed in statement pooling mode")


def test_servers_that_cannot_be_reached(weir_of):
    weir = weir_of(databases={"off": {"host": "127.0.0.1", "port": 1}, "lost": {"host": "no-such-host.invalid"}})
    for name, text in [("off", "connect failed"), ("lost", "server DNS lookup failed")]:
        fails(weir.wire, "app", name)
        reason(weir, text, "S")


def test_logins_that_no_server_takes(weir_of):
    weir = weir_of(databases={"off": {"host": "127.0.0.1", "port": 1}})
    with pytest.raises(wire.ServerError) as e:
        weir.wire("app", "off", seconds=30)
    assert re.fullmatch(r"server login has been failing, cached error: .*Connection refused \(server_login_retry\)", e.value.message)
    assert e.value.sqlstate == "57P03" and e.value.hint
    reason(weir, r"server login has been failing, cached error: .* \(server_login_retry\)")


def test_clients_that_wait_in_vain_for_a_server_that_is_gone(weir_of, cluster):
    weir = weir_of(query_wait_timeout=1)
    w = weir.wire(seconds=30)
    w.query("SELECT 1")
    cluster.stop()
    wait_until(lambda: weir.pool()["sv_idle"] == "0")
    w.send(wire.query("SELECT 1"))
    error, = [m.fields() for m in w.expect_closed() if m.kind == "E"]
    assert (error["V"], error["C"], error["M"]) == ("FATAL", "08P01", "query_wait_timeout")
    reason(weir, "query_wait_timeout")


def test_a_server_that_crashes(weir_of, cluster):
    weir = weir_of()
    pid = weir.wire().value("SELECT pg_backend_pid()")
    cluster.sql(f"SELECT pg_terminate_backend({pid})")
    has(weir, SERVER + r"closing because: (server conn crashed\?|terminating connection due to administrator command) \(age=\d+s\)")


def test_servers_that_are_replaced(weir_of):
    weir = weir_of()
    w = weir.wire()
    w.query("BEGIN")
    weir.console("RECONNECT")
    w.query("COMMIT")
    reason(weir, "(database configuration changed|obsolete connection)", "S")


def test_a_database_of_the_star_is_registered_once(weir_of):
    weir = weir_of(databases={"*": {}})
    for _ in range(4):
        weir.wire().query("SELECT 1")
    assert len(re.findall("registered new auto-database: db=app$", weir.log(), re.M)) == 1


def test_the_reserve_is_told_of(weir_of):
    weir = weir_of(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    first, second = weir.wire(), weir.wire()
    first.query("BEGIN")
    assert second.value("SELECT 1", 10) == "1"
    assert "taking connection from reserve_pool" in weir.log()


def test_a_missing_authentication_database_is_named(weir_of):
    weir = weir_of(auth_type="md5", auth_user="lookup", auth_dbname="gone", userlist={"lookup": "lookup-pw"})
    fails(weir.wire, "app", password="app-pw")
    assert 'authentication database "gone" is not configured' in weir.log()


def test_the_console_is_no_authentication_database(make_weir):
    weir = make_weir(section="pgbouncer", auth_dbname="pgbouncer", start=False)
    weir.wanted_status = (2,)
    weir.start(wait=False)
    assert weir.wait() == 2 and 'cannot use the reserved "pgbouncer" database as an auth_dbname' in weir.log()


def test_the_line_of_figures(weir_of):
    weir = weir_of(log_stats=1, stats_period=1)
    weir.wire().query("SELECT 1")
    has(weir, PREFIX + r"LOG stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, in \d+ B/s, "
        r"out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us", 5)


def test_signals_are_told_of(weir_of):
    weir = weir_of()
    for number, text in [(signal.SIGHUP, "got SIGHUP, re-reading config"), (signal.SIGUSR1, "got SIGUSR1, pausing all activity"),
                         (signal.SIGUSR2, "got SIGUSR2, continuing from PAUSE")]:
        weir.send_signal(number)
        has(weir, PREFIX + "LOG " + text)
