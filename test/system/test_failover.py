# SPDX-License-Identifier: ISC
"""What clients see when nodes die, hang, are promoted: CONTRACT section 4, row by row, each by a scripted fault.

WEIR_KILLS (2): how often the primary dies in the exactly-once run."""
import os
import threading
import time

import pytest

from harness import wire
from harness.crowd import Crowd, Readers, last_words, running
from harness.figures import Writers
from harness.replicas import WHERE, node_of, primary_of, state_of, wait_nodes_up, wait_state
from harness.wait import Worker, stays_true, wait_until

KILLS = int(os.environ.get("WEIR_KILLS", "2"))
REPLICAS = {"pg2", "pg3"}
SLACK = 3.0  # a sanitized build on a busy machine; the figures of the contract are measured elsewhere


def write(w, id):
    """The node that stored ID."""
    return w.value(f"INSERT INTO once VALUES ({id}) RETURNING node")


# --- the primary: each fault, with a client in each situation

def crash_and_restart(trio, crowd):
    trio.kill(0)
    crowd.wait()
    trio.restart(0)


def crash_and_promotion(trio, crowd):
    trio.kill(0)
    crowd.wait()
    trio.fail_over()


def hang_and_promotion(trio, crowd):
    trio.stop_signal(0)
    wait_state(crowd.weir, "pg1", "down", 3 + SLACK)
    crowd.wait()
    trio.fail_over()


def shutdown_and_promotion(trio, crowd):
    """A planned switchover that nobody told pgweir of."""
    trio[0].stop()
    crowd.wait()
    trio.fail_over()


def promotion_beside_the_living_primary(trio, crowd):
    trio.fail_over()
    wait_until(lambda: primary_of(crowd.weir) == trio[trio.primary].name, 5)
    crowd.wait()


@pytest.mark.parametrize("fault", [crash_and_restart, crash_and_promotion, hang_and_promotion, shutdown_and_promotion,
                                   promotion_beside_the_living_primary], ids=lambda f: f.__name__)
def test_loss_of_the_primary(new_trio, trio_weir, fault):
    trio = new_trio()
    weir = trio_weir(trio, default_pool_size=10)
    readers = Readers(weir)
    crowd = Crowd(weir, trio)
    start = time.monotonic()
    fault(trio, crowd)
    crowd.check()
    print(f"{fault.__name__}: all served after {time.monotonic() - start:.2f} s")
    assert readers.stop() > 0
    assert readers.errors == [], "reads go on"
    print(f"longest gap of the readers {max(readers.gaps):.2f} s")
    assert max(readers.gaps) < SLACK
    crowd.release()


LONG = "SELECT count(md5(g::text)) FROM generate_series(1, 3000000) g"


def long_write(w):
    w.send(wire.query("INSERT INTO once " + LONG))


def long_prepared_write(w):
    w.send(wire.parse("", "INSERT INTO once " + LONG), wire.bind(), wire.execute(), wire.sync())


def long_commit(w):
    w.query("BEGIN")
    w.query("INSERT INTO slow VALUES (3000000)")
    w.send(wire.query("COMMIT /* 3000000 */"))


