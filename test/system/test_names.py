# SPDX-License-Identifier: ISC
"""Names of servers: resolv_conf, zones that change, name servers that do not answer."""
import signal
import time

import pytest

from harness import place, wire
from harness.nameserver import A, SOA, NameServer
from harness.wait import Worker, stays_true, wait_until

ZONE = "weir.test"
HOST = f"db.{ZONE}"


@pytest.fixture
def nameserver():
    n = NameServer()
    n.hosts[HOST], n.serials[ZONE] = ["127.0.0.1"], 2026010101
    yield n
    n.stop()


@pytest.fixture
def named_weir(make_weir, nameserver):
    """A pgweir that asks this name server; app is at HOST, near at an address."""
    def make(databases=None, **options):
        weir = make_weir(start=False, databases={"app": {"host": HOST}, "near": {"host": "127.0.0.1", "dbname": "app"}, **(databases or {})},
                         **{"dns_max_ttl": 3600, **options})
        weir.general["resolv_conf"] = place.write(f"{weir.folder}/resolv.conf", f"nameserver {nameserver.address}\n")
        weir.write()
        return weir.start()
    return make


def where(weir):
    """The address at which a server of app was reached."""
    with weir.wire() as w:
        return w.value("SELECT host(inet_server_addr())")


def zones(weir):
    return {r["zonename"]: (int(r["serial"]), int(r["count"])) for r in weir.console("SHOW DNS_ZONES")}


def lists(weir):
    return {r["list"]: int(r["items"]) for r in weir.console("SHOW LISTS")}


def test_resolv_conf_names_the_name_servers(named_weir, nameserver, cluster):
    weir = named_weir()
    assert where(weir) == "127.0.0.1"
    assert nameserver.n_asked(HOST, A) == 1
    assert {r["hostname"]: r["addrs"] for r in weir.console("SHOW DNS_HOSTS")} == {HOST: f"127.0.0.1:{cluster.port}"}
    assert zones(weir) == {} and lists(weir)["dns_zones"] == 0, "nobody asked for zones to be watched"
    weir.console("RECONNECT app")
    assert weir.wire().value("SELECT 'again'") == "again"
    assert nameserver.n_asked(HOST, A) == 1 and nameserver.n_asked(ZONE, SOA) == 0


def test_names_of_nodes_are_asked_there_too(make_weir, nameserver):
    weir = make_weir(start=False, databases={"app": {"cluster": "main"}}, nodes={"n1": {"cluster": "main", "host": HOST}},
                     clusters={"main": {"monitor_user": "monitor", "monitor_password": "monitor-pw"}})
    weir.nodes["n1"]["port"] = weir.cluster.port
    weir.general["resolv_conf"] = place.write(f"{weir.folder}/resolv.conf", f"nameserver {nameserver.address}\n")
    weir.write()
    weir.start()
    assert where(weir) == "127.0.0.1"


def test_a_zone_with_another_serial_has_its_names_looked_up(named_weir, nameserver):
    weir = named_weir(dns_zone_check_period=0.1, pool_mode="session")
    held = weir.wire()
    held.query("SELECT 1")
    assert where(weir) == "127.0.0.1"
    wait_until(lambda: zones(weir) == {ZONE: (2026010101, 1)})
    assert lists(weir)["dns_zones"] == 1
    nameserver.hosts[HOST] = ["127.0.0.2"]
    asked = nameserver.n_asked(ZONE, SOA)
    wait_until(lambda: nameserver.n_asked(ZONE, SOA) > asked + 2)
    assert nameserver.n_asked(HOST, A) == 1, "with the same serial nothing is looked up"
    assert where(weir) == "127.0.0.1"
    nameserver.serials[ZONE] += 1
    wait_until(lambda: zones(weir)[ZONE] == (2026010102, 1))
    wait_until(lambda: where(weir) == "127.0.0.2")
    assert f"dns zone={ZONE} serial=2026010102" in weir.log()
    assert held.value("SELECT host(inet_server_addr())") == "127.0.0.1", "a server in use stays until its session is over"
    held.close()
    stays_true(lambda: where(weir) == "127.0.0.2", 0.5)
    wait_until(lambda: not [s for s in weir.console("SHOW SERVERS") if s["addr"] == "127.0.0.1" and s["database"] == "app"])


