# SPDX-License-Identifier: ISC
"""A reload is taken whole or not at all, and nobody is disconnected by it."""
import os
import signal

import pytest

from harness import place, wire
from harness.wait import stays_true, wait_until


def test_a_new_pool_size_counts_at_once(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("BEGIN; SELECT 1")
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    weir.reload(default_pool_size=2)
    assert b.finish() == [["b"]]
    assert a.status == "T" and a.value("SELECT 1") == "1"


def test_a_smaller_pool_size_shrinks_the_pool(make_weir, cluster):
    weir = make_weir(default_pool_size=4)
    clients = [weir.wire() for _ in range(4)]
    for c in clients:
        c.query("BEGIN; SELECT 1")
    weir.reload(default_pool_size=1)
    assert len(cluster.pids()) == 4, "transactions go on"
    for c in clients:
        c.query("COMMIT")
    for c in clients:
        assert c.value("SELECT 1") == "1"
    wait_until(lambda: len(cluster.pids()) <= 1)


BAD = {
    "unknown key": (lambda w: w.general.update(pool_siz=3), "pool_size|pool_siz"),
    "bad number": (lambda w: w.general.update(default_pool_size="many"), "default_pool_size"),
    "out of range": (lambda w: w.general.update(default_pool_size=-5), "default_pool_size"),
    "bad enum": (lambda w: w.general.update(pool_mode="sometimes"), "pool_mode"),
    "unknown database key": (lambda w: w.databases["app"].update(hots="x"), "hots"),
    "missing auth_file": (lambda w: w.general.update(auth_file="/nowhere/userlist.txt"), "/nowhere/userlist.txt"),
    "missing certificate": (lambda w: w.general.update(client_tls_sslmode="require", client_tls_cert_file="/nowhere/c",
                                                       client_tls_key_file="/nowhere/k"), "/nowhere"),
    "missing hba": (lambda w: w.general.update(auth_type="hba", auth_hba_file="/nowhere/hba"), "/nowhere/hba"),
}


@pytest.mark.parametrize("how", ["RELOAD", "SIGHUP"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_whole(make_weir, name, how):
    spoil, named = BAD[name]
    weir = make_weir(default_pool_size=7)
    client = weir.wire()
    weir.general["query_wait_timeout"] = 77  # good, and yet not taken
    spoil(weir)
    weir.write()
    mark = len(weir.log())
    if how == "RELOAD":
        with pytest.raises(wire.ServerError) as e:
            weir.console("RELOAD")
        assert e.value.level == "ERROR"
    else:
        weir.send_signal(signal.SIGHUP)
    wait_until(lambda: any(word in weir.log()[mark:] for word in named.split("|")), 5, "the reason in the log")
    if name not in ("missing auth_file", "missing certificate", "missing hba"):
        weir.wait_log(r"pgweir\.ini:\d+")
    assert weir.config("default_pool_size") == "7"
    assert not weir.config("query_wait_timeout").startswith("77")
    assert client.value("SELECT 1") == "1"


@pytest.mark.parametrize("section", ["pgweir", "pgbouncer"])
@pytest.mark.parametrize("left", ["", "; [pgweir] went\n", "[databases]\n* = host=127.0.0.1 port=1\n"])
def test_a_file_that_lost_its_general_section_changes_nothing(make_weir, section, left):
    weir = make_weir(section=section, default_pool_size=7)
    client = weir.wire()
    place.replace(weir.ini, left)
    with pytest.raises(wire.ServerError) as e:
        weir.console("RELOAD")
    assert section == "pgbouncer" or "has no [pgweir] or [pgbouncer] section any more" in e.value.message
    weir.wait_log(r"configuration refused, nothing is changed: \S+pgweir.ini has no \[pgweir\]")
    weir.send_signal(signal.SIGHUP)
    wait_until(lambda: weir.log().count("configuration refused") == 2)
    assert weir.config("default_pool_size") == "7"
    assert client.value("SELECT 1") == weir.wire().value("SELECT 1") == "1"
    weir.reload(default_pool_size=8)
    assert weir.config("default_pool_size") == "8"


def test_an_included_file_may_have_the_general_section(make_weir):
    weir = make_weir(default_pool_size=7)
    for size in ("8", "9"):
        weir.general["default_pool_size"] = size
        weir.write()
        whole = place.write(os.path.join(weir.folder, "whole.ini"), open(weir.ini).read())
        place.replace(weir.ini, f"%include {whole}\n")
        weir.console("RELOAD")
        assert weir.config("default_pool_size") == size


def test_the_line_of_the_mistake_is_named(make_weir):
    weir = make_weir()
    weir.write()
    with open(weir.ini) as f:
        lines = f.read().split("\n")
    lines.insert(3, "default_pool_size = banana")
    place.write(weir.ini, "\n".join(lines))
    weir.send_signal(signal.SIGHUP)
    weir.wait_log(r"pgweir\.ini:4\b")


def test_sighup_takes_a_good_file(make_weir):
    weir = make_weir(default_pool_size=3)
    weir.general["default_pool_size"] = 8
    weir.write()
    weir.send_signal(signal.SIGHUP)
    wait_until(lambda: weir.config("default_pool_size") == "8")


def test_the_user_list_is_read_again(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    old = weir.wire("app2", password="app2-pw")
    del weir.userlist["app2"]
    weir.userlist["lookup"] = "changed"
    weir.write()
    console = weir.raw().login("admin", "pgbouncer", "admin-pw")
    console.query("RELOAD")
    with pytest.raises(wire.ServerError, match="28P01"):
        weir.wire("app2", password="app2-pw")
    with pytest.raises(wire.ServerError, match="28P01"):
        weir.wire("lookup", password="lookup-pw")
    assert weir.wire("lookup", password="changed").value("SELECT 1") == "1"  # PostgreSQL trusts the role
    assert old.value("SELECT 1") == "1", "who is in stays in"


def test_a_bad_user_list_is_refused_and_the_old_one_stays(make_weir):
    weir = make_weir(auth_type="scram-sha-256")
    place.write(weir.userlist_path, '"app" "app-pw\n"broken')
    console = weir.raw().login("admin", "pgbouncer", "admin-pw")
    with pytest.raises(wire.ServerError):
        console.query("RELOAD")
    assert weir.wire("app2", password="app2-pw").value("SELECT 1") == "1"
    assert "app-pw" not in weir.log(), "no secret in the log"


def test_a_new_database_appears_and_an_old_one_goes(make_weir):
    weir = make_weir(databases={"app": {}})
    old = weir.wire()
    weir.databases["fresh"] = weir._database({"dbname": "app2"})
    weir.reload()
    assert weir.wire(database="fresh").value("SELECT current_database()") == "app2"
    assert old.value("SELECT 1") == "1"
    del weir.databases["fresh"]
    weir.reload()
    with pytest.raises(wire.ServerError, match="3D000"):
        weir.wire(database="fresh")


def test_a_database_that_moves_serves_from_its_new_place(make_weir):
    weir = make_weir(databases={"d": {"dbname": "app"}}, default_pool_size=1)
    w = weir.wire(database="d")
    assert w.value("SELECT current_database()") == "app"
    w.query("BEGIN; SELECT 1")
    weir.databases["d"]["dbname"] = "app2"
    weir.reload()
    assert w.value("SELECT current_database()") == "app", "a transaction ends where it began"
    w.query("COMMIT")
    assert w.value("SELECT current_database()") == "app2"


def test_reloads_under_load_lose_nothing(make_weir):
    weir = make_weir(default_pool_size=3)
    clients = [weir.wire() for _ in range(8)]
    for i in range(25):
        for c in clients:
            c.send(wire.query(f"SELECT {i}"))
        weir.reload(default_pool_size=2 + i % 4, query_wait_timeout=10 + i)
        for c in clients:
            assert c.finish() == [[str(i)]]


def test_boot_only_options_are_accepted_and_do_nothing(make_weir):
    weir = make_weir(workers=2)
    port = weir.general["listen_port"]
    weir.reload(listen_port=port + 1, workers=1)
    assert weir.wire().value("SELECT 1") == "1"


def test_a_moved_log_file_is_opened_again(make_weir):
    weir = make_weir(start=False)
    weir.general["logfile"] = path = os.path.join(weir.folder, "pgweir.log")
    weir.write()
    weir.start()
    wait_until(lambda: os.path.exists(path))
    os.rename(path, path + ".1")
    weir.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(path), 10, "a new log file")
    weir.wire().query("SELECT 1")
    wait_until(lambda: os.path.getsize(path) > 0)
    stays_true(lambda: weir.alive(), 0.1)
