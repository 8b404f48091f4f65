# SPDX-License-Identifier: ISC
"""Routing where requests overlap: pipelines, requests that are sent again, queues, reloads."""
import time

import pytest

from harness import wire
from harness.replicas import WHERE, node_of, state_of, wait_nodes_up
from harness.wait import wait_until

REPLICAS = {"pg2", "pg3"}


@pytest.fixture
def weir(trio, module_trio_weir):
    wait_nodes_up(module_trio_weir)
    return module_trio_weir


@pytest.fixture
def behind(trio):
    """Both replicas hold back what is written from now on."""
    trio.pause_replay(1)
    trio.delay_replay(2, "500ms")
    return trio


# --- sessions that no standby can serve

def test_a_serializable_session_reads_on_the_primary_and_others_as_before(trio, trio_weir):
    weir = trio_weir(trio, cluster={"balance": "round_robin", "consistency": "eventual"})
    for setting in ("SET default_transaction_isolation = 'serializable'",
                    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                    "SELECT set_config('default_transaction_isolation', 'serializable', false)"):
        strict, other = weir.wire(), weir.wire()
        strict.query(setting)
        for _ in range(3):
            assert strict.query(f"SELECT {WHERE}, current_setting('transaction_isolation')") == [["pg1", "serializable"]]
        assert {other.query(f"SELECT {WHERE}, current_setting('transaction_isolation')")[0][0] for _ in range(4)} == REPLICAS


def test_a_refused_read_runs_elsewhere_whatever_its_settings_needed(trio, trio_weir):
    """Rows of our own questions are no rows that the client saw."""
    w = trio_weir(trio, cluster={"consistency": "eventual"}).wire()
    w.query("SELECT set_config('work_mem', '5MB', false), set_config('default_transaction_deferrable', 'on', false)")
    w.query("SET default_transaction_read_only = off; SET work_mem TO '6MB'")
    assert w.value("SELECT liar() AS after_settings").endswith(" pg1")


# --- a session's own writes

def test_every_write_of_a_pipeline_counts(behind, trio_weir):
    """The first is acknowledged long before the second, and a replica gets that one soon."""
    w = trio_weir(behind).wire()
    for i in range(1, 3):
        w.send(wire.query(f"UPDATE register SET v = {i} WHERE k = 60"),
               wire.query(f"SELECT pg_sleep(1.3); UPDATE register SET v = {i} WHERE k = 61"))
        w.finish()
        w.finish()
        assert w.value("SELECT v FROM register WHERE k = 61") == str(i)


def test_a_portal_that_a_later_batch_runs_is_a_write(behind, trio_weir):
    w = trio_weir(behind).wire()
    for i in range(1, 4):
        w.query("BEGIN")
        w.send(wire.parse("", "UPDATE register SET v = $1 WHERE k = 62"), wire.bind("p", "", [i]), wire.sync())
        w.finish()
        w.send(wire.execute("p"), wire.sync())
        w.finish()
        w.query("COMMIT")
        assert w.value("SELECT v FROM register WHERE k = 62") == str(i)


def test_session_pooling_is_served_by_the_primary(trio, trio_weir):
    weir = trio_weir(trio, pool_mode="session", warm=False)
    for _ in range(3):
        w = weir.wire()
        assert w.value("SELECT 1") == "1"
        assert w.value(f"INSERT INTO notes VALUES (90, 'x') RETURNING {WHERE}") == "pg1"
        w.close()


# --- sent once more

FOLLOW = {
    "simple": wire.query("SELECT 'second'") + wire.query("SELECT 'third'"),
    "extended": wire.extended("SELECT 'second'") + wire.sync() + wire.extended("SELECT 'third'", name="third") + wire.sync(),
    "with a parameter": wire.query("SELECT 'second'") + wire.extended("SELECT ('third' || $1)::text", ["x"]) + wire.sync(),
    "shown": wire.extended("SHOW pgweir.route") + wire.sync() + wire.query("SELECT 'third'"),
}


@pytest.mark.parametrize("first", ["simple", "extended", "named", "described"])
@pytest.mark.parametrize("name", FOLLOW)
def test_a_refused_read_runs_on_the_primary_and_what_follows_it_in_its_turn(weir, unique, first, name):
    w = weir.wire()
    sql = f"SELECT liar() AS {unique}"
    request = {"simple": wire.query(sql), "extended": wire.extended(sql) + wire.sync(),
               "named": wire.extended(sql, name="first") + wire.sync(),
               "described": wire.parse("first", sql) + wire.describe("S", "first") + wire.bind("", "first") + wire.execute()
               + wire.sync()}[first]
    w.send(request, FOLLOW[name])
    answers = [w.until() for _ in range(3)]
    kinds = ["".join(m.kind for m in a if m.kind not in "SNA") for a in answers]
    assert kinds[0] == {"simple": "TDCZ", "described": "1tT2DCZ"}.get(first, "12TDCZ")
    assert kinds[1:] == {"simple": ["TDCZ"] * 2, "extended": ["12TDCZ"] * 2, "with a parameter": ["TDCZ", "12TDCZ"],
                         "shown": ["12TDCZ", "TDCZ"]}[name]
    values = [m.row()[0].decode() for a in answers for m in a if m.kind == "D"]
    assert values[0].endswith(" pg1")
    assert values[1:] == {"with a parameter": ["second", "thirdx"], "shown": ["auto", "third"]}.get(name, ["second", "third"])
    if first in ("named", "described"):
        w.send(wire.bind("", "first"), wire.execute(), wire.sync())
        assert w.finish()[0][0].endswith(" pg1")
        w.send(wire.parse("first", "SELECT 2"), wire.sync())
        with pytest.raises(wire.ServerError, match="42P05"):
            w.finish()
    assert w.value("SELECT 'still in step'") == "still in step"