@pytest.mark.parametrize("write", [long_write, long_prepared_write, long_commit], ids=lambda f: f.__name__)
def test_a_late_answer_of_a_dead_primary_is_never_relayed(new_trio, trio_weir, write):
    """kill -9 of the postmaster alone: a busy back end goes on, commits, and would say so."""
    trio = new_trio()
    trio.sql(0, f"CREATE TABLE slow (i int); GRANT ALL ON slow TO app; CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$BEGIN PERFORM ({LONG}); RETURN NULL; END$$; CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow "
                f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()")
    w = trio_weir(trio).wire(seconds=20)
    write(w)
    wait_until(lambda: running(trio, "3000000"))
    trio.kill_postmaster(0)
    trio.fail_over()
    assert last_words(w) == [("FATAL", "08007", "the outcome of the last statement is unknown")]


def test_a_hanging_primary_is_found_in_time(trio, trio_weir):
    weir = trio_weir(trio, cluster={"check_timeout": "1s", "unhealthy_threshold": 2})
    trio.stop_signal(0)
    start = time.monotonic()
    wait_state(weir, "pg1", "down", 3 + SLACK)
    print(f"found after {time.monotonic() - start:.2f} s")
    trio.cont(0)
    wait_nodes_up(weir)
    assert write(weir.wire(), 1) == "pg1", "back without a word from anybody"


def test_a_primary_that_hangs_briefly_loses_nothing(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire()
    w.query("BEGIN; INSERT INTO once VALUES (50)")
    trio.stop_signal(0)
    time.sleep(0.3)
    trio.cont(0)
    w.query("COMMIT")
    assert state_of(weir, "pg1")["state"] == "up"


def test_waiting_clients_are_served_soon_after_the_primary_is_back(trio, trio_weir):
    weir = trio_weir(trio)
    clients = [weir.wire(seconds=20) for _ in range(5)]
    for w in clients:
        w.query("SET pgweir.route = 'primary'")
    trio.kill(0)
    wait_state(weir, "pg1", "down")
    for i, w in enumerate(clients):
        w.send(wire.query(f"SELECT {i}"))
    with pytest.raises(TimeoutError):
        clients[0].receive(0.3)
    trio.restart(0)
    start = time.monotonic()
    assert [w.finish() for w in clients] == [[[str(i)]] for i in range(5)]
    print(f"served {time.monotonic() - start:.2f} s after it accepted")
    assert time.monotonic() - start < SLACK


def test_replicas_read_on_without_a_primary(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire()
    w.query("SELECT 1")
    trio.kill(0)
    wait_state(weir, "pg1", "down")
    assert primary_of(weir) in ("", None)
    assert {node_of(w) for _ in range(20)} <= REPLICAS
    w.query("BEGIN READ ONLY")
    assert node_of(w) in REPLICAS
    w.query("COMMIT")


def test_listen_survives_a_failover_with_one_notice(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio)
    w = weir.wire()
    w.query("LISTEN news")
    trio.kill(0)
    i = trio.fail_over()
    wait_until(lambda: primary_of(weir) == trio[i].name)

    def heard():
        trio.sql(i, "NOTIFY news, 'still here'")
        w.query("SELECT 1")
        return w.notifications
    wait_until(heard, 10, step=0.1)
    assert len(w.notices) == 1


# --- two primaries

def test_the_higher_timeline_wins_and_the_loser_gets_nothing_more(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio)
    over, acknowledged = threading.Event(), []
    reign = int(weir.console("SHOW CLUSTERS")[0]["reign"])

    def writer(number):
        w, n = weir.wire(seconds=20), 0
        while not over.is_set():
            n += 1
            begun = time.monotonic()
            try:
                acknowledged.append((begun, write(w, number * 1_000_000 + n)))
            except (wire.ServerError, wire.Closed):
                w = weir.wire(seconds=20)
    workers = [Worker(writer, i) for i in range(3)]
    wait_until(lambda: len(acknowledged) > 20)
    trio.promote(1)
    wait_until(lambda: primary_of(weir) == "pg2", 5)
    fenced = time.monotonic()
    wait_until(lambda: sum(begun > fenced for begun, _ in list(acknowledged)) > 20, 20)
    over.set()
    for w in workers:
        w.result()
    assert {node for begun, node in acknowledged if begun > fenced} == {"pg2"}
    assert state_of(weir, "pg1")["state"] == "fenced"
    wait_until(lambda: trio[0].pids() == [], what="all links to it are closed, and its processes know")
    assert int(weir.console("SHOW CLUSTERS")[0]["reign"]) > reign


def test_a_replica_of_the_loser_serves_no_reads(new_trio, trio_weir):
    """It is far ahead by position, on a timeline that is no more."""
    trio = new_trio()
    weir = trio_weir(trio)
    trio.promote(1)
    wait_until(lambda: primary_of(weir) == "pg2", 5)
    trio.sql(0, "INSERT INTO notes SELECT i, repeat('x', 500) FROM generate_series(1, 5000) i")
    w = weir.wire()
    for i in range(1, 30):
        w.query(f"UPDATE register SET v = {i} WHERE k = 30")
        [[value, node]] = w.query(f"SELECT v, {WHERE} FROM register WHERE k = 30")
        assert (value, node) == (str(i), "pg2")
    assert {node_of(w) for _ in range(20)} == {"pg2"}


def test_an_old_primary_that_comes_back_stays_fenced(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio)
    w = weir.wire(seconds=20)
    trio.kill(0)
    i = trio.fail_over()
    new = trio[i].name
    assert write(w, 1) == new
    trio.restart(0)
    wait_state(weir, "pg1", "fenced")
    stays_true(lambda: primary_of(weir) == new, 0.3)
    assert write(w, 2) == new
    trio[0].stop()
    trio.rebuild(0)
    wait_nodes_up(weir)
    assert state_of(weir, "pg1")["role"] == "replica"
    assert state_of(weir, "pg1")["timeline"] == "2"


def test_two_primaries_of_one_timeline_are_none(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio, cluster={"failover_wait": "1s"}, default_pool_size=10)
    w, open_, writing, lock = weir.wire(seconds=20), weir.wire(seconds=20), weir.wire(seconds=20), trio[0].connect(autocommit=False)
    w.query("SELECT 1")
    open_.query("BEGIN; INSERT INTO once VALUES (7)")
    lock.execute("SELECT * FROM register WHERE k = 9 FOR UPDATE")
    writing.send(wire.query("UPDATE register SET v = 1 WHERE k = 9"))
    wait_until(lambda: running(trio, "k = 9"))
    trio[1].stop()
    trio[1].be_standby(False)
    trio[1].start()
    wait_until(lambda: primary_of(weir) in ("", None))
    with pytest.raises(wire.ServerError) as e:
        write(w, 1)
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "57P03")
    with pytest.raises(wire.ServerError) as e:
        open_.query("INSERT INTO once VALUES (8)")
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "40001"), "neither may be written to"
    assert last_words(writing) == [("FATAL", "08007", "the outcome of the last statement is unknown")]
    lock.close()
    trio[1].stop()
    assert write(w, 2) == "pg1", "one of them left: it is the primary again"


# --- replicas

@pytest.mark.parametrize("fault", ["kill", "stop_signal", "restart"])
def test_loss_of_a_replica_hurts_no_reader(trio, trio_weir, fault):
    weir = trio_weir(trio, cluster={"balance": "round_robin"})
    readers = Readers(weir, 4)
    time.sleep(0.2)
    getattr(trio, fault)(1)
    if fault != "restart":
        wait_state(weir, "pg2", "down", 3 + SLACK)
    time.sleep(0.2)
    assert readers.stop() > 0 and readers.errors == []
    assert max(readers.gaps) < 3 + SLACK
    if fault == "stop_signal":
        trio.cont(1)


def blocked_reader(trio, weir):
    """(wire, index of the replica, lock): a read that waits on a replica for a lock held on the primary."""
    lock = trio[0].connect(autocommit=False)
    lock.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
    trio.wait_caught_up()
    w = weir.wire(seconds=20)
    w.send(wire.query("SELECT count(*) FROM notes, held"))
    i = wait_until(lambda: next((i for i in (1, 2) if running(trio, "FROM notes, held", i)), 0))
    return w, i, lock


@pytest.mark.parametrize("fault", ["kill", "stop_signal"])
def test_a_read_in_flight_on_a_replica_is_retried_elsewhere(trio, trio_weir, fault):
    weir = trio_weir(trio)
    w, i, lock = blocked_reader(trio, weir)
    getattr(trio, fault)(i)
    lock.close()
    assert w.finish() == [["0"]]


@pytest.mark.parametrize("fault", ["kill", "stop_signal"])
def test_a_read_only_transaction_on_a_lost_replica_is_40001(trio, trio_weir, fault):
    weir = trio_weir(trio)
    w = weir.wire(seconds=20)
    w.query("BEGIN READ ONLY")
    node = node_of(w)
    getattr(trio, fault)(trio.index(node))
    with pytest.raises(wire.ServerError) as e:
        w.query("SELECT 1")
    assert (e.value.level, e.value.sqlstate, e.value.message) == ("ERROR", "40001", f"transaction lost: node {node} went away")
    w.query("ROLLBACK")
    assert w.value("SELECT 'kept'") == "kept"


def test_a_replica_that_falls_behind_hurts_nobody(trio, trio_weir):
    """What began there may end there; what comes goes elsewhere."""
    weir = trio_weir(trio, cluster={"max_lag": "300ms"})
    w, other = weir.wire(), weir.wire()
    w.query("BEGIN READ ONLY")
    node = node_of(w)
    trio.pause_replay(trio.index(node))
    trio.sql(0, "INSERT INTO notes VALUES (3, 'three')")
    wait_state(weir, node, "lagging")
    assert node not in {node_of(other) for _ in range(10)}
    assert node_of(w) == node
    w.query("COMMIT")
    assert node_of(w) != node


def test_pooled_servers_ended_on_a_replica_are_nobodys_business(trio, trio_weir):
    weir = trio_weir(trio, cluster={"balance": "round_robin"})
    clients = [weir.wire() for _ in range(4)]
    for _ in range(3):
        assert {node_of(w) for w in clients for _ in range(4)} == REPLICAS
        for i in (1, 2):
            for pid in trio[i].pids():
                trio[i].terminate(pid)


def test_a_recovery_conflict_is_retried_on_the_primary(trio, trio_weir):
    weir = trio_weir(trio)
    for i in (1, 2):
        trio[i].set(max_standby_streaming_delay="0")
    w, i, lock = blocked_reader(trio, weir)
    with trio[0].connect(autocommit=False) as other:
        other.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        trio.flush()
        wait_until(lambda: running(trio, "FROM notes, held", 0), 10, "the read on the primary")
    lock.close()
    assert w.finish() == [["0"]]


def test_a_recovery_conflict_in_a_transaction_passes_through(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire()
    w.query("BEGIN READ ONLY")
    i = trio.index(node_of(w))
    trio[i].set(max_standby_streaming_delay="0")
    lock = trio[0].connect(autocommit=False)
    lock.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
    trio.wait_caught_up()
    w.send(wire.query("SELECT count(*) FROM notes, held"))
    wait_until(lambda: running(trio, "FROM notes, held", i))
    with trio[0].connect(autocommit=False) as other:
        other.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        trio.flush()
        with pytest.raises(wire.ServerError) as e:
            w.finish()
    lock.close()
    assert e.value.sqlstate == "40001" and "conflict with recovery" in e.value.message
    w.query("ROLLBACK")
    assert w.value("SELECT 'kept'") == "kept"


def test_a_pause_does_not_count_towards_failover_wait(trio, trio_weir):
    weir = trio_weir(trio, cluster={"failover_wait": "1s"})
    w = weir.wire(seconds=20)
    trio.kill(0)
    w.send(wire.query(f"INSERT INTO once VALUES (771) RETURNING {WHERE}"))
    wait_until(lambda: any(r["state"] == "waiting" for r in weir.console("SHOW CLIENTS") if r["database"] == "app"))
    weir.console("PAUSE")
    with pytest.raises(TimeoutError):
        w.receive(2.5)
    trio.restart(0)
    wait_nodes_up(weir)
    with pytest.raises(TimeoutError):
        w.receive(0.2)
    weir.console("RESUME")
    assert w.finish() == [["pg1"]]
    trio.kill(0)
    w.send(wire.query("INSERT INTO once VALUES (772)"))
    weir.console("PAUSE")
    weir.console("RESUME")
    start = time.monotonic()
    with pytest.raises(wire.ServerError, match="57P03"):
        w.finish()
    assert time.monotonic() - start < 1 + SLACK


# --- all of them

def test_with_all_nodes_down_clients_are_told_of_each(trio, trio_weir):
    weir = trio_weir(trio, cluster={"failover_wait": "1s"})
    w, writer = weir.wire(seconds=20), weir.wire(seconds=20)
    w.query("SELECT 1")
    for i in range(3):
        trio.kill(i)
    start = time.monotonic()
    writer.send(wire.query("INSERT INTO once VALUES (1)"))
    for c, sql in ((w, "SELECT 2"), (writer, None)):
        with pytest.raises(wire.ServerError) as e:
            c.query(sql) if sql else c.finish()
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "57P03")
        assert e.value.message == 'no server is available for database "app"'
        assert all(name in e.value.detail for name in ("pg1", "pg2", "pg3"))
    assert 0.8 < time.monotonic() - start < 3 + SLACK
    for i in range(3):
        trio.restart(i)
    wait_nodes_up(weir)
    assert w.value("SELECT 'kept'") == "kept" and write(writer, 1) == "pg1"


def test_with_all_nodes_down_each_client_is_told_what_it_lost(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio, cluster={"failover_wait": "1s"}, default_pool_size=10)
    crowd = Crowd(weir, trio)
    for i in range(3):
        trio.kill(i)
    crowd.wait()
    for w in [*crowd.waiting, crowd.reading]:
        with pytest.raises(wire.ServerError) as e:
            w.finish()
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "57P03")
    for i in range(3):
        trio.restart(i)
    wait_nodes_up(weir)
    crowd._check_open()
    crowd._check_lost(crowd.writing, b"")
    crowd._check_lost(crowd.copying, wire.copy_done())
    crowd._check_copy_in_transaction()
    assert write(crowd.idle, 300) == "pg1"
    assert [write(w, 400 + i) for i, w in enumerate(crowd.waiting)] == ["pg1"] * 3
    crowd.release()


