# SPDX-License-Identifier: ISC
"""TLS towards clients and towards servers."""
import shutil
import ssl
import warnings
import time

import psycopg
import pytest

from harness import place, wire
from harness.wait import Worker, wait_until


def context(certs, cert=None, key=None, alpn=None):
    c = ssl.create_default_context(cafile=certs.ca)
    if cert:
        c.load_cert_chain(cert, key)
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


@pytest.fixture
def tls_weir(make_weir, certs):
    def make(**options):
        defaults = {"client_tls_sslmode": "require", "client_tls_key_file": certs.server_key, "client_tls_cert_file": certs.server_cert,
                    "client_tls_ca_file": certs.ca}
        return make_weir(**{**defaults, **options})
    return make


def libpq(weir, certs, sslmode, **kwargs):
    return weir.connect(host="localhost", hostaddr="127.0.0.1", sslmode=sslmode, sslrootcert=certs.ca, **kwargs)


def test_disabled_tls_answers_N(make_weir, certs):
    weir = make_weir()
    w = weir.raw()
    w.send(wire.packet(wire.SSL_REQUEST))
    assert w.take(1) == b"N"
    with pytest.raises(psycopg.OperationalError):
        libpq(weir, certs, "require")
    assert libpq(weir, certs, "prefer").execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_allow_and_prefer_serve_both_kinds(tls_weir, certs, mode):
    weir = tls_weir(client_tls_sslmode=mode)
    assert weir.connect(sslmode="disable").execute("SELECT 1").fetchone() == (1,)
    for sslmode in ("prefer", "require", "verify-ca", "verify-full"):
        c = libpq(weir, certs, sslmode)
        assert c.pgconn.ssl_in_use and c.execute("SELECT 1").fetchone() == (1,)


def test_require_refuses_plain_text_with_28000(tls_weir):
    weir = tls_weir()
    with pytest.raises(wire.ServerError) as e:
        weir.wire()
    assert (e.value.level, e.value.sqlstate) == ("FATAL", "28000")
    with weir.raw(host=weir.folder).login() as w:
        assert w.value("SELECT 1") == "1", "a Unix socket needs no TLS"


def test_a_client_that_verifies_the_name_refuses_another(tls_weir, certs):
    weir = tls_weir(client_tls_key_file=certs.other_key, client_tls_cert_file=certs.other_cert)
    assert libpq(weir, certs, "verify-ca").execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        libpq(weir, certs, "verify-full")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_verify_modes_demand_a_good_client_certificate(tls_weir, certs, mode):
    weir = tls_weir(client_tls_sslmode=mode)
    c = libpq(weir, certs, "verify-full", sslcert=certs.client_cert, sslkey=certs.client_key)
    assert c.execute("SELECT 1").fetchone() == (1,)
    for cert, key in ((None, None), (certs.stranger_cert, certs.stranger_key)):
        with pytest.raises((ssl.SSLError, wire.Closed, ConnectionError, wire.ServerError)):
            weir.raw(tls=context(certs, cert, key), server_hostname="localhost").login().query("SELECT 1")
    assert c.execute("SELECT 2").fetchone() == (2,)


def test_direct_tls_needs_the_alpn_of_postgresql(tls_weir, certs):
    weir = tls_weir()
    w = weir.raw()
    w.wrap(context(certs, alpn=["postgresql"]), "localhost")
    assert w.socket.selected_alpn_protocol() == "postgresql"
    assert w.login().value("SELECT 'direct'") == "direct"
    for alpn in (None, ["http/1.1"], ["h2", "postgresq"]):
        w = weir.raw()
        with pytest.raises((ssl.SSLError, wire.Closed, ConnectionError)):
            w.wrap(context(certs, alpn=alpn), "localhost")
            w.login()


def test_alpn_is_answered_after_a_request_too(tls_weir, certs):
    w = tls_weir().raw(tls=context(certs, alpn=["postgresql"]), server_hostname="localhost")
    assert w.socket.selected_alpn_protocol() == "postgresql"
    assert w.login().value("SELECT 1") == "1"


def test_direct_tls_where_tls_is_off_is_closed(make_weir, certs):
    w = make_weir().raw()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.wrap(context(certs, alpn=["postgresql"]), "localhost")