@pytest.mark.parametrize("first", ["simple", "extended"])
@pytest.mark.parametrize("name", FOLLOW)
def test_a_read_refused_behind_answers_runs_on_the_primary(weir, unique, first, name):
    """Each of them has a transaction of its own: those before it are done with, and it did nothing."""
    w = weir.wire()
    sql = f"SELECT liar() AS {unique}"
    w.send(FOLLOW[name], wire.query(sql) if first == "simple" else wire.extended(sql) + wire.sync(), FOLLOW[name] if name != "extended" else b"")
    values = [w.finish()[0][0] for _ in range(5 if name != "extended" else 3)]
    assert values[2].endswith(" pg1")
    assert values[:2] == {"with a parameter": ["second", "thirdx"], "shown": ["auto", "third"]}.get(name, ["second", "third"])
    assert values[3:] == (values[:2] if name != "extended" else [])
    assert w.value("SELECT 'still in step'") == "still in step"


def test_a_read_refused_behind_rows_of_its_own_batch_is_the_servers_error(weir, unique):
    """They belong to one transaction, and the client has a part of it."""
    w = weir.wire()
    w.send(wire.extended("SELECT 'first'"), wire.extended(f"SELECT liar() AS {unique}"), wire.sync())
    with pytest.raises(wire.ServerError, match="25006"):
        w.finish()
    assert w.value("SELECT 'still in step'") == "still in step"
    w.send(wire.extended("SELECT 'first'"), wire.extended(f"SELECT liar() AS {unique}"), wire.sync())
    assert w.finish()[-1][0].endswith(" pg1"), "it is remembered"


@pytest.mark.parametrize("follows", [wire.query("INSERT INTO notes VALUES (92)"), wire.extended("DELETE FROM notes WHERE i = 92") + wire.sync(),
                                     wire.query("SET work_mem = '1MB'"), wire.close("S", "nothing") + wire.sync()])
def test_a_refused_read_is_not_sent_again_with_what_may_not_run_twice(weir, unique, follows):
    """A write waits for the primary anyhow; the rest is not provably harmless."""
    w = weir.wire()
    w.send(wire.query(f"SELECT liar() AS {unique}"), follows)
    try:
        assert w.finish()[0][0].endswith(" pg1")
    except wire.ServerError as e:
        assert e.sqlstate == "25006"
    w.finish()
    assert w.value("SELECT 'still in step'") == "still in step"


def test_a_read_refused_before_its_sync_leaves_no_server_in_the_middle(weir):
    w = weir.wire()
    w.query("SET pgweir.route = 'node:pg2'")
    w.send(wire.parse("", "SELECT liar() AS before_sync"), wire.bind(), wire.execute(), wire.flush())
    assert "E" in w.kinds("E")
    others = [weir.wire() for _ in range(4)]
    assert all(o.value("SELECT 1") == "1" for o in others for _ in range(4))
    w.send(wire.sync())
    assert w.kinds() == "Z"
    assert w.value("SELECT 'in step'") == "in step"


def test_a_stale_plan_is_no_write(weir, trio):
    w = weir.wire()
    w.query("SET pgweir.route = 'node:pg2'")
    w.send(wire.parse("s", "SELECT * FROM notes WHERE i = -5"), wire.sync())
    w.finish()
    run = wire.bind("", "s") + wire.execute() + wire.sync()
    for _ in range(2):
        w.send(run)
        w.finish()
    trio.sql(0, "ALTER TABLE notes ADD COLUMN stale int")
    try:
        trio.wait_caught_up()
        w.send(run)
        w.finish()
        other, found = weir.wire(), set()
        for _ in range(12):
            other.query("SELECT * FROM notes WHERE i = -5")
            found.add(other.value("SHOW pgweir.last_node"))
        assert found <= REPLICAS
    finally:
        trio.sql(0, "ALTER TABLE notes DROP COLUMN stale")


def test_replies_of_a_request_that_was_lost_twice_are_not_missed_later(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire(seconds=20)
    w.query("SET pgweir.route = 'replica'")
    w.send(wire.parse("", "SELECT pg_sleep(20), 'lost twice'"), wire.bind(), wire.describe(), wire.flush())
    assert w.kinds("T") == "12T"
    w.send(wire.execute(), wire.sync())
    for _ in range(2):
        wait_until(lambda: any(trio.nodes[i].value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%lost twice%' "
            "AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()") for i in (1, 2)))
        time.sleep(0.2)
    with pytest.raises(wire.ServerError):
        w.finish()
    for _ in range(3):
        w.send(wire.extended("SELECT 1"), wire.sync())
        assert w.kinds() == "12TDCZ"


