# SPDX-License-Identifier: ISC
"""Passwords that others judge: LDAP (a private slapd) and PAM (a private service, by pam_wrapper)."""
import os
import shutil
import subprocess
import time

import pytest

from harness import place, wire
from harness.directory import ADMIN, ADMIN_PASSWORD, BASE, Directory
from harness.nameserver import SRV, NameServer
from harness.wait import wait_until

PREFIX = f'ldapprefix="uid=" ldapsuffix=",ou=people,{BASE}"'
SEARCH = f'ldapbasedn="{BASE}" ldapbinddn="{ADMIN}" ldapbindpasswd={ADMIN_PASSWORD}'


@pytest.fixture(scope="module")
def directory(certs):
    folder = place.new_folder("ldap")
    d = Directory(f"{folder}/d", certs, ["app", "app2", "in_password", "in_scram"])
    yield d
    d.stop()
    shutil.rmtree(folder)


@pytest.fixture
def hba_weir(make_weir):
    """hba_weir(rules, option=value): a started pgweir with these rules, and a door for the console."""
    def make(rules, start=True, **options):
        weir = make_weir(start=False, auth_type="hba", **options)
        weir.general["auth_hba_file"] = place.write(f"{weir.folder}/hba.conf", "host pgbouncer admin all trust\n" + rules + "\n")
        weir.write()
        return weir.start() if start else weir
    return make


def error_of(weir, user, password, database="app"):
    with pytest.raises(wire.ServerError) as e:
        weir.wire(user, database, password)
    return e.value.level, e.value.sqlstate, e.value.message


def refused(user, who="LDAP"):
    return "FATAL", "28P01", f'{who} authentication failed for user "{user}"'


def check(weir, user="app"):
    assert weir.wire(user, password=f"{user}-ldap").value("SELECT session_user") == user
    for password in ("wrong", "", f"{user}-pw"):
        assert error_of(weir, user, password) == refused(user)
    assert error_of(weir, "stranger", "stranger-ldap") == refused("stranger")


@pytest.mark.parametrize("how", ["prefix", "search", "search by attribute", "search by filter", "url", "two servers", "starttls", "ldaps"])
def test_ldap_in_hba(hba_weir, directory, certs, monkeypatch, how):
    monkeypatch.setenv("LDAPTLS_CACERT", certs.ca)
    here = f"ldapserver=127.0.0.1 ldapport={directory.port} "
    hba_weir_options = {
        "prefix": here + PREFIX,
        "search": here + SEARCH,
        "search by attribute": here + SEARCH + " ldapsearchattribute=cn",
        "search by filter": here + SEARCH + ' ldapsearchfilter="(|(uid=$username)(mail=$username))"',
        "url": f'ldapurl="ldap://127.0.0.1:{directory.port}/ou=people,{BASE}?uid?one" ldapbinddn="{ADMIN}" '
               f"ldapbindpasswd={ADMIN_PASSWORD}",
        "two servers": f'ldapserver="127.0.0.2 127.0.0.1" ldapport={directory.port} ' + PREFIX,
        "starttls": here + PREFIX + " ldaptls=1",
        "ldaps": f"ldapscheme=ldaps ldapserver=127.0.0.1 ldapport={directory.tls_port} " + PREFIX,
    }
    check(hba_weir("host all all all ldap " + hba_weir_options[how]))


def test_ldap_servers_that_dns_names(hba_weir, directory):
    """libresolv reads /etc/resolv.conf only: pgweir gets one of its own."""
    nameserver = NameServer()
    nameserver.services["_ldap._tcp.example.org"] = directory.port, "localhost"
    weir = hba_weir(f'host all in_password all ldap ldapserver="" ldapbasedn="dc=example,dc=net"\nhost all app2 all ldap ldapurl="ldap:///{BASE}?uid?sub" ldapbinddn="{ADMIN}" '
                    f'ldapbindpasswd={ADMIN_PASSWORD}\nhost all all all ldap {SEARCH}', start=False)
    conf = place.write(f"{weir.folder}/resolv.conf", f"nameserver {nameserver.address}\n", 0o644)
    weir.outer = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', conf]
    if subprocess.run([*weir.outer, "true"]).returncode != 0:
        pytest.skip("no mount namespace can be made here")
    weir.start()
    try:
        check(weir)
        check(weir, "app2")
        assert nameserver.n_asked("_ldap._tcp.example.org", SRV) > 0
        assert error_of(weir, "in_password", "in_password-ldap")[:2] == ("FATAL", "28000")
        assert 'DNS names no server (SRV) for "example.net"' in weir.log()
    finally:
        nameserver.stop()