@pytest.mark.parametrize("injected", [wire.startup(user="app", database="app"), b"\0", wire.packet(wire.GSS_REQUEST)])
def test_bytes_before_the_handshake_are_never_used(tls_weir, certs, injected):
    weir = tls_weir(client_tls_sslmode="allow")
    w = weir.raw()
    w.send(wire.packet(wire.SSL_REQUEST) + injected)
    with pytest.raises((ssl.SSLError, wire.Closed, ConnectionError, AssertionError)):
        assert w.take(1) == b"S"
        w.wrap(context(certs), "localhost")
        w.login()
    answers = bytes(w._buffer)
    assert b"ReadyForQuery" not in answers and not answers.startswith(b"R")


def test_a_second_request_inside_tls_is_refused(tls_weir, certs):
    w = tls_weir().raw(tls=context(certs), server_hostname="localhost")
    w.send(wire.packet(wire.SSL_REQUEST))
    assert b"S" not in {m.kind.encode() for m in w.expect_closed(5)}


def test_only_new_tls_versions_are_spoken(tls_weir, certs):
    weir = tls_weir()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(certs)
        c.minimum_version = c.maximum_version = version
        assert weir.raw(tls=c, server_hostname="localhost").login().value("SELECT 1") == "1"
    c = context(certs)
    c.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        c.minimum_version = c.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        weir.raw(tls=c, server_hostname="localhost")


def test_a_handshake_that_never_comes_is_closed(tls_weir):
    w = tls_weir(client_login_timeout=1).raw()
    w.send(wire.packet(wire.SSL_REQUEST))
    assert w.take(1) == b"S"
    w.send(b"\x16\x03\x01")
    w.expect_closed(8)


def test_a_broken_handshake_harms_nobody(tls_weir, certs):
    weir = tls_weir(client_login_timeout=2)
    good = weir.raw(tls=context(certs), server_hostname="localhost").login()
    broken = []
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"\x16\x03\x01\0\x02\x01\0", b"\xff" * 100):
        for request in (b"", wire.packet(wire.SSL_REQUEST)):
            w = weir.raw()
            w.send(request)
            try:
                if request:
                    w.take(1)
                w.send(garbage)
            except ConnectionError:
                pass
            broken.append(w)
    for w in broken:
        try:
            w.expect_closed(8)
        except (AssertionError, ConnectionError):  # whatever it said, it is no message of ours
            pass
    assert good.value("SELECT 1") == "1"


def test_much_data_both_ways_through_tls_on_both_sides(tls_weir, certs):
    weir = tls_weir(server_tls_sslmode="require")
    w = weir.raw(tls=context(certs), server_hostname="localhost", seconds=30).login()
    size = 8 << 20
    assert w.extended("SELECT octet_length($1::bytea), repeat('r', $2::int)", [b"k" * size, size]) == [[str(size), "r" * size]]
    for i in range(200):
        assert w.extended("SELECT $1::int", [i]) == [[str(i)]]
    assert w.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t"


def test_hba_may_ask_for_a_certificate(tls_weir, certs, make_weir):
    weir = make_weir(start=False, auth_type="hba", client_tls_sslmode="allow", client_tls_key_file=certs.server_key,
                     client_tls_cert_file=certs.server_cert, client_tls_ca_file=certs.ca)
    weir.general["auth_hba_file"] = place.write(f"{weir.folder}/hba.conf", "hostssl all all all cert\nhostnossl all app2 all trust\n")
    weir.write()
    weir.start()
    tls = context(certs, certs.client_cert, certs.client_key)
    assert weir.raw(tls=tls, server_hostname="localhost").login("app").value("SELECT 1") == "1"
    with pytest.raises(wire.ServerError):
        weir.raw(tls=tls, server_hostname="localhost").login("app2")
    with pytest.raises(wire.ServerError):
        weir.raw(tls=context(certs), server_hostname="localhost").login("app")
    assert weir.wire("app2").value("SELECT 1") == "1"
    with pytest.raises(wire.ServerError, match="28000"):
        weir.wire("app")


def test_certificates_are_reloaded_and_a_bad_one_is_refused(tls_weir, certs):
    weir = tls_weir()
    cert, key = f"{weir.folder}/live.crt", f"{weir.folder}/live.key"

    def put(a, b):
        for source, target in ((a, cert), (b, key)):
            shutil.copy(source, target)
            place.give(target)

    def subject():
        w = weir.raw(tls=context_any(certs), server_hostname="localhost")
        return dict(x[0] for x in w.socket.getpeercert()["subject"])["commonName"]

    def context_any(c):
        any_name = context(c)
        any_name.check_hostname = False
        return any_name
    put(certs.server_cert, certs.server_key)
    console = weir.raw(host=weir.folder).login("admin", "pgbouncer")
    old = weir.raw(tls=context(certs), server_hostname="localhost").login()
    weir.general.update(client_tls_cert_file=cert, client_tls_key_file=key)
    weir.write()
    console.query("RELOAD")
    assert subject() == "localhost"
    put(certs.other_cert, certs.other_key)
    console.query("RELOAD")
    assert subject() == "other.example"
    put(certs.server_cert, certs.other_key)
    with pytest.raises(wire.ServerError):
        console.query("RELOAD")
    assert subject() == "other.example", "a key that does not fit changes nothing"
    assert old.value("SELECT 1") == "1", "connections live through it"


