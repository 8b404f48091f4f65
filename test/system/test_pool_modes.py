# SPDX-License-Identifier: ISC
"""When a server goes back to its pool: session, transaction, statement."""
import pytest

from harness import wire
from harness.wait import wait_until


def pid(w):
    return w.value("SELECT pg_backend_pid()")


def test_transaction_mode_shares_a_server_between_transactions(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    assert pid(a) == pid(b) == pid(a)


def test_transaction_mode_keeps_the_server_inside_a_transaction(make_weir):
    weir = make_weir(default_pool_size=2)
    a, b = weir.wire(), weir.wire()
    a.query("BEGIN")
    mine = pid(a)
    for _ in range(5):
        assert pid(b) != mine
        assert pid(a) == mine
    a.query("COMMIT")


def test_a_failed_transaction_keeps_its_server_until_rollback(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("BEGIN")
    with pytest.raises(wire.ServerError):
        a.query("SELECT 1/0")
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    a.query("ROLLBACK")
    assert b.finish() == [["b"]]


def test_an_open_pipeline_keeps_its_server_until_its_sync(make_weir):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.send(wire.extended("SELECT 'a'"), wire.flush())
    assert a.kinds("C") == "12TDC"
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    a.send(wire.sync())
    assert a.kinds() == "Z"
    assert b.finish() == [["b"]]


def test_a_client_that_leaves_in_a_transaction_has_it_rolled_back(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query("BEGIN")
    a.query(f"INSERT INTO {unique} VALUES (1)")
    a.send(wire.terminate())
    a.close()
    b = weir.wire()
    assert b.value(f"SELECT count(*) FROM {unique}") == "0"
    assert b.value("SELECT pg_current_xact_id_if_assigned() IS NULL") == "t"
    cluster.sql(f"DROP TABLE {unique}")


def test_session_mode_keeps_one_server_for_the_whole_session(make_weir):
    weir = make_weir(pool_mode="session", default_pool_size=2)
    a, b = weir.wire(), weir.wire()
    mine, yours = pid(a), pid(b)
    assert mine != yours
    assert [pid(a) for _ in range(5)] == [mine] * 5
    c = weir.wire()
    c.send(wire.query("SELECT pg_backend_pid()"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    a.send(wire.terminate())
    a.close()
    assert c.finish() == [[mine]]


def test_session_mode_keeps_all_state_and_forgets_it_at_the_end(make_weir):
    weir = make_weir(pool_mode="session", default_pool_size=1)
    a = weir.wire()
    a.query("CREATE TEMP TABLE mine (i int)")
    a.query("SET work_mem = '77MB'; PREPARE p AS SELECT 1; SELECT pg_advisory_lock(99)")
    assert a.query("EXECUTE p") == [["1"]]
    assert a.query("SELECT count(*) FROM mine") == [["0"]]
    a.send(wire.terminate())
    a.close()
    b = weir.wire()
    assert b.value("SHOW work_mem") != "77MB"
    assert b.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    assert b.value("SELECT count(*) FROM pg_prepared_statements WHERE from_sql") == "0"
    with pytest.raises(wire.ServerError, match="42P01"):
        b.query("SELECT * FROM mine")


def test_session_mode_tells_the_process_id_of_its_server(make_weir, cluster):
    weir = make_weir(pool_mode="session", default_pool_size=3)
    clients = [weir.wire() for _ in range(3)]
    assert [str(c.pid) for c in clients] == [pid(c) for c in clients]
    assert len({c.pid for c in clients}) == 3
    a, b = clients[:2]
    b.send(wire.query("SELECT pg_sleep(30) /* own_pid */"))
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = %s", (b.pid,)))
    wire.send_cancel("127.0.0.1", weir.port, b.pid, b.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        b.finish()
    late = weir.wire() # all servers are taken: it may log in, and waits with its first query
    late.send(wire.query("SELECT pg_backend_pid()"))
    a.send(wire.terminate())
    a.close()
    assert late.finish() == [[str(clients[0].pid)]]


def test_in_session_mode_own_notifications_are_known_by_their_process_id(make_weir):
    c, heard = make_weir(pool_mode="session").connect(), []
    c.add_notify_handler(lambda n: heard.append(n.pid))
    c.execute("LISTEN own")
    c.execute("NOTIFY own")
    c.execute("SELECT 1")
    assert heard == [c.info.backend_pid]


def test_a_replication_client_is_told_the_process_id_of_its_server(weir, cluster):
    w = weir.raw().login("app", "app", replication="database")
    assert cluster.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND pid = %s", (w.pid,)) == 1


@pytest.mark.parametrize("settings", [{"compat": "pgbouncer"}, {"peer_id": 1}, {"pool_mode": "transaction"}])
def test_otherwise_the_process_id_is_a_number_of_ours(make_weir, settings):
    weir = make_weir(**{"pool_mode": "session", **settings})
    weir.wire().query("SELECT 1")
    w = weir.wire()
    assert str(w.pid) != pid(w)


def test_statement_mode_refuses_a_transaction_block_and_leaks_none(make_weir):
    weir = make_weir(pool_mode="statement", default_pool_size=1)
    w = weir.wire()
    assert w.value("SELECT 1") == "1"
    with pytest.raises((wire.ServerError, wire.Closed)):
        w.query("BEGIN; SELECT 1")
    other = weir.wire()
    assert other.value("SELECT 2") == "2"
    assert other.status == "I"


def test_statement_mode_serves_the_extended_protocol(make_weir):
    weir = make_weir(pool_mode="statement", default_pool_size=2)
    assert [weir.wire().extended("SELECT $1::int", [i]) for i in range(5)] == [[[str(i)]] for i in range(5)]


def test_the_mode_of_a_database_or_user_beats_the_general_one(make_weir):
    weir = make_weir(default_pool_size=2, databases={"app": {}, "app2": {"pool_mode": "session"}},
                     users={"lookup": {"pool_mode": "session"}})
    assert {r["name"]: r["pool_mode"] for r in weir.console("SHOW DATABASES")}["app2"] == "session"
    a = weir.wire(database="app2")
    a.query("CREATE TEMP TABLE kept (i int)")
    assert weir.wire(database="app2").query("SELECT pg_backend_pid()") != a.query("SELECT pg_backend_pid()")
    c, d = weir.wire(user="lookup"), weir.wire(user="lookup")
    assert pid(c) != pid(d), "session mode by user"


def test_servers_are_never_shared_between_users_or_databases(make_weir):
    weir = make_weir(default_pool_size=2)
    seen = {}
    for user in ("app", "app2"):
        for database in ("app", "app2"):
            w = weir.wire(user, database)
            assert w.query("SELECT current_user, session_user, current_database()") == [[user, user, database]]
            seen[(user, database)] = pid(w)
    assert len(set(seen.values())) == 4


def test_a_forced_user_and_dbname_decide_who_and_where(make_weir):
    weir = make_weir(databases={"alias": {"dbname": "app2", "user": "app2", "password": "app2-pw"}})
    w = weir.wire("app", "alias")
    assert w.query("SELECT current_user, current_database()") == [["app2", "app2"]]


def test_the_star_entry_serves_any_database(make_weir):
    weir = make_weir(databases={"*": {}})
    assert weir.wire(database="app2").value("SELECT current_database()") == "app2"


def test_connect_query_runs_on_each_new_server(make_weir):
    weir = make_weir(databases={"app": {"connect_query": "SET enable_seqscan = off"}})
    assert weir.wire().value("SHOW enable_seqscan") == "off"