def test_ldap_for_all_by_auth_type(make_weir, directory):
    weir = make_weir(auth_type="ldap", auth_ldap_options=f"ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}")
    check(weir)
    with weir.raw(host=weir.folder).login("app2", "app", "app2-ldap") as w:
        assert w.value("SELECT 1") == "1"


def test_pgbouncers_texts(make_weir, directory):
    weir = make_weir(section="pgbouncer", auth_type="ldap", auth_ldap_options=f"ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}")
    assert weir.wire(password="app-ldap").value("SELECT 1") == "1"
    assert error_of(weir, "app", "wrong") == ("FATAL", "08P01", "LDAP authentication failed")


def test_the_ldap_password_is_the_one_for_the_server(make_weir, directory, cluster, unique):
    """in_password: PostgreSQL asks for a password, and auth_file has none."""
    weir = make_weir(auth_type="ldap", userlist={}, auth_ldap_options=f"ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}")
    cluster.sql("ALTER ROLE in_password PASSWORD 'in_password-ldap'")
    try:
        assert weir.wire("in_password", password="in_password-ldap").value("SELECT session_user") == "in_password"
    finally:
        cluster.sql("ALTER ROLE in_password PASSWORD 'in_password-pw'")


def test_names_that_would_mean_something_to_ldap_are_refused(hba_weir, directory):
    weir = hba_weir(f"host all all all ldap ldapserver=127.0.0.1 ldapport={directory.port} {SEARCH}")
    for name in ("*", "app)(uid=*", "a\\70p", "app,ou=people"):
        assert error_of(weir, name, "app-ldap") == refused(name)
    assert weir.wire(password="app-ldap").value("SELECT 1") == "1"


def test_nobody_there_to_ask(hba_weir):
    port = place.free_port()
    weir = hba_weir(f"host all app all ldap ldapserver=127.0.0.1 ldapport={port} {PREFIX}\nhost all app2 all md5")
    assert error_of(weir, "app", "app-ldap") == ("FATAL", "28000", 'LDAP authentication failed for user "app"')
    assert "Can't contact LDAP server" in weir.log()
    assert weir.wire("app2", password="app2-pw").value("SELECT 1") == "1"


def pending_login(weir, user="app"):
    w = weir.raw()
    w.send(wire.startup(user=user, database="app"))
    assert w.receive().body == b"\0\0\0\3"
    w.send(wire.message("p", wire.cstring("app-ldap")))
    return w


def test_a_hung_ldap_server_holds_up_nobody_else(hba_weir, directory):
    weir = hba_weir(f"host all app all ldap ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}\n"
                    "host all app2 all md5\nhost all in_scram all scram-sha-256", client_login_timeout=4)
    directory.freeze()
    try:
        began = time.monotonic()
        waiting = [pending_login(weir) for _ in range(104)]  # 4 threads, 100 places
        for user in ("app2", "in_scram") * 3:
            assert weir.wire(user, password=f"{user}-pw").value("SELECT 1") == "1"
        assert weir.console("SHOW STATE")

        def is_full():
            level, sqlstate, message = error_of(weir, "app", "app-ldap")
            assert (level, sqlstate, message) == ("FATAL", "53400", "too many logins wait for LDAP")
            return True
        wait_until(is_full, 2, "the answer of a full queue")
        assert time.monotonic() - began < 4, "none of this waited for LDAP"
        for w in waiting:
            w.expect_closed(10)
    finally:
        directory.thaw()
    wait_until(lambda: weir.wire(password="app-ldap"), 10, "LDAP again")


def test_who_talks_while_others_are_asked_is_cut_off(hba_weir, directory):
    weir = hba_weir(f"host all app all ldap ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}")
    directory.freeze()
    try:
        w = pending_login(weir)
        try:
            w.send(wire.query("x" * 3000))
        except ConnectionError:
            pass
        assert [m.fields()["C"] for m in w.expect_closed(5) if m.kind == "E"] == ["08P01"]
    finally:
        directory.thaw()