def test_logins_go_on_while_certificates_change(tls_weir, certs):
    """Also while the files do not fit each other: what was read last counts."""
    weir = tls_weir()
    cert, key = f"{weir.folder}/live.crt", f"{weir.folder}/live.key"
    pairs = [(certs.server_cert, certs.server_key), (certs.other_cert, certs.other_key)]

    def put(source, target):
        with open(source) as f:
            place.replace(target, f.read())
    for source, target in zip(pairs[0], (cert, key)):
        put(source, target)
    weir.general.update(client_tls_cert_file=cert, client_tls_key_file=key)
    weir.write()
    console = weir.raw(host=weir.folder).login("admin", "pgbouncer")
    console.query("RELOAD")
    trust = context(certs)
    trust.check_hostname = False
    end = time.monotonic() + 3

    def log_in():
        n = 0
        while time.monotonic() < end:
            with wire.Wire("127.0.0.1", weir.port, tls=trust, server_hostname="localhost") as w:
                assert w.login().value("SELECT 1") == "1"
            n += 1
        return n
    workers, refusals = [Worker(log_in) for _ in range(4)], 0
    while time.monotonic() < end:
        pairs.reverse()
        for source, target in zip(pairs[0], (cert, key)):
            put(source, target)
            try:
                console.query("RELOAD")
            except wire.ServerError:
                refusals += 1
    assert refusals > 0 and all(w.result(20) > 0 for w in workers)


# --- towards servers

def served(weir, user="in_tls", database="app"):
    return weir.wire(user, database).value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


def refused(weir, user="in_tls", database="app"):
    with pytest.raises(wire.ServerError) as e:
        weir.wire(user, database, seconds=12)
    assert e.value.level == "FATAL"
    return e.value


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_server_links_are_encrypted(make_weir, certs, mode):
    assert served(make_weir(server_tls_sslmode=mode, server_tls_ca_file=certs.ca)) == "t"


def test_disable_and_allow_start_in_plain_text(make_weir):
    assert served(make_weir(server_tls_sslmode="disable"), "app") == "f"
    assert served(make_weir(server_tls_sslmode="allow"), "app") == "f"


def test_disable_never_encrypts(make_weir):
    assert refused(make_weir(server_tls_sslmode="disable", query_wait_timeout=2)).sqlstate == "28000"


def test_verify_refuses_a_server_of_a_strange_authority(make_weir, certs):
    for mode in ("verify-ca", "verify-full"):
        weir = make_weir(server_tls_sslmode=mode, server_tls_ca_file=certs.stranger_ca, query_wait_timeout=2)
        refused(weir)


def test_verify_full_refuses_another_name_and_verify_ca_does_not(make_weir, certs, cluster):
    databases = {"app": {"host": "127.0.0.2", "port": cluster.port}}
    assert served(make_weir(server_tls_sslmode="verify-ca", server_tls_ca_file=certs.ca, databases=databases)) == "t"
    refused(make_weir(server_tls_sslmode="verify-full", server_tls_ca_file=certs.ca, databases=databases, query_wait_timeout=2))


def test_our_certificate_is_shown_to_the_server(make_weir, certs):
    weir = make_weir(server_tls_sslmode="require", server_tls_cert_file=certs.client_cert, server_tls_key_file=certs.client_key)
    assert weir.wire().value("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=app"


def test_cancel_works_through_tls_on_both_sides(tls_weir, certs, cluster):
    weir = tls_weir(server_tls_sslmode="require", client_tls_sslmode="prefer")
    w = weir.raw(tls=context(certs), server_hostname="localhost").login()
    w.send(wire.query("SELECT pg_sleep(30) /* tls_cancel */"))
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%tls_cancel%%' AND usename = 'app' "
                                     "AND state = 'active'"))
    with weir.raw(tls=context(certs), server_hostname="localhost") as c:
        c.send(wire.cancel(w.pid, w.secret))
        c.expect_closed()
    start = time.monotonic()
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish()
    assert time.monotonic() - start < 5