def test_a_login_while_all_nodes_are_down_is_57P03(trio, trio_weir):
    for i in range(3):
        trio.kill(i)
    weir = trio_weir(trio, cluster={"failover_wait": "1s"}, wait=False)
    with pytest.raises(wire.ServerError) as e:
        weir.wire(seconds=20)
    assert (e.value.level, e.value.sqlstate) == ("FATAL", "57P03")
    assert all(name in e.value.detail for name in ("pg1", "pg2", "pg3"))


# --- exactly once

@pytest.mark.deadline(60 + 10 * KILLS)
def test_every_acknowledged_write_is_there_exactly_once(new_trio, trio_weir):
    trio = new_trio(synchronous_standby_names="ANY 1 (*)")
    weir = trio_weir(trio)
    writers = Writers(lambda: weir.wire(seconds=30))
    for _ in range(KILLS):
        before = len(writers.acknowledged)
        wait_until(lambda: len(writers.acknowledged) > before + 50, 20, "writes")
        dead = trio.primary
        trio.kill(dead)
        killed = time.monotonic()
        trio.fail_over()
        before = len(writers.acknowledged)
        wait_until(lambda: len(writers.acknowledged) > before, 20, "the first commit after the kill")
        print(f"first commit {time.monotonic() - killed:.2f} s after the kill")
        trio.rebuild(dead)
        wait_nodes_up(weir)
    writers.stop()
    print(f"{len(writers.acknowledged)} acknowledged, {len(writers.rolled_back)} rolled back, {len(writers.unknown)} unknown")
    assert len(writers.rolled_back) + len(writers.unknown) <= 4 * KILLS + 4, "one kill hurts each writer once"
    writers.check([r[0] for r in trio[trio.primary].sql("SELECT id FROM once")])


