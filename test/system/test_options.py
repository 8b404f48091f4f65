# SPDX-License-Identifier: ISC
"""PgBouncer's keys, each with what it does to a real PostgreSQL or a real client."""
import ctypes
import grp
import os
import socket
import stat
import time

import psycopg
import pytest

from harness import wire
from harness.wait import stays_true, wait_until


PIDFD_GETFD = 438


def sockets_of(weir):
    """pgweir's sockets, duplicated into this process."""
    libc, pidfd = ctypes.CDLL(None), os.pidfd_open(weir.process.pid)
    for fd in os.listdir(f"/proc/{weir.process.pid}/fd"):
        copy = libc.syscall(PIDFD_GETFD, pidfd, int(fd), 0)
        if copy >= 0 and stat.S_ISSOCK(os.fstat(copy).st_mode):
            with socket.socket(fileno=copy) as s:
                yield s
        elif copy >= 0:
            os.close(copy)
    os.close(pidfd)


def listener_option(weir, level, name):
    return {s.getsockopt(level, name) for s in sockets_of(weir)
            if s.family == socket.AF_INET and s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}.pop()


def test_query_wait_notify_tells_who_waits(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", default_pool_size=1, query_wait_notify=1)
    first, second = weir.wire(), weir.wire()
    first.query("BEGIN")
    second.send(wire.query("SELECT 'then'"))
    notice = second.receive(5)
    assert (notice.kind, notice.fields()["M"]) \
        == ("N", "No server connection available in postgres backend, client being queued")
    with pytest.raises(TimeoutError):
        second.receive(1.3)
    first.query("COMMIT")
    assert second.finish() == [["then"]]


def test_query_wait_timeout_counts_from_the_beginning(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", default_pool_size=1, query_wait_notify=1, query_wait_timeout=2)
    first, second = weir.wire(), weir.wire()
    first.query("BEGIN")
    start = time.monotonic()
    second.send(wire.query("SELECT 1"))
    assert [m.kind for m in second.expect_closed(5)] == ["N", "E"]
    assert 1.5 < time.monotonic() - start < 4


def test_login_notify_message_greets_everybody(make_weir):
    weir = make_weir(login_notify_message="maintenance at noon")
    assert [n["M"] for n in weir.wire().notices] == ["maintenance at noon"]
    weir.console("SET login_notify_message = ''")
    assert weir.wire().notices == []


def test_disable_pqexec_refuses_simple_queries(make_weir):
    weir = make_weir(section="pgbouncer", disable_pqexec=1)
    w = weir.wire()
    assert w.extended("SELECT 1") == [["1"]]
    w.send(wire.query("SELECT 1"))
    error, = [m.fields() for m in w.expect_closed() if m.kind == "E"]
    assert (error["V"], error["C"], error["M"]) == ("FATAL", "08P01", "PQexec disallowed")


@pytest.mark.parametrize("how", ["RECONNECT", "RELOAD"])
def test_server_fast_close_ends_sessions_whose_server_is_to_be_replaced(make_weir, how):
    weir = make_weir(section="pgbouncer", pool_mode="session", server_fast_close=1)
    idle, busy = weir.wire(), weir.wire()
    idle.query("SELECT 1")
    busy.query("BEGIN")
    if how == "RELOAD":
        weir.databases["app"]["application_name"] = "changed"
        weir.write()
    weir.console(how)
    error, = [m.fields() for m in idle.expect_closed() if m.kind == "E"]
    assert (error["C"], error["M"]) == ("08P01", "database configuration changed")
    assert busy.value("SELECT 'until its end'") == "until its end"
    busy.send(wire.query("COMMIT"))
    assert "C" in [m.kind for m in busy.expect_closed()]


def test_without_server_fast_close_sessions_go_on(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="session")
    w = weir.wire()
    pid = w.value("SELECT pg_backend_pid()")
    weir.console("RECONNECT")
    stays_true(lambda: w.value("SELECT pg_backend_pid()") == pid, 0.5)


def test_so_reuseport_lets_two_processes_share_a_port(make_weir):
    one = make_weir(so_reuseport=1)
    two = make_weir(so_reuseport=1, listen_port=one.port, start=False)
    two.port = one.port
    two.start()
    assert two.alive() and one.alive()
    three = make_weir(listen_port=one.port, start=False)
    three.wanted_status = (1,)
    three.start(wait=False)
    assert three.wait() == 1


def test_tcp_defer_accept_and_socket_buffer_reach_the_kernel(make_weir):
    weir = make_weir(section="pgbouncer", tcp_socket_buffer=50000)
    wait_until(lambda: listener_option(weir, socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 45)
    assert listener_option(weir, socket.SOL_SOCKET, socket.SO_RCVBUF) == 100000, "the kernel doubles it"
    weir.console("SET tcp_defer_accept = 0")
    wait_until(lambda: listener_option(weir, socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0)


def test_keepalive_options_reach_the_kernel(make_weir):
    weir = make_weir(tcp_keepidle=71, tcp_keepintvl=17, tcp_keepcnt=7, tcp_user_timeout=12345)
    wait_until(lambda: [listener_option(weir, socket.IPPROTO_TCP, n) for n in
                        (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)]
               == [71, 17, 7, 12345])
    assert listener_option(weir, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_names_of_servers_are_looked_up_once_in_dns_max_ttl(make_weir, cluster):
    weir = make_weir(databases={"app": {"host": "localhost"}, "lost": {"host": "no-such-host.invalid"}}, dns_max_ttl=100,
                     dns_nxdomain_ttl=50)
    weir.wire().query("SELECT 1")
    with pytest.raises(wire.ServerError):
        weir.wire(database="lost")
    rows = {r["hostname"]: r for r in weir.console("SHOW DNS_HOSTS")}
    assert f":{cluster.port}" in rows["localhost"]["addrs"] and 90 < int(rows["localhost"]["ttl"]) <= 100
    assert rows["no-such-host.invalid"]["addrs"] == "" and int(rows["no-such-host.invalid"]["ttl"]) <= 50
    assert {r["list"]: r["items"] for r in weir.console("SHOW LISTS")}["dns_names"] == "2"


def test_pool_idle_timeout_forgets_pools(make_weir):
    weir = make_weir(section="pgbouncer", pool_idle_timeout=1, server_idle_timeout=1, pool_mode="transaction")
    w = weir.wire()
    w.query("SELECT 1")
    assert weir.pool() is not None
    stays_true(lambda: weir.pool() is not None, 2.5)
    w.close()
    wait_until(lambda: weir.pool() is None, 15)
    assert "cleaning up idle pool" in weir.log()
    assert weir.wire().value("SELECT 'made anew'") == "made anew"


def test_autodb_idle_timeout_forgets_databases_of_the_star(make_weir):
    weir = make_weir(section="pgbouncer", autodb_idle_timeout=1, server_idle_timeout=1, databases={"*": {}, "app2": {}})
    for name in ("app", "app2"):
        weir.wire(database=name).query("SELECT 1")
    for w in list(weir._open):
        w.close()
    wait_until(lambda: weir.pool("app") is None, 15)
    assert weir.pool("app2") is not None
    wait_until(lambda: "app" not in [r["name"] for r in weir.console("SHOW DATABASES")])


def test_hosts_of_a_list_are_used_in_turn(make_weir, cluster):
    weir = make_weir(section="pgbouncer", databases={"app": {"host": "127.0.0.1,127.0.0.2"},
                                                     "first": {"host": "127.0.0.1,127.0.0.2", "dbname": "app",
                                                               "load_balance_hosts": "disable"}}, workers=1, default_pool_size=4)
    addresses = {}
    for name in ("app", "first"):
        held = [weir.wire(database=name) for _ in range(4)]
        for w in held:
            w.query("BEGIN")
        addresses[name] = sorted(r["addr"] for r in weir.console("SHOW SERVERS") if r["database"] == name)
    assert addresses == {"app": ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2, "first": ["127.0.0.1"] * 4}
    rows = {r["name"]: r["load_balance_hosts"] for r in weir.console("SHOW DATABASES")}
    assert (rows["app"], rows["first"], rows["pgbouncer"]) == ("round-robin", "disable", None)
    assert weir.console("SHOW NODES", database="pgweir") == [], "nothing is watched unasked"


def test_a_dead_host_of_a_list_is_passed_over(make_weir):
    weir = make_weir(section="pgbouncer", server_login_retry=1,
                     databases={"app": {"host": "127.0.0.99,127.0.0.1", "load_balance_hosts": "disable"}})
    assert weir.wire().value("SELECT 1") == "1"


def test_a_boot_only_key_in_a_reloaded_file_does_nothing(make_weir):
    weir = make_weir(listen_backlog=99)
    weir.reload(listen_backlog=11, workers=1, listen_port=1)
    assert (weir.config("listen_backlog"), weir.config("workers"), weir.config("listen_port")) == ("99", "2", str(weir.port))
    weir.general["listen_port"] = weir.port


def test_curves_of_the_key_exchange(make_weir, certs):
    weir = make_weir(client_tls_sslmode="require", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert,
                     client_tls_ecdhcurve="secp384r1", client_tls_dheparams="none")
    c = psycopg.connect(weir.dsn(sslmode="require"))
    assert c.pgconn.ssl_in_use
    c.close()
    bad = make_weir(client_tls_sslmode="require", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert,
                    client_tls_ecdhcurve="no_such_curve", start=False)
    bad.wanted_status = (2,)
    bad.start(wait=False)
    assert bad.wait() == 2 and "no_such_curve" in bad.log()


@pytest.mark.parametrize("option, value, good, described", [
    ("client_tls_protocols", "tlsv1.2", {"ssl_max_protocol_version": "TLSv1.2"}, "TLSv1.2/"),
    ("client_tls_protocols", "tlsv1.3", {"ssl_min_protocol_version": "TLSv1.3"}, "TLSv1.3/"),
    ("client_tls_ciphers", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", {"ssl_max_protocol_version": "TLSv1.2"},
     "AES128-GCM-SHA256"),
    ("client_tls13_ciphers", "TLS_CHACHA20_POLY1305_SHA256", {}, "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256")])
def test_tls_towards_clients_is_what_was_asked(make_weir, certs, option, value, good, described):
    weir = make_weir(client_tls_sslmode="require", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert,
                     **{option: value})
    with psycopg.connect(weir.dsn(sslmode="require", **good)) as c:
        assert c.execute("SELECT 1").fetchone()
        weir.wait_log(described)
    if option == "client_tls_protocols":
        other = {"ssl_max_protocol_version": "TLSv1.2"} if value == "tlsv1.3" else {"ssl_min_protocol_version": "TLSv1.3"}
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(weir.dsn(sslmode="require", **other))


@pytest.mark.parametrize("option, value, described", [("server_tls_protocols", "tlsv1.2", "TLSv1.2/"),
                                                      ("server_tls13_ciphers", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20")])
def test_tls_towards_servers_is_what_was_asked(make_weir, option, value, described):
    weir = make_weir(server_tls_sslmode="require", **{option: value})
    weir.wire().query("SELECT 1")
    assert described in weir.console("SHOW SERVERS")[0]["tls"]


def test_servers_that_were_idle_are_checked_before_use(make_weir, cluster):
    weir = make_weir(server_check_delay=0.3, server_check_query="SELECT 'checked' AS pgweir_check", default_pool_size=1)
    w = weir.wire()
    pid = w.value("SELECT pg_backend_pid()")
    wait_until(lambda: weir.pool()["sv_used"] == "1")
    w.query("BEGIN")
    assert cluster.sql(f"SELECT query FROM pg_stat_activity WHERE pid = {pid}") is not None
    w.query("COMMIT")
    weir.console("SET server_check_query = 'SELECT nonsense'")
    wait_until(lambda: weir.pool()["sv_used"] == "1")
    assert w.value("SELECT pg_backend_pid()") != pid, "one that fails its check is replaced"


def test_server_reset_query_always_runs_after_each_transaction(make_weir):
    weir = make_weir(section="pgbouncer", pool_mode="transaction", default_pool_size=1, server_reset_query_always=1,
                     on_session_state="warn")
    w = weir.wire()
    w.query("PREPARE p AS SELECT 1")
    with pytest.raises(wire.ServerError):
        weir.wire().query("EXECUTE p")
    assert weir.wire().value("SELECT count(*) FROM pg_prepared_statements") == "0"


@pytest.mark.parametrize("in_turn, expected", [(1, 3), (0, 1)])
def test_server_round_robin_uses_the_one_that_was_idle_longest(make_weir, in_turn, expected):
    weir = make_weir(server_round_robin=in_turn, workers=1)
    held = [weir.wire() for _ in range(3)]
    for w in held:
        w.query("BEGIN")
        w.query("SELECT 1")
    for w in held:
        w.query("COMMIT")
    assert len({held[0].value("SELECT pg_backend_pid()") for _ in range(3)}) == expected


def test_the_unix_socket_has_its_mode_and_group(make_weir):
    weir = make_weir(unix_socket_mode="0710", unix_socket_group="pgweir-test")

    def given():
        st = os.stat(f"{weir.folder}/.s.PGSQL.{weir.port}")
        assert stat.S_IMODE(st.st_mode) in (0o600, 0o710), "never more than asked for"
        return stat.S_IMODE(st.st_mode) == 0o710 and grp.getgrgid(st.st_gid).gr_name == "pgweir-test"
    wait_until(given, 10, "the mode and group of the socket")


def test_verbose_and_its_flag(make_weir):
    for weir in (make_weir(verbose=1), make_weir(start=False).start("-v")):
        weir.wire().query("SELECT 1")
        weir.wait_log(r" DEBUG server=s\d+ connects to 127\.0\.0\.1:\d+ for app@app")


def test_quiet_logs_only_to_the_file(make_weir):
    weir = make_weir(start=False)
    weir.general["logfile"] = f"{weir.folder}/own.log"
    weir.write()
    weir.start("-q")
    weir.wire().query("SELECT 1")
    with open(f"{weir.folder}/own.log") as f:
        assert "process up" in f.read()
    assert weir.log() == ""


def test_log_pooler_errors_can_be_turned_off(make_weir):
    for value, logged in ((1, True), (0, False)):
        weir = make_weir(log_pooler_errors=value)
        with pytest.raises(wire.ServerError):
            weir.wire("app", "nowhere")
        assert ("pooler error: " in weir.log()) == logged


def test_a_database_sets_what_its_line_says(make_weir):
    weir = make_weir(databases={"app": {"client_encoding": "LATIN1", "datestyle": "German", "timezone": "Asia/Tokyo"}})
    w = weir.wire()
    assert [w.value(f"SHOW {name}") for name in ("client_encoding", "datestyle", "timezone")] == ["LATIN1", "German, DMY", "Asia/Tokyo"]