def test_a_write_after_a_flush_that_loses_its_server_is_unknown(trio, trio_weir):
    """What the client saw of the batch before does not make the rest a request of its own."""
    weir = trio_weir(trio)
    w = weir.wire(seconds=20)
    w.send(wire.parse("", "UPDATE register SET v = v WHERE k = 63 AND pg_sleep(20) IS NOT NULL"), wire.bind(), wire.flush())
    assert w.kinds("2") == "12"
    w.send(wire.execute(), wire.sync())
    wait_until(lambda: trio.nodes[0].value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE%k = 63%' "
                                           "AND state = 'active'") > 0)
    trio.kill_postmaster(0)
    kinds = [m for m in w.expect_closed(15) if m.kind == "E"]
    assert [m.fields()["C"] for m in kinds] == ["08007"]


# --- queues

def test_a_request_that_waited_for_a_replica_runs_there_whatever_it_is(trio, trio_weir):
    weir = trio_weir(trio, default_pool_size=1)
    first, second = weir.wire(), weir.wire(seconds=5)
    for w in (first, second):
        w.query("SET pgweir.route = 'node:pg2'")
    first.query("BEGIN; SELECT 1")
    second.send(wire.query("BEGIN; SELECT 1"))
    time.sleep(0.3)
    first.query("COMMIT")
    second.finish()
    assert node_of(second) == "pg2"
    second.query("COMMIT")


def test_who_waits_for_a_node_that_is_banned_goes_elsewhere(trio, trio_weir):
    weir = trio_weir(trio, default_pool_size=1, nodes={"pg3": {"weight": 0}})
    first, second = weir.wire(), weir.wire(seconds=5)
    first.query("BEGIN READ ONLY")
    assert node_of(first) == "pg2"
    second.send(wire.query(f"SELECT {WHERE}"))
    time.sleep(0.3)
    weir.console("BAN pg2")
    assert second.finish() == [["pg1"]]
    assert second.value("SELECT 1") == "1"


def test_a_cancelled_request_that_waited_leaves_the_session_usable(trio, trio_weir):
    weir = trio_weir(trio, default_pool_size=1, nodes={"pg3": {"weight": 0}})
    first, second = weir.wire(), weir.wire(seconds=5)
    first.query("BEGIN READ ONLY")
    assert node_of(first) == "pg2"
    second.send(wire.query("SELECT 1"))
    time.sleep(0.2)
    wire.send_cancel("127.0.0.1", weir.port, second.pid, second.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        second.finish()
    first.query("COMMIT")
    assert second.value("SELECT 1") == "1"


# --- logins and reloads

def test_a_database_that_the_nodes_do_not_have_is_said_to_be_missing(trio, trio_weir):
    weir = trio_weir(trio, databases={"app": {"cluster": "main"}, "gone": {"cluster": "main", "dbname": "missing"}})
    with pytest.raises(wire.ServerError) as e:
        weir.wire(database="gone")
    assert e.value.sqlstate == "3D000"


def test_a_database_becomes_a_cluster_and_one_server_again(trio, trio_weir):
    plain = {"host": "127.0.0.1", "port": trio.nodes[0].port}
    weir = trio_weir(trio, databases={"app": dict(plain), "other": {"cluster": "main", "dbname": "app"}}, warm=False)
    before = weir.wire(seconds=5)
    assert node_of(before) == "pg1"
    weir.databases["app"] = {"cluster": "main"}
    weir.reload()
    wait_until(lambda: node_of(before) in REPLICAS)
    assert before.value(f"INSERT INTO notes VALUES (91, 'x') RETURNING {WHERE}") == "pg1"
    after = weir.wire(seconds=5)
    weir.databases["app"] = dict(plain)
    weir.reload()
    for w in (before, after):
        wait_until(lambda: {node_of(w) for _ in range(5)} == {"pg1"})
        assert w.value("SHOW pgweir.last_node") == ""
        assert w.query("BEGIN") == [] and w.query("COMMIT") == []


def test_who_is_held_by_a_node_that_a_reload_removes_goes_elsewhere(trio, trio_weir):
    weir = trio_weir(trio, default_pool_size=1, nodes={"pg3": {"weight": 0}})
    first, second = weir.wire(), weir.wire(seconds=5)
    first.query("BEGIN READ ONLY")
    assert node_of(first) == "pg2"
    second.send(wire.query(f"SELECT {WHERE}"))
    time.sleep(0.3)
    del weir.nodes["pg2"]
    weir.reload()
    assert second.finish() == [["pg1"]]
    assert state_of(weir, "pg3")["state"] == "up"


def test_a_reload_changes_the_route_of_a_database(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire()
    assert node_of(w) in REPLICAS
    weir.databases["app"]["route"] = "primary"
    weir.reload()
    wait_until(lambda: {node_of(w) for _ in range(5)} == {"pg1"})
