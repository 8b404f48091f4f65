# SPDX-License-Identifier: ISC
"""What clients see when servers die: nothing, when nothing of theirs was lost; else the contract's words."""
import os
import random
import select
import signal
import time

import pytest

from harness import wire
from harness.wait import Worker, run_all, wait_until


def error(w, sql, seconds=10):
    with pytest.raises(wire.ServerError) as e:
        w.query(sql, seconds)
    return e.value


def active(cluster, marker):
    return cluster.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND usename = 'app'",
                         (f"%{marker}%",))


def test_an_idle_client_does_not_notice_the_loss_of_pooled_servers(make_weir, cluster):
    weir = make_weir(default_pool_size=3)
    clients = [weir.wire() for _ in range(3)]
    for _ in range(5):
        run_all([lambda c=c: c.query("SELECT pg_sleep(0.01)") for c in clients])
        for pid in cluster.pids():
            cluster.terminate(pid)
        for c in clients:
            assert c.value("SELECT 'fine'") == "fine"
            assert c.extended("SELECT $1::text", ["fine"]) == [["fine"]]


def test_a_lost_transaction_is_40001_and_the_client_stays(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.query("BEGIN")
    pid = w.value("SELECT pg_backend_pid()")
    cluster.terminate(int(pid))
    e = error(w, "SELECT 1")
    assert (e.level, e.sqlstate) == ("ERROR", "40001")
    assert e.message.startswith("transaction lost: node ") and e.message.endswith(" went away")
    assert "retry" in e.hint.lower()
    assert w.status == "E", "the transaction has failed, as the client's library must know"
    assert error(w, "SELECT 2").sqlstate in ("25P02", "40001")
    w.query("ROLLBACK")
    assert w.status == "I"
    assert w.value("SELECT 'kept'") == "kept"


@pytest.mark.parametrize("before", [None, "BEGIN", "CREATE TEMP TABLE t ()"])
@pytest.mark.parametrize("way", ["query", "extended"])
def test_who_ends_its_own_server_ends_its_session(make_weir, way, before):
    w = make_weir().wire()
    if before:
        w.query(before)
    with pytest.raises(wire.ServerError) as e:
        getattr(w, way)("SELECT pg_terminate_backend(pg_backend_pid())")
    assert (e.value.level, e.value.sqlstate) == ("FATAL", "57P01")
    w.expect_closed()


def test_a_lost_transaction_by_the_extended_protocol_skips_to_sync(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    cluster.terminate(cluster.pids()[0])
    w.send(wire.extended("SELECT 1"), wire.extended("SELECT 2"), wire.sync())
    with pytest.raises(wire.ServerError, match="40001"):
        w.finish()
    w.query("ROLLBACK")
    assert w.extended("SELECT 3") == [["3"]]


def test_commit_of_a_lost_transaction_is_never_a_success(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.query(f"BEGIN; INSERT INTO {unique} VALUES (1)")
    cluster.terminate(cluster.pids()[0])
    assert error(w, "COMMIT").sqlstate == "40001"
    assert cluster.value(f"SELECT count(*) FROM {unique}") == 0
    cluster.sql(f"DROP TABLE {unique}")


def test_a_prepared_commit_of_a_lost_transaction_is_never_a_success(make_weir, cluster, unique):
    """As drivers send it that prepare everything: no Parse, so that only Bind can refuse it."""
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.send(wire.parse("commit", "COMMIT"), wire.parse("rollback", "ROLLBACK"), wire.sync())
    w.finish()
    w.query(f"BEGIN; INSERT INTO {unique} VALUES (1)")
    cluster.terminate(cluster.pids()[0])
    w.send(wire.bind("", "commit"), wire.execute(), wire.sync())
    with pytest.raises(wire.ServerError, match="40001"):
        w.finish()
    w.send(wire.bind("", "rollback"), wire.execute(), wire.sync())
    w.finish()
    assert w.status == "I"
    assert cluster.value(f"SELECT count(*) FROM {unique}") == 0
    cluster.sql(f"DROP TABLE {unique}")


def test_a_server_killed_during_an_autocommit_write_leaves_the_outcome_unknown(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    w = make_weir(default_pool_size=1).wire()
    w.send(wire.query(f"INSERT INTO {unique} SELECT 1 FROM pg_sleep(20)"))
    wait_until(lambda: active(cluster, unique))
    cluster.kill()
    errors = [m.fields() for m in w.expect_closed(10) if m.kind == "E"]
    assert [(f["V"], f["C"], f["M"]) for f in errors] == [("FATAL", "08007", "the outcome of the last statement is unknown")]
    cluster.start()
    cluster.sql(f"DROP TABLE IF EXISTS {unique}")  # a crash without fsync may have lost it


IN_STEPS = {
    "procedure": "CALL {t}_steps()",
    "do": "DO $$ BEGIN INSERT INTO {t} VALUES (1); COMMIT; PERFORM pg_sleep(30); END $$",
    "string": "INSERT INTO {t} VALUES (1); COMMIT; SELECT pg_sleep(30)",
    "block": "BEGIN; INSERT INTO {t} VALUES (1); COMMIT; INSERT INTO {t} SELECT 2 FROM pg_sleep(30)",
    "chain": "BEGIN; INSERT INTO {t} VALUES (1); COMMIT AND CHAIN; SELECT pg_sleep(30)",
}


@pytest.fixture
def steps(cluster, unique):
    """A table, and a procedure that commits a row of it before it sleeps."""
    cluster.sql(f"""CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app;
        CREATE PROCEDURE {unique}_steps() LANGUAGE plpgsql AS
            'BEGIN INSERT INTO {unique} VALUES (1); COMMIT; PERFORM pg_sleep(30); END'""")
    yield unique
    cluster.sql(f"DROP TABLE {unique}; DROP PROCEDURE {unique}_steps")


def terminate_asleep(cluster):
    pid = wait_until(lambda: cluster.value("SELECT max(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'app'"))
    cluster.terminate(pid)


@pytest.mark.parametrize("way", [w for w in IN_STEPS] + ["procedure-extended", "do-extended"])
def test_what_has_committed_a_part_is_never_called_rolled_back(make_weir, cluster, steps, way):
    """The server says that it goes, and with it what it was at; but not what was committed before."""
    w = make_weir().wire()
    sql = IN_STEPS[way.split("-")[0]].format(t=steps)
    w.send(wire.extended(sql) + wire.sync() if way.endswith("extended") else wire.query(sql))
    terminate_asleep(cluster)
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["08007"]
    assert cluster.value(f"SELECT count(*) FROM {steps}") == 1


def test_what_follows_a_commit_in_its_batch_is_never_called_rolled_back(make_weir, cluster, steps):
    w = make_weir().wire()
    w.query(f"BEGIN; INSERT INTO {steps} VALUES (1)")
    w.send(wire.extended("COMMIT"), wire.extended(f"INSERT INTO {steps} SELECT 2 FROM pg_sleep(30)"), wire.sync())
    terminate_asleep(cluster)
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["08007"]
    assert cluster.value(f"SELECT count(*) FROM {steps}") == 1


@pytest.mark.parametrize("lost", ["terminate", "kill"])
def test_a_write_that_was_told_before_its_sync_is_not_lost_in_silence(make_weir, cluster, unique, lost):
    """PostgreSQL has not committed it, and the client does not know: no Sync may be answered as if all were well."""
    w = make_weir().wire()
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    w.send(wire.extended(f"INSERT INTO {unique} VALUES (1)"), wire.flush())
    w.until("C")
    cluster.kill() if lost == "kill" else cluster.terminate(cluster.pids()[0])
    errors = [m.fields() for m in w.expect_closed(10) if m.kind == "E"]
    cluster.ensure_running()
    cluster.sql(f"DROP TABLE IF EXISTS {unique}")  # a crash without fsync may have lost it
    assert [(f["V"], f["C"]) for f in errors] == [("FATAL", "08007")]


def test_a_read_that_was_told_before_its_sync_does_not_cost_the_client(make_weir, cluster):
    w = make_weir().wire()
    w.send(wire.extended("SELECT 1"), wire.flush())
    w.until("C")
    cluster.terminate(cluster.pids()[0])
    w.send(wire.extended("SELECT 'fine'"), wire.sync())
    assert w.finish() == [["fine"]]


def test_a_commit_that_was_told_before_its_sync_is_never_called_rolled_back(make_weir, cluster, steps):
    w = make_weir().wire()
    w.query(f"BEGIN; INSERT INTO {steps} VALUES (1)")
    w.send(wire.extended("COMMIT"), wire.flush())
    assert w.kinds("C") == "12nC"
    cluster.terminate(cluster.pids()[0])
    w.send(wire.sync())
    assert [m.fields()["C"] for m in w.expect_closed(10) if m.kind == "E"] == ["08007"]


@pytest.mark.parametrize("sql", ["INSERT INTO {t} SELECT 1 FROM pg_sleep(30)", "INSERT INTO {t} VALUES (1); SELECT pg_sleep(30)",
                                 "ROLLBACK; INSERT INTO {t} SELECT 1 FROM pg_sleep(30)"])
def test_what_has_committed_nothing_is_40001_when_its_server_says_that_it_goes(make_weir, cluster, steps, sql):
    w = make_weir().wire()
    w.send(wire.query(sql.format(t=steps)))
    terminate_asleep(cluster)
    with pytest.raises(wire.ServerError, match="40001"):
        w.finish()
    assert cluster.value(f"SELECT count(*) FROM {steps}") == 0
    assert w.value("SELECT 'kept'") == "kept"


def test_a_server_killed_while_rows_flow_is_08006_and_the_client_stays(make_weir, cluster):
    w = make_weir(default_pool_size=1, query_wait_timeout=10).wire()
    w.send(wire.query("SELECT repeat('r', 10000) FROM generate_series(1, 1000000)"))
    w.until("D")
    cluster.kill()
    try:
        with pytest.raises(wire.ServerError) as e:
            w.finish()
    finally:
        cluster.start()
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "08006")
    assert e.value.message.startswith("connection to node ") and e.value.message.endswith(" was lost during the query")
    assert w.value("SELECT 'kept'") == "kept"


def test_a_restart_holds_waiting_clients_and_then_serves_them(make_weir, cluster):
    weir = make_weir(default_pool_size=4)
    clients = [weir.wire() for _ in range(6)]
    for c in clients:
        c.query("SELECT 1")
    cluster.stop()
    for i, c in enumerate(clients):
        c.send(wire.query(f"SELECT {i}"))
    with pytest.raises(TimeoutError):
        clients[0].receive(0.3)
    cluster.start()
    start = time.monotonic()
    for i, c in enumerate(clients):
        assert c.finish() == [[str(i)]]
    assert time.monotonic() - start < 3, "served soon after it accepts"


def test_a_crash_and_restart_spare_idle_clients(make_weir, cluster):
    weir = make_weir(default_pool_size=4)
    clients = [weir.wire() for _ in range(4)]
    run_all([lambda c=c: c.query("SELECT pg_sleep(0.05)") for c in clients])
    cluster.kill()
    cluster.start()
    for c in clients:
        assert c.value("SELECT 'fine'") == "fine"


def test_a_crash_of_one_back_end_spares_idle_clients(make_weir, cluster):
    """PostgreSQL warns idle sessions with a notice 57P02 and closes them all."""
    weir = make_weir(default_pool_size=3)
    clients = [weir.wire() for _ in range(3)]
    run_all([lambda c=c: c.query("SELECT pg_sleep(0.05)") for c in clients])
    ends = [os.pidfd_open(pid) for pid in cluster.pids()]
    signal.pidfd_send_signal(ends[0], signal.SIGKILL)
    for end in ends:  # a read is sent once more, not twice: none of them must still be dying
        assert select.select([end], [], [], 20)[0]
        os.close(end)
    for c in clients:
        c.notices.clear()
        assert c.value("SELECT 'fine'", 20) == "fine"
        assert c.notices == [], "another session's crash is not this client's news"


def test_a_primary_that_stays_away_is_57P03_and_the_client_stays(make_weir, cluster):
    weir = make_weir(query_wait_timeout=1, server_connect_timeout=1)
    w = weir.wire()
    w.query("SELECT 1")
    cluster.stop()
    e = error(w, "SELECT 2", 15)
    assert e.level == "ERROR" and e.sqlstate in ("57P03", "53300")
    assert e.detail and e.hint
    cluster.start()
    assert wait_until(lambda: served(w), 10) == "back"


def served(w):
    try:
        return w.value("SELECT 'back'")
    except wire.ServerError:
        return None


def test_a_frozen_server_is_not_waited_for_longer_than_asked(make_weir, cluster):
    weir = make_weir(query_wait_timeout=1, server_connect_timeout=1)
    w = weir.wire()
    cluster.freeze()
    try:
        start = time.monotonic()
        w2 = weir.raw(12)
        w2.send(wire.startup(user="app2", database="app"))
        errors = [m.fields()["C"] for m in w2.expect_closed(12) if m.kind == "E"]
        assert errors and time.monotonic() - start < 10
    finally:
        cluster.thaw()
    assert wait_until(lambda: served(w), 10) == "back"


def test_servers_killed_under_load_hurt_only_those_in_flight(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (who int, n int); GRANT ALL ON {unique} TO app")
    weir = make_weir(default_pool_size=5)
    end = time.monotonic() + 3

    def client(number):
        w, acknowledged, n, lost = weir.wire(), [], 0, []
        while time.monotonic() < end:
            n += 1
            try:
                w.query("BEGIN")
                w.query(f"INSERT INTO {unique} VALUES ({number}, {n})")
                w.query("COMMIT")
                acknowledged.append(n)
            except wire.ServerError as e:
                lost.append(e.sqlstate)
                if e.level == "FATAL":
                    w = weir.wire()
                elif w.status != "I":
                    w.query("ROLLBACK")
        return number, acknowledged, lost
    workers = [Worker(client, i) for i in range(15)]
    kills = 0
    while any(w.is_alive() for w in workers):
        pids = cluster.pids()
        if pids:
            kills += 1
            cluster.sql("SELECT pg_terminate_backend(%s, 200)", (random.choice(pids),))
    results = [w.result() for w in workers]
    allowed = {"40001", "08007", "08006", "57P01"}
    assert {s for _, _, lost in results for s in lost} <= allowed
    assert kills > 3 and sum(len(lost) for _, _, lost in results) <= kills, "one kill hurts one client"
    stored = set(cluster.sql(f"SELECT who, n FROM {unique}"))
    for number, acknowledged, lost in results:
        missing = {(number, n) for n in acknowledged} - stored
        assert not missing, "no acknowledged write is lost"
        assert len({n for who, n in stored if who == number}) <= len(acknowledged) + lost.count("08007") + lost.count("57P01")
    assert cluster.value(f"SELECT count(*) - count(DISTINCT (who, n)) FROM {unique}") == 0, "none is doubled"
    cluster.sql(f"DROP TABLE {unique}")


def test_too_many_connections_on_the_server_is_lived_with(make_weir, cluster):
    """PostgreSQL has fewer places than the pool may take: clients are served by the links there are."""
    cluster.sql("ALTER ROLE app CONNECTION LIMIT 2")
    try:
        weir = make_weir(default_pool_size=10)
        results = run_all([lambda: weir.wire().query("SELECT 'served' FROM pg_sleep(0.02)") for _ in range(15)])
        assert results == [[["served"]]] * 15
    finally:
        cluster.sql("ALTER ROLE app CONNECTION LIMIT -1")


def test_a_statement_whose_parse_was_lost_can_be_prepared_again(make_weir, cluster):
    """Its name was never defined, as far as the client knows."""
    weir = make_weir()
    w = weir.wire()
    w.query("CREATE TABLE IF NOT EXISTS lost_parse (i int)")
    w.query("BEGIN")
    pid = int(w.value("SELECT pg_backend_pid()"))
    cluster.terminate(pid)
    w.send(wire.parse("mine", "INSERT INTO lost_parse VALUES ($1)"), wire.sync())
    with pytest.raises(wire.ServerError):
        w.finish()
    w.query("ROLLBACK")
    w.send(wire.parse("mine", "INSERT INTO lost_parse VALUES ($1)"), wire.sync())
    w.finish()
    w.send(wire.bind("", "mine", [1]), wire.execute(), wire.sync())
    w.finish()


def test_a_name_that_was_told_and_then_lost_is_free_and_usable(make_weir, cluster):
    """ParseComplete came from pgweir, which knew the statement, and the request failed after it."""
    weir = make_weir()
    w = weir.wire()
    w.query("BEGIN")
    pid = int(w.value("SELECT pg_backend_pid()"))
    w.send(wire.parse("first", "SELECT $1::int"), wire.sync())
    w.finish()
    for name in ("again", "used"):
        if w.status != "T":
            w.query("BEGIN")
            pid = int(w.value("SELECT pg_backend_pid()"))
            w.send(wire.bind("", "first", [0]), wire.execute(), wire.sync())
            w.finish()
        os.kill(pid, signal.SIGSTOP)
        w.send(wire.parse(name, "SELECT $1::int"), wire.sync())
        assert w.receive().kind == "1"
        cluster.sql("SELECT pg_terminate_backend(%s)", (pid,))
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(wire.ServerError, match="40001"):
            w.finish()
        w.query("ROLLBACK")
    w.send(wire.parse("again", "SELECT $1::int"), wire.bind("", "again", [7]), wire.execute(), wire.sync())
    assert w.finish() == [["7"]]
    w.send(wire.bind("", "used", [8]), wire.execute(), wire.sync())
    assert w.finish() == [["8"]]
