# SPDX-License-Identifier: ISC
"""Rules and maps: who may log in from where and how, on TCP, TLS and Unix sockets."""
import os
import pwd
import re
import signal
import ssl

import pytest

from harness import place, wire
from harness.wait import wait_until

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def hba_weir(make_weir, certs):
    """hba_weir(rules, ident, option=value): a started pgweir with TLS for who wants it, and a door for the console."""
    def make(rules, ident=None, start=True, **options):
        weir = make_weir(start=False, auth_type="hba", client_tls_sslmode="allow", client_tls_key_file=certs.server_key,
                         client_tls_cert_file=certs.server_cert, client_tls_ca_file=certs.ca, **options)
        rewrite(weir, rules, ident)
        return weir.start() if start else weir
    return make


def rewrite(weir, rules, ident=None):
    weir.general["auth_hba_file"] = place.write(f"{weir.folder}/hba.conf", "host pgbouncer admin 127.0.0.1/32 trust\n" + rules + "\n")
    if ident is not None:
        weir.general["auth_ident_file"] = place.write(f"{weir.folder}/ident.conf", ident)
    weir.write()


def tls(certs, cert=None, key=None):
    c = ssl.create_default_context(cafile=certs.ca)
    if cert:
        c.load_cert_chain(cert, key)
    return {"tls": c, "server_hostname": "localhost"}


def who(weir, user="app", password=None, database="app", host="127.0.0.1", **tls_options):
    return weir.raw(host=host, **tls_options).login(user, database, password).value("SELECT session_user")


def error(weir, user="app", password=None, **kwargs):
    with pytest.raises(wire.ServerError) as e:
        who(weir, user, password, **kwargs)
    return e.value.level, e.value.sqlstate, e.value.message


def rejected(how, user="app", database="app", host="127.0.0.1", link="no encryption"):
    text = {"reject": "pg_hba.conf rejects connection for", "none": "no pg_hba.conf entry for"}[how]
    return "FATAL", "28000", f'{text} host "{host}", user "{user}", database "{database}", {link}'


def test_each_kind_of_connection_has_its_rules(hba_weir, certs):
    weir = hba_weir("local all app trust\nhostssl all app all scram-sha-256\nhostnossl all app all reject\n"
                    "hostgssenc all all all trust\nhostnogssenc all app2 all plain")
    assert who(weir, host=weir.folder) == "app"
    assert who(weir, password="app-pw", **tls(certs)) == "app"
    assert error(weir, password="x", **tls(certs)) == ("FATAL", "28P01", 'password authentication failed for user "app"')
    assert error(weir) == rejected("reject")
    assert who(weir, "app2", "app2-pw") == "app2"
    assert error(weir, "in_trust", **tls(certs)) == rejected("none", "in_trust", link="SSL encryption")
    assert error(weir, "in_trust", host=weir.folder) == rejected("none", "in_trust", host="[local]")


def test_names_lists_files_and_expressions(hba_weir):
    weir = hba_weir("", start=False, databases={"app": {}, "app2": {}, "in_trust": {"dbname": "app"}, "x1": {"dbname": "app"}})
    place.write(f"{weir.folder}/names", "in_trust\nlookup\n")
    rewrite(weir, 'host sameuser app 127.0.0.0 255.0.0.0 trust\nhost /^x[0-9]$ "app2",lookup samehost trust\n'
                  "host app2,x1 @names samenet trust\nhost all all ::/0 md5")
    weir.general["listen_addr"] = "127.0.0.1, ::1"
    weir.write()
    weir.start()
    assert who(weir) == "app"
    assert error(weir, database="app2") == rejected("none", database="app2")
    assert who(weir, "app2", database="x1") == "app2"
    assert who(weir, "in_trust", database="x1") == "in_trust"
    assert error(weir, "in_trust") == rejected("none", "in_trust")
    assert who(weir, password="app-pw", host="::1") == "app"


def test_host_names(hba_weir):
    """127.0.0.1 is localhost, and localhost is 127.0.0.1: /etc/hosts says so everywhere."""
    weir = hba_weir("host all app example.invalid reject\nhost all app localhost trust\nhost all app2 .invalid trust")
    assert who(weir) == "app"
    assert error(weir, "app2") == rejected("none", "app2")