def test_the_end_does_not_wait_for_a_hung_ldap_server(hba_weir, directory):
    weir = hba_weir(f"host all app all ldap ldapserver=127.0.0.1 ldapport={directory.port} {PREFIX}", client_login_timeout=60)
    directory.freeze()
    try:
        for _ in range(6):
            pending_login(weir)
        began = time.monotonic()
        assert weir.stop() == 0
        assert time.monotonic() - began < 10
    finally:
        directory.thaw()


# --- PAM

MODULES = "/usr/lib/x86_64-linux-gnu"


@pytest.fixture
def pam(monkeypatch):
    """pam(service, lines): a private PAM service for the pgweir that is started next."""
    folder = place.new_folder("pam")

    def make(service="good", lines=None):
        users = place.write(f"{folder}/{service}.users", f"app:app-pam:{service}\n")
        module = f"{MODULES}/pam_wrapper/pam_matrix.so passdb={users}"
        place.write(f"{folder}/{service}", lines or f"auth required {module}\naccount required {module}\n", 0o644)
    make()
    for name, value in {"LD_PRELOAD": f"{MODULES}/libpam_wrapper.so", "PAM_WRAPPER": "1", "UID_WRAPPER_DISABLE_DEEPBIND": "1",
                        "PAM_WRAPPER_SERVICE_DIR": folder,
                        "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}.items():
        monkeypatch.setenv(name, value.rstrip(":"))
    yield make
    shutil.rmtree(folder)


def test_pam_in_hba(pam, hba_weir):
    weir = hba_weir("host all app2 all md5\nhost all all all pam pamservice=good")
    assert weir.wire(password="app-pam").value("SELECT session_user") == "app"
    for user, password in (("app", "wrong"), ("app", ""), ("app", "app-pw"), ("stranger", "app-pam")):
        assert error_of(weir, user, password) == refused(user, "PAM")
    assert weir.wire("app2", password="app2-pw").value("SELECT session_user") == "app2"


@pytest.mark.parametrize("option, host", [("", "127.0.0.1"), ("pam_use_hostname=1", "localhost")])
def test_pam_is_told_where_the_client_is(pam, hba_weir, option, host):
    folder = place.new_folder("where")
    place.give(folder)
    script = place.write(f"{folder}/tell", f"#!/bin/sh\necho $PAM_RHOST >{folder}/told\n", 0o755)
    pam("tells", f"auth required pam_exec.so {script}\naccount required pam_permit.so\n")
    weir = hba_weir(f"host all all all pam pamservice=tells {option}")
    try:
        assert weir.wire(password="app-pw").value("SELECT session_user") == "app"
        with open(f"{folder}/told") as f:
            assert f.read() == host + "\n"
    finally:
        shutil.rmtree(folder)


def test_pam_for_all_by_auth_type(pam, make_weir):
    pam("pgbouncer")
    weir = make_weir(section="pgbouncer", auth_type="pam")
    assert weir.wire(password="app-pam").value("SELECT session_user") == "app"
    assert error_of(weir, "app", "wrong") == ("FATAL", "08P01", "PAM authentication failed")


def test_a_hung_pam_module_holds_up_nobody_else_nor_the_end(pam, hba_weir):
    fifo = f"{place.new_folder('fifo')}/f"
    os.mkfifo(fifo)
    place.give(fifo)
    script = place.write(f"{os.path.dirname(fifo)}/hang", f"#!/bin/sh\nread line <{fifo}\n", 0o755)
    pam("hung", f"auth required pam_exec.so {script}\n")
    weir = hba_weir("host all app all pam pamservice=hung\nhost all app2 all md5", client_login_timeout=3)
    waiting = [pending_login(weir) for _ in range(8)]
    assert weir.wire("app2", password="app2-pw").value("SELECT 1") == "1"
    for w in waiting:
        w.expect_closed(10)
    began = time.monotonic()
    try:
        assert weir.stop() == 0
        assert time.monotonic() - began < 10
    finally:
        os.close(os.open(fifo, os.O_RDWR))  # the scripts go on, and end
        shutil.rmtree(os.path.dirname(fifo))
