# SPDX-License-Identifier: ISC
"""Files that PgBouncer starts with, odd as they are: what it takes, a [pgbouncer] file may hold, and the same things come true."""
import os
import socket

import pytest

from harness import place, wire
from harness.wait import wait_until


def config(weir, key):
    return next(r["value"] for r in weir.console("SHOW CONFIG") if r["key"] == key)


def logged_in(weir, user, password, database="app"):
    try:
        weir.wire(user, database, password).close()
    except wire.ServerError as e:
        assert e.message == "password authentication failed"
        return False
    return True


def taken(host, port):
    s = socket.socket()
    s.bind((host, port))
    s.listen()
    return s


def userlist(weir, text):
    place.replace(weir.userlist_path, text)


def test_numbers_beyond_our_limits_are_taken_and_told_of(make_weir):
    weir = make_weir(section="pgbouncer", max_client_conn=5000000, server_lifetime="1e12", listen_backlog=100000, log_connections=2,
                     server_login_retry=".5")
    assert weir.wire().value("SELECT 1") == "1"
    assert [config(weir, k) for k in ("max_client_conn", "server_lifetime", "listen_backlog", "log_connections", "server_login_retry")] \
        == ["1000000", "31536000", "65535", "1", "0.5"]
    assert ": max_client_conn is beyond what pgweir takes, and becomes 1000000" in weir.log()


def test_a_broken_line_of_auth_file_costs_only_its_user(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="plain", start=False)
    userlist(weir, '# no comment there\n"admin" "admin-pw"\n"x" "never closed\n"app" "app-pw" rest\n')
    weir.start()
    assert logged_in(weir, "app", "app-pw")
    assert f"ERROR broken auth file: {weir.userlist_path}:1: " in weir.log() and f"{weir.userlist_path}:3: " in weir.log()
    with pytest.raises(wire.ServerError) as e:
        weir.raw().login("admin", "pgbouncer", "admin-pw").query("RELOAD")
    assert e.value.sqlstate == "F0000", "a reload is all or nothing"
    assert logged_in(weir, "app", "app-pw")


def test_a_missing_auth_file_is_no_obstacle_and_a_reload_keeps_the_users(make_weir):
    weir = make_weir(section="pgbouncer", auth_type="plain", start=False)
    os.unlink(weir.userlist_path)
    weir.start()
    assert not logged_in(weir, "app", "app-pw") and "ERROR auth_file: cannot open" in weir.log()
    userlist(weir, '"admin" "admin-pw"\n"app" "app-pw"\n')
    weir.send_signal(1)
    wait_until(lambda: logged_in(weir, "app", "app-pw"))
    os.unlink(weir.userlist_path)
    weir.raw().login("admin", "pgbouncer", "admin-pw").query("RELOAD")
    assert logged_in(weir, "app", "app-pw") and "users stay as they are" in weir.log()


def test_in_our_own_files_both_are_errors(make_weir):
    for text in ('broken\n', None):
        weir = make_weir(start=False)
        userlist(weir, text or "")
        if text is None:
            os.unlink(weir.userlist_path)
        weir.wanted_status = (2,)
        weir.start(wait=False)
        assert weir.wait() == 2


def test_it_listens_on_what_it_can(make_weir):
    weir = make_weir(section="pgbouncer", listen_addr="127.0.0.2, 127.0.0.1", unix_socket_dir="/nonexistent", start=False)
    with taken("127.0.0.2", weir.port):
        weir.start()
        assert weir.wire().value("SELECT 1") == "1"
    log = weir.log()
    assert f"WARNING cannot listen on 127.0.0.2:{weir.port}: Address already in use" in log
    assert f"WARNING cannot listen on unix:/nonexistent/.s.PGSQL.{weir.port}: No such file or directory" in log


@pytest.mark.parametrize("section, message", [("pgbouncer", "nowhere to listen on"), ("pgweir", "cannot listen on 127.0.0.1:")])
def test_with_nothing_to_listen_on_it_ends(make_weir, section, message):
    weir = make_weir(section=section, unix_socket_dir="", start=False)
    with taken("127.0.0.1", weir.port):
        weir.wanted_status = (1,)
        weir.start(wait=False)
        assert weir.wait() == 1
    assert f"FATAL {message}" in weir.log()


def test_the_line_of_all_databases_is_none_itself(make_weir):
    weir = make_weir(section="pgbouncer", databases={"*": {}, "app2": {}})

    def names():
        return sorted(r["name"] for r in weir.console("SHOW DATABASES"))
    assert names() == ["app2", "pgbouncer"]
    weir.wire().query("SELECT 1")
    assert names() == ["app", "app2", "pgbouncer"]


def test_the_console_is_for_those_who_are_named(make_weir):
    weir = make_weir(section="pgbouncer")
    for user, database, message in [("app", "pgbouncer", "not allowed"), ("", "app", "no username supplied")]:
        with pytest.raises(wire.ServerError) as e:
            weir.wire(user, database)
        assert (e.value.level, e.value.sqlstate, e.value.message) == ("FATAL", "08P01", message)


def test_a_unix_socket_that_somebody_answers_on_is_not_done_without(make_weir):
    one = make_weir(section="pgbouncer")
    two = make_weir(section="pgbouncer", listen_port=one.port, listen_addr="127.0.0.2", unix_socket_dir=one.folder, start=False)
    two.wanted_status = (1,)
    two.start(wait=False)
    assert two.wait() == 1 and "another process does" in two.log()