def test_members_of_a_role(hba_weir, cluster, unique):
    cluster.sql(f"CREATE ROLE {unique} NOLOGIN; CREATE ROLE {unique}b IN ROLE {unique} NOLOGIN; GRANT {unique}b TO app")
    try:
        weir = hba_weir(f"host all +{unique} all trust\nhost samerole in_trust all trust\nhost all app2 all md5", auth_user="lookup",
                        databases={"app": {}, unique: {"dbname": "app"}})
        assert who(weir) == "app", "through another role"
        assert who(weir, "app2", "app2-pw") == "app2"
        assert error(weir, "in_trust") == rejected("none", "in_trust")
        assert error(weir, "in_trust", database=unique) == rejected("none", "in_trust", database=unique)
        cluster.sql(f"GRANT {unique} TO in_trust")
        weir.reload()  # or ten seconds
        assert who(weir, "in_trust") == "in_trust"
        assert who(weir, "in_trust", database=unique) == "in_trust"
        assert error(weir, "postgres") == rejected("none", "postgres"), "a superuser is a member of nothing by that"
        cluster.sql(f"REVOKE {unique} FROM in_trust")
        wait_until(lambda: refused(weir, "in_trust"), 20, "the new membership")
    finally:
        cluster.sql(f"DROP ROLE {unique}b; DROP ROLE {unique}")


def refused(weir, user):
    try:
        who(weir, user)
    except wire.ServerError:
        return True
    return False


def test_a_rule_on_roles_that_cannot_be_judged_lets_nobody_past(hba_weir):
    weir = hba_weir("host all +nobody all reject\nhost all all all trust", databases={"app": {}, "app2": {"auth_user": "lookup"}})
    assert error(weir) == ("FATAL", "28000", 'the roles of user "app" cannot be looked up for pg_hba.conf')
    assert who(weir, database="app2") == "app"
    assert weir.console("SHOW STATE")


@pytest.mark.parametrize("rule, options, why", [
    ("host all +staff all trust", {}, "rules with .role or samerole need auth_user"),
    ("hostssl all all all cert", {"client_tls_ca_file": None}, "need client_tls_ca_file"),
    ("hostssl all all all md5 clientcert=verify-ca", {"client_tls_ca_file": None}, "need client_tls_ca_file")])
def test_rules_that_let_nobody_in_are_refused(hba_weir, rule, options, why):
    weir = hba_weir(rule, start=False)
    weir.general.update(options)
    weir.write()
    weir.start(wait=False)
    assert weir.wait() == 2
    weir.wanted_status = (2,)
    assert re.search(why, weir.log())


def test_replication_has_rules_of_its_own(hba_weir):
    weir = hba_weir("host replication app all trust\nhost app app2 all trust")
    assert weir.raw().login("app", "app", replication="true").query("IDENTIFY_SYSTEM")
    assert error(weir) == rejected("none")
    with pytest.raises(wire.ServerError) as e:
        weir.raw().login("app", "app", replication="database")
    assert e.value.message == rejected("none")[2], "logical replication fits the rules of the database"
    with pytest.raises(wire.ServerError) as e:
        weir.raw().login("app2", "app", replication="true")
    assert e.value.message == rejected("none", "app2")[2]


# --- certificates and system users

def test_a_certificate_is_a_name(hba_weir, certs):
    weir = hba_weir("hostssl all all all cert")
    mine = tls(certs, certs.client_cert, certs.client_key)  # CN app
    assert who(weir, **mine) == "app"
    for user, how in (("app2", mine), ("app", tls(certs))):
        assert error(weir, user, **how) == ("FATAL", "28000", f'certificate authentication failed for user "{user}"')
    assert error(weir) == rejected("none")


def test_a_certificate_by_a_map(hba_weir, certs):
    weir = hba_weir('hostssl all app,in_trust,lookup all cert map=m\nhostssl all app2 all cert map="other one"',
                    'm app in_trust\nm /^(ap)p$ "\\1p"\n"other one" /^a all\n')
    mine = tls(certs, certs.client_cert, certs.client_key)
    assert [who(weir, user, **mine) for user in ("app", "in_trust", "app2")] == ["app", "in_trust", "app2"]
    assert error(weir, "lookup", **mine) == ("FATAL", "28000", 'certificate authentication failed for user "lookup"')


def test_a_certificate_by_its_whole_name(hba_weir, certs):
    cert, key = certs.leaf("whole", "joe, of app/O=a b/OU=c", None)
    weir = hba_weir("hostssl all in_trust all cert clientname=DN map=m\nhostssl all app2 all cert clientcert=verify-full clientname=DN map=m\n"
                    "hostssl all app all cert clientname=CN map=m",
                    'm "OU=c,O=a b,CN=joe\\, of app" in_trust\nm "/^OU=c,.*CN=joe" app2\nm "joe, of app" app\n')
    for user in ("in_trust", "app2", "app"):
        assert who(weir, user, **tls(certs, cert, key)) == user
        assert error(weir, user, **tls(certs, certs.client_cert, certs.client_key)) == \
            ("FATAL", "28000", f'certificate authentication failed for user "{user}"')


