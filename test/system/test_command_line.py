# SPDX-License-Identifier: ISC
"""Flags, --check, exit codes of a start that fails."""
import os
import re
import socket
import subprocess

import pytest

from harness import place, wire
from harness.pgweir import binary, environment
from harness.wait import wait_until


def run(*words, seconds=20):
    done = subprocess.run(place.command(binary(), *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, cwd="/",
                          env=environment(), stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version_is_what_show_version_says(weir, flag):
    status, out, _ = run(flag)
    assert status == 0
    assert out.split("\n")[0] == weir.console("SHOW VERSION", database="pgweir")[0]["version"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_flag(flag):
    status, out, _ = run(flag)
    assert status == 0
    for word in ("--version", "--check", "-d", "-q", "-v", "-u", "-R"):
        assert word in out


@pytest.mark.parametrize("words", [[], ["--no-such-flag"], ["one.ini", "two.ini"], ["-u"]])
def test_bad_usage_is_2(words):
    status, out, err = run(*words)
    assert status == 2
    assert err and not out


def test_a_file_that_is_not_there_is_2_and_named():
    status, _, err = run("/nowhere/pgweir.ini")
    assert status == 2 and "/nowhere/pgweir.ini" in err


def test_check_accepts_a_good_file_without_starting(make_weir):
    weir = make_weir(start=False)
    status, _, err = run("--check", weir.ini)
    assert status == 0, err
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", weir.port), 1)


@pytest.mark.parametrize("line, named", [
    ("pool_siz = 3", "pool_size"), ("default_pool_size = x", "default_pool_size"), ("pool_mode = often", "pool_mode"),
    ("auth_file = /nowhere/list", "/nowhere/list"), ("client_tls_sslmode = require", "client_tls"), ("[nonsense]", "nonsense"),
    ("just words", "just words|=")])
def test_check_names_file_line_and_fault(make_weir, line, named):
    weir = make_weir(start=False)
    with open(weir.ini) as f:
        lines = f.read().split("\n")
    lines.insert(1, line)
    if line.startswith("auth_file"):
        lines = [x for x in lines if not x.startswith("auth_file") or x == line]
    place.write(weir.ini, "\n".join(lines))
    for words in (["--check", weir.ini], [weir.ini]):
        status, out, err = run(*words)
        assert status == 2
        assert re.search(named, err + out)
        if not line.startswith(("auth_file", "client_tls")):
            assert re.search(r"pgweir\.ini:2\b", err + out)


def test_check_connect_asks_each_node_and_finds_one_primary(make_weir, cluster, replica):
    weir = make_weir(start=False)
    text = f"""[pgweir]
auth_type = trust
server_tls_sslmode = disable
[databases]
one = host=127.0.0.1 port={cluster.port} dbname=app user=app
app = host=127.0.0.1,127.0.0.1 port={cluster.port},{replica.port} user=app
"""
    place.write(weir.ini, text)
    status, out, err = run("--check", "--connect", weir.ini)
    assert status == 0, out + err
    assert re.search(r"database one: good, .*primary", out)
    assert re.search(r"pgweir\.ini:6: database app: node app-1: good, .*primary", out)
    assert re.search(r"database app: node app-2: good, .*replica", out)
    place.write(weir.ini, text + f"lost = cluster=lost dbname=app user=app\n"
                f"[nodes]\nr1 = cluster=lost host=127.0.0.1 port={replica.port}\n")
    status, out, _ = run("--check", "--connect", weir.ini)
    assert status == 3
    assert re.search(r"pgweir\.ini:7: database lost: no node of cluster lost is the primary", out)


def test_a_dumped_configuration_reads_the_same(make_weir):
    weir = make_weir(start=False)
    place.write(weir.ini, """[pgweir]
[databases]
app = host=a,b,/tmp port=1,2,3 route=replica
reports = cluster=app dbname=app max_lag=1min
main = cluster=main user='a b'
[users]
batch = pool_size=2
[nodes]
pg1 = cluster=main host=h zone=z weight=0
[clusters]
app = consistency=eventual balance=hash
[rules]
scores = regex="^select .* from ""scores"" where 'x'" max_lag=5 node=app-2
""")
    status, first, err = run("--dump-config", weir.ini)
    assert status == 0, err
    assert """scores = regex='^select .* from "scores" where ''x''' node='app-2' max_lag='5'""" in first
    assert "app-3 = cluster='app' host='/tmp' port='3'" in first
    place.write(weir.ini, first)
    assert run("--dump-config", weir.ini) == (0, first, "")


def test_a_port_in_use_is_1_and_named(make_weir):
    first = make_weir()
    second = make_weir(start=False)
    second.general["listen_port"] = first.port
    second.write()
    status, out, err = run(second.ini)
    assert status == 1
    assert str(first.port) in err + out
    assert first.wire().value("SELECT 1") == "1"


def test_an_unchanged_pgbouncer_file_starts(make_weir, cluster):
    weir = make_weir(start=False)
    place.write(weir.ini, f""";; an old file
# with comments
[databases]
app = host=127.0.0.1 port={cluster.port} dbname=app connect_query='SELECT ''quoted'''
* = host=127.0.0.1 port={cluster.port}

[pgbouncer]
   listen_addr = 127.0.0.1
listen_port={weir.port}
unix_socket_dir = {weir.folder}
auth_type = md5
auth_file = userlist.txt
admin_users = admin
pool_mode = session
server_reset_query = DISCARD ALL
max_client_conn = 50
default_pool_size = 7
ignore_startup_parameters = extra_float_digits
server_tls_sslmode = disable
pidfile = {weir.folder}/pid
""")
    weir.start()
    w = weir.raw().login("app", "app", "app-pw", extra_float_digits="2")
    assert w.value("SELECT current_database()") == "app"
    console = weir.raw().login("admin", "pgbouncer", "admin-pw")
    rows = {r[0]: r[1] for r in console.query("SHOW CONFIG")}
    assert rows["default_pool_size"] == "7"
    wait_until(lambda: os.path.exists(f"{weir.folder}/pid"))
    with open(f"{weir.folder}/pid") as f:
        assert int(f.read()) == weir.process.pid
    console.close()
    w.close()


def test_pgbouncers_texts_are_kept_under_its_section(make_weir):
    weir = make_weir(section="pgbouncer", max_client_conn=1)
    first = weir.wire()
    with pytest.raises(wire.ServerError) as e:
        weir.wire()
    assert e.value.sqlstate == "08P01" and "max_client_conn" in e.value.message
    with pytest.raises(wire.ServerError) as e:
        weir.raw().login("admin", "pgbouncer").query("NONSENSE")
    assert (e.value.sqlstate, e.value.message) == ("08P01", "invalid command 'NONSENSE', use SHOW HELP;")
    first.send(wire.terminate())
    first.close()


def test_include_is_read_and_its_faults_are_named(make_weir):
    weir = make_weir(start=False)
    with open(weir.ini) as f:
        text = f.read()
    included = place.write(os.path.join(weir.folder, "more.ini"), "default_pool_size = 6\n")
    place.write(weir.ini, text.replace("[pgweir]\n", f"[pgweir]\n%include {included}\n"))
    weir.start()
    assert next(r["value"] for r in weir.console("SHOW CONFIG") if r["key"] == "default_pool_size") == "6"
    place.write(included, "default_pool_size = six\n")
    status, out, err = run("--check", weir.ini)
    assert status == 2 and re.search(r"more\.ini:1\b", err + out)


@pytest.mark.parametrize("section, logfile", [("pgweir", "daemon.log"), ("pgbouncer", None)])
def test_daemon_mode_writes_its_pid_and_ends_on_term(make_weir, section, logfile):
    weir = make_weir(section=section, start=False)
    weir.general.update(pidfile=f"{weir.folder}/pid", logfile=logfile and f"{weir.folder}/{logfile}")
    weir.write()
    status, out, err = run("-d", weir.ini)
    assert status == 0, err
    wait_until(lambda: os.path.exists(f"{weir.folder}/pid") and os.path.getsize(f"{weir.folder}/pid"))
    with open(f"{weir.folder}/pid") as f:
        pid = int(f.read())
    try:
        wait_until(weir_accepts(weir))
        with wire.Wire("127.0.0.1", weir.port) as w:
            assert w.login().value("SELECT 1") == "1"
    finally:
        os.kill(pid, 15)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10)
    assert not os.path.exists(f"{weir.folder}/pid")


@pytest.mark.parametrize("section, message", [("pgweir", "-d needs the options pidfile and logfile"),
                                              ("pgbouncer", "-d needs the option pidfile")])
def test_daemon_mode_needs_its_files(make_weir, section, message):
    status, _, err = run("-d", make_weir(section=section, start=False).ini)
    assert status == 2 and err.rstrip().endswith("FATAL " + message)


def weir_accepts(weir):
    def accepts():
        try:
            socket.create_connection(("127.0.0.1", weir.port), 1).close()
            return True
        except OSError:
            return False
    return accepts


@pytest.mark.parametrize("section", ["pgbouncer", "pgweir"])
def test_version_of_a_file_is_what_its_console_says(make_weir, section):
    weir = make_weir(section=section)
    status, out, _ = run("-V", weir.ini)
    assert status == 0
    assert out.split("\n")[0] == weir.console("SHOW VERSION", database="pgbouncer" if section == "pgbouncer" else "pgweir")[0]["version"]
    assert run("-V", "/nowhere.ini")[0] == 2