def take_over(trio, name):
    """NAME was promoted: the other replica follows it."""
    dead, trio.primary = trio.primary, trio.index(name)
    trio.follow(({0, 1, 2} - {dead, trio.primary}).pop(), trio.primary)
    return dead


@pytest.mark.deadline(60 + 15 * KILLS)
def test_a_promotion_of_our_own_loses_and_doubles_nothing(new_trio, trio_weir):
    """auto_failover: the one that has every acknowledged write is promoted."""
    trio = new_trio(synchronous_standby_names="ANY 1 (*)")
    with trio[0].connect(dbname="postgres") as c:
        c.execute("GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor")
    weir = trio_weir(trio, cluster={"auto_failover": 1, "check_interval": "500ms", "check_interval_fast": "50ms"})
    writers = Writers(lambda: weir.wire(seconds=30))
    for _ in range(KILLS):
        writers.more()
        killed = time.monotonic()
        trio.kill(trio.primary)
        old = trio[trio.primary].name
        dead = take_over(trio, wait_until(lambda: primary_of(weir) not in (None, "", old) and primary_of(weir), 15, "a new primary"))
        print(f"promoted after {time.monotonic() - killed:.2f} s, "
              f"first commit {writers.first_commit(killed, trio[trio.primary].name):.2f} s after the kill")
        trio.rebuild(dead)
        wait_nodes_up(weir)
    writers.more()
    writers.stop()
    print(f"{len(writers.acknowledged)} acknowledged, {len(writers.rolled_back)} rolled back, {len(writers.unknown)} unknown")
    writers.check([r[0] for r in trio[trio.primary].sql("SELECT id FROM once")])


def test_one_of_two_replicas_is_no_majority(new_trio, trio_weir):
    trio = new_trio()
    with trio[0].connect(dbname="postgres") as c:
        c.execute("GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor")
    trio.wait_caught_up()
    weir = trio_weir(trio, cluster={"auto_failover": 1})
    trio.kill(2)
    wait_state(weir, "pg3", "down")
    trio.kill(0)
    wait_state(weir, "pg1", "down")
    stays_true(lambda: primary_of(weir) in ("", None) and trio[1].in_recovery(), 2)
    trio.restart(0)
    assert write(weir.wire(seconds=20), 1) == "pg1"