@pytest.mark.parametrize("section", ["pgweir", "pgbouncer"])
def test_certificates_for_all_by_auth_type(make_weir, certs, section):
    weir = make_weir(section=section, auth_type="cert", client_tls_sslmode="verify-full", client_tls_key_file=certs.server_key,
                     client_tls_cert_file=certs.server_cert, client_tls_ca_file=certs.ca)
    mine = tls(certs, certs.client_cert, certs.client_key)
    assert who(weir, **mine) == "app"
    assert error(weir, "app2", **mine) == (("FATAL", "28000", 'certificate authentication failed for user "app2"') if section == "pgweir"
                                           else ("FATAL", "08P01", "TLS certificate name mismatch"))


def test_clientcert_goes_with_a_password(hba_weir, certs):
    weir = hba_weir("hostssl all app all scram-sha-256 clientcert=verify-full\nhostssl all app2 all md5 clientcert=verify-full\n"
                    "hostssl all in_trust all plain clientcert=verify-ca")
    mine = tls(certs, certs.client_cert, certs.client_key)
    assert who(weir, password="app-pw", **mine) == "app"
    assert error(weir, password="wrong", **mine)[1] == "28P01"
    assert error(weir, password="app-pw", **tls(certs)) == ("FATAL", "28000", "connection requires a valid client certificate")
    assert error(weir, "app2", "app2-pw", **mine) == ("FATAL", "28000", 'certificate authentication failed for user "app2"')
    assert who(weir, "in_trust", "in_trust-pw", **mine) == "in_trust"


@pytest.mark.parametrize("section", ["pgweir", "pgbouncer"])
def test_peer_is_the_system_user(hba_weir, section):
    weir = hba_weir("local all app,app2 peer map=m\nlocal all all peer\nhost all all all reject", f"m {ME} app\nm nobody app2\n",
                    section=section, userlist={**{u: "" for u in ("app", "app2")}, ME: ""}, databases={"app": {"user": "app"}})
    assert who(weir, host=weir.folder) == "app"
    assert who(weir, ME, host=weir.folder) == "app"
    for user in ("app2", "in_trust"):
        assert error(weir, user, host=weir.folder) == (
            ("FATAL", "28000", f'Peer authentication failed for user "{user}"') if section == "pgweir"
            else ("FATAL", "08P01", "unix socket login rejected"))
    assert error(weir) == (rejected("reject") if section == "pgweir" else ("FATAL", "08P01", "login rejected"))


# --- reload

BAD = [("host all all all gss", 'hba.conf:2: authentication method "gss" is not supported'),
       ("host all all all trust\nhost all all all radius", 'hba.conf:3: authentication method "radius" is not supported'),
       ("local all all peer map=nowhere", 'hba.conf:2: map "nowhere" needs auth_ident_file'),
       ("include nowhere.conf", "hba.conf:2: cannot open"),
       ("include_dir nowhere.d", "hba.conf:2: cannot read the folder")]


@pytest.mark.parametrize("rules,why", BAD)
def test_a_bad_file_is_refused_whole(hba_weir, rules, why):
    weir = hba_weir("host all app all trust")
    rewrite(weir, rules)
    with pytest.raises(wire.ServerError) as e:
        weir.console("RELOAD")
    assert why in e.value.message
    assert why in weir.log()
    assert who(weir) == "app"
    weir.send_signal(signal.SIGHUP)
    wait_until(lambda: weir.log().count(why) == 2, 10, "the refusal in the log")
    assert who(weir) == "app"


def test_a_bad_map_is_refused_whole(hba_weir):
    weir = hba_weir("local all all peer map=m", f"m {ME} all\n")
    assert who(weir, host=weir.folder) == "app"
    rewrite(weir, "local all all peer map=m", f"m {ME}\n")
    with pytest.raises(wire.ServerError, match="ident.conf:1: a line needs"):
        weir.console("RELOAD")
    assert who(weir, host=weir.folder) == "app"
    rewrite(weir, "local all all peer map=m", f"m {ME} app2\n")
    weir.console("RELOAD")
    assert error(weir, host=weir.folder) == ("FATAL", "28000", 'Peer authentication failed for user "app"')


def test_included_rules_are_read_again(hba_weir):
    weir = hba_weir("", start=False)
    os.mkdir(f"{weir.folder}/more.d", 0o755)
    place.give(f"{weir.folder}/more.d")
    place.write(f"{weir.folder}/more.d/1.conf", "host all app all trust\n")
    rewrite(weir, "include_dir more.d\ninclude_if_exists missing.conf")
    weir.start()
    assert who(weir) == "app"
    place.write(f"{weir.folder}/more.d/0.conf", "host all app all reject\n")
    weir.console("RELOAD")
    assert error(weir) == rejected("reject")