def test_zones_are_watched_from_one_reload_to_another(named_weir, nameserver):
    weir = named_weir()
    assert where(weir) == "127.0.0.1"
    weir.console("SET dns_zone_check_period = '100ms'")
    wait_until(lambda: zones(weir) == {ZONE: (2026010101, 1)})
    weir.console("RELOAD")
    assert zones(weir) == {} and lists(weir)["dns_zones"] == 0
    nameserver.serials[ZONE] += 1
    nameserver.hosts[HOST] = ["127.0.0.2"]
    weir.console("SET dns_zone_check_period = '100ms'")
    wait_until(lambda: zones(weir) == {ZONE: (2026010102, 1)})
    assert where(weir) == "127.0.0.1", "what changed while nobody looked is not known"


def test_answers_that_are_none_change_nothing(named_weir, nameserver):
    weir = named_weir(dns_zone_check_period=0.1)
    assert where(weir) == "127.0.0.1"
    wait_until(lambda: zones(weir) == {ZONE: (2026010101, 1)})
    nameserver.mode = "garbage"
    asked = nameserver.n_asked(ZONE, SOA)
    wait_until(lambda: nameserver.n_asked(ZONE, SOA) > asked + 2)
    assert zones(weir) == {ZONE: (2026010101, 1)}
    assert where(weir) == "127.0.0.1"


def test_a_name_that_there_is_not(named_weir, nameserver):
    weir = named_weir(databases={"lost": {"host": f"lost.{ZONE}"}}, dns_nxdomain_ttl=60, server_login_retry=0.05)
    with pytest.raises(wire.ServerError) as e:
        weir.wire(database="lost").query("SELECT 1")
    assert e.value.sqlstate == "57P03"
    weir.wait_log(f'cannot resolve "lost.{ZONE}": Domain name not found')
    asked = nameserver.n_asked(f"lost.{ZONE}", A)
    with pytest.raises(wire.ServerError):
        weir.wire(database="lost").query("SELECT 1")
    assert asked == nameserver.n_asked(f"lost.{ZONE}", A) == 1, "it is believed to have no address"


def test_a_name_server_that_does_not_answer_holds_up_nobody_else(named_weir, nameserver):
    weir = named_weir(databases={f"app{i}": {"host": f"h{i}.{ZONE}", "dbname": "app"} for i in range(10)}, query_wait_timeout=30)
    assert where(weir) == "127.0.0.1"
    nameserver.mode = "silent"
    clients = [Worker(lambda i=i: weir.wire(database=f"app{i % 10}")) for i in range(30)]
    wait_until(lambda: lists(weir)["dns_queries"] == 10)
    begun = time.monotonic()
    assert weir.wire(database="near").value("SELECT 'near'") == "near"
    assert weir.wire("in_scram", "near", "in_scram-pw").value("SELECT 'with keys to compute'") == "with keys to compute"
    weir.console("RECONNECT app")
    assert where(weir) == "127.0.0.1"
    assert time.monotonic() - begun < 2
    assert nameserver.n_asked(f"h0.{ZONE}", A) <= 2
    nameserver.mode = "answer"
    nameserver.hosts.update({f"h{i}.{ZONE}": ["127.0.0.2"] for i in range(10)})
    for c in clients:
        try:
            c.result(40)
        except wire.ServerError as e:
            assert e.sqlstate in ("57P03", "53300")


def test_the_end_waits_for_no_name_server(named_weir, nameserver):
    weir = named_weir()
    nameserver.mode = "silent"
    w = weir.raw()
    w.send(wire.startup(user="app", database="app"))
    wait_until(lambda: lists(weir)["dns_queries"] == 1)
    begun = time.monotonic()
    weir.stop(signal.SIGQUIT)
    assert time.monotonic() - begun < 4, "it would ask for 6 s"


def test_a_resolv_conf_that_cannot_be_read_is_told(make_weir):
    weir = make_weir(resolv_conf="/no/such/file")
    weir.wait_log("resolv_conf: cannot read /no/such/file: No such file or directory")
