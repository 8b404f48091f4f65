# SPDX-License-Identifier: ISC
"""COPY in, out and both."""
import os
import subprocess

import psycopg2.extras
import pytest

from harness import place, wire
from harness.cluster import programs
from harness.wait import Worker, wait_until


@pytest.fixture
def table(cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (a int, b text); GRANT ALL ON {unique} TO app")
    yield unique
    cluster.sql(f"DROP TABLE {unique}")


def test_copy_in_and_out_keep_every_row(module_weir, table):
    with module_weir.connect() as c:
        with c.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for i in range(20000):
                copy.write_row((i, "text" * (i % 50)))
        with c.cursor().copy(f"COPY (SELECT * FROM {table} ORDER BY a) TO STDOUT") as copy:
            rows = list(copy.rows())
    assert rows == [(str(i), "text" * (i % 50)) for i in range(20000)]


def test_copy_of_40_mb_in_large_messages(module_weir, table, cluster):
    w = module_weir.wire(seconds=30)
    w.send(wire.query(f"COPY {table} (b) FROM STDIN"))
    w.until("G")
    line = b"z" * 999_999 + b"\n"
    for _ in range(20):
        w.send(wire.copy_data(line * 2))
    w.send(wire.copy_done())
    assert w.kinds() == "CZ"
    assert cluster.sql(f"SELECT count(*), min(length(b)), max(length(b)) FROM {table}") == [(40, 999_999, 999_999)]


def test_copy_data_may_cut_rows_anywhere(module_weir, table, cluster):
    w = module_weir.wire()
    w.send(wire.query(f"COPY {table} FROM STDIN"))
    w.until("G")
    for byte in b"1\tone\n2\ttwo\n":
        w.send(wire.copy_data(bytes([byte])))
    w.send(wire.copy_done())
    assert w.kinds() == "CZ"
    assert cluster.sql(f"SELECT * FROM {table} ORDER BY a") == [(1, "one"), (2, "two")]


def test_copy_fail_leaves_nothing_and_the_client_usable(module_weir, table, cluster):
    w = module_weir.wire()
    w.send(wire.query(f"COPY {table} FROM STDIN"))
    w.until("G")
    w.send(wire.copy_data(b"1\tone\n"), wire.copy_fail("changed my mind"))
    with pytest.raises(wire.ServerError, match="changed my mind"):
        w.finish()
    assert w.value(f"SELECT count(*) FROM {table}") == "0"


def test_bad_copy_data_is_an_error_and_late_data_is_dropped(module_weir, table):
    w = module_weir.wire()
    w.send(wire.query(f"COPY {table} FROM STDIN"))
    w.until("G")
    w.send(wire.copy_data(b"not a number\tx\n"))
    for _ in range(200):
        w.send(wire.copy_data(b"1\tone\n"))
    w.send(wire.copy_done())
    with pytest.raises(wire.ServerError, match="22P02"):
        w.finish()
    for i in range(5):
        assert w.value(f"SELECT {i}") == str(i)


def test_copy_in_by_the_extended_protocol(module_weir, table, cluster):
    w = module_weir.wire()
    w.send(wire.parse("", f"COPY {table} FROM STDIN"), wire.bind(), wire.execute(), wire.sync())
    w.until("G")
    w.send(wire.copy_data(b"7\tseven\n"), wire.copy_done(), wire.sync())
    assert w.kinds() == "CZ"
    assert cluster.sql(f"SELECT * FROM {table}") == [(7, "seven")]
    # the Sync that came before CopyInResponse was read by the server and ignored
    assert w.value("SELECT 8") == "8"


@pytest.mark.parametrize("ahead", [wire.query, lambda sql: wire.parse("", sql) + wire.bind() + wire.execute()], ids=["query", "extended"])
@pytest.mark.parametrize("data, end, said", [(b"7\tseven\n", wire.copy_done(), "C"), (b"bad\n", wire.copy_done(), "E"),
                                             (b"7\tseven\n", wire.copy_fail("no"), "E"), (b"bad\n", wire.copy_fail("no"), "E")])
def test_copy_in_may_be_sent_without_waiting_for_its_beginning(module_weir, table, ahead, data, end, said):
    w = module_weir.wire()
    sync = b"" if ahead is wire.query else wire.sync()
    copy = ahead(f"COPY {table} FROM STDIN") + wire.copy_data(data) + end + sync
    w.send(copy, wire.extended("SELECT 8"), wire.sync(), copy, wire.query("SELECT 9"), wire.copy_done())
    begun = "G" if ahead is wire.query else "12G"
    assert [w.kinds() for _ in range(4)] == [f"{begun}{said}Z", "12TDCZ", f"{begun}{said}Z", "TDCZ"]
    w.send(wire.query(f"COPY {table} FROM STDIN; COPY {table} FROM STDIN; SELECT 10"), (wire.copy_data(data) + end) * 2, wire.extended("SELECT 11"), wire.sync())
    assert w.kinds() == ("GCGCTDCZ" if said == "C" else "GEZ")
    assert w.finish() == [["11"]]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("instead", [wire.describe("P"), wire.sync() + wire.parse("", "SELECT 1")], ids=["describe", "parse"])
def test_something_else_in_the_place_of_copy_data_is_an_error(module_weir, table, waits, instead):
    """PostgreSQL ends the connection then. A Sync before it is ignored; the one behind it has an answer."""
    w = module_weir.wire()
    w.send(wire.parse("", f"COPY {table} FROM STDIN"), wire.bind(), wire.execute(), wire.flush())
    if waits:
        w.until("G")
    w.send(instead, wire.sync())
    said = w.until("Z")
    assert [m.fields()["C"] for m in said if m.kind == "E"] == ["08P01", "40001"]
    assert w.value("SELECT 3") == "3"


def test_a_client_that_leaves_during_copy_in_writes_nothing(make_weir, table, cluster):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.send(wire.query(f"COPY {table} FROM STDIN"))
    w.until("G")
    w.send(wire.copy_data(b"1\tone\n" * 1000))
    w.reset()
    assert weir.wire().value(f"SELECT count(*) FROM {table}") == "0"


def test_a_client_that_leaves_during_copy_out_frees_its_server(make_weir):
    weir = make_weir(default_pool_size=1)
    w = weir.wire()
    w.send(wire.query("COPY (SELECT repeat('x', 10000) FROM generate_series(1, 100000)) TO STDOUT"))
    w.until("d")
    w.reset()
    assert weir.wire().value("SELECT 'next'") == "next"


def test_copy_belongs_to_its_own_client(make_weir, table, cluster):
    weir = make_weir(default_pool_size=4)

    def load(number):
        w = weir.wire()
        for _ in range(5):
            w.send(wire.query(f"COPY {table} FROM STDIN"))
            w.until("G")
            w.send(*[wire.copy_data(b"%d\tx\n" % number) for _ in range(100)], wire.copy_done())
            assert w.kinds() == "CZ"
    for worker in [Worker(load, i) for i in range(12)]:
        worker.result()
    assert cluster.sql(f"SELECT DISTINCT count(*) FROM {table} GROUP BY a") == [(500,)]


@pytest.fixture
def replicating(make_weir):
    return make_weir(databases={"app": {}, "*": {}}, default_pool_size=2)


def test_logical_replication_streams_both_ways(replicating, cluster, table):
    c = replicating.keep(psycopg2.connect(replicating.dsn(), connection_factory=psycopg2.extras.LogicalReplicationConnection))
    cursor = c.cursor()
    slot = "slot_" + table
    cursor.create_replication_slot(slot, output_plugin="test_decoding")
    try:
        cursor.start_replication(slot_name=slot, decode=True, status_interval=1)
        cluster.sql(f"INSERT INTO {table} VALUES (11, 'streamed')")
        seen = []

        def arrived():
            m = cursor.read_message()
            if m is None:
                return False
            seen.append(m.payload)
            m.cursor.send_feedback(flush_lsn=m.data_start, reply=True)
            return any("streamed" in payload for payload in seen)
        wait_until(arrived, 10, "the inserted row in the stream")
    finally:
        c.close()
        wait_until(lambda: not cluster.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (slot,)),
                   10, "the walsender leaving when its client left")
        cluster.sql("SELECT pg_drop_replication_slot(%s)", (slot,))


def test_a_replication_connection_has_a_server_of_its_own(replicating, cluster):
    c = replicating.keep(psycopg2.connect(replicating.dsn(), connection_factory=psycopg2.extras.LogicalReplicationConnection))
    cursor = c.cursor()
    cursor.execute("IDENTIFY_SYSTEM")
    assert cursor.fetchone()[3] == "app"
    assert [replicating.wire().value("SELECT 1") for _ in range(4)] == ["1"] * 4
    c.close()
    wait_until(lambda: not cluster.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' AND usename = 'app'"), 10,
               "the walsender gone: such a connection is never pooled")


def test_a_replication_connection_gets_the_place_of_an_idle_server(replicating):
    """On whichever worker that is."""
    clients = [replicating.wire() for _ in range(2)]
    for sql in ("BEGIN; SELECT 1", "COMMIT"):
        for w in clients:
            w.query(sql)
    walsenders = [replicating.raw().login("app", "app", replication="database") for _ in range(2)]
    assert [w.query("IDENTIFY_SYSTEM")[0][3] for w in walsenders] == ["app", "app"]
    walsenders[0].close()
    assert [w.value("SELECT 1") for w in clients] == ["1", "1"], "its place is free again"


def test_a_replication_connection_gets_the_place_of_a_server_that_comes_back(replicating):
    clients = [replicating.wire() for _ in range(3)]
    for w in clients[:2]:
        w.query("BEGIN; SELECT 1")
    left, stays = replicating.raw(), replicating.raw()
    for w in (left, stays):
        w.send(wire.startup(user="app", database="app", replication="database"))
    wait_until(lambda: [c["user"] for c in replicating.console("SHOW CLIENTS")].count("app") == 5, 10, "both waiting")
    left.close()
    clients[2].send(wire.query("SELECT 'waited'"))
    clients[0].query("COMMIT")
    stays.authenticate("app", None)
    assert stays.query("IDENTIFY_SYSTEM")[0][3] == "app"
    clients[1].query("COMMIT")
    assert clients[2].finish() == [["waited"]]
    assert [w.value("SELECT 1") for w in clients] == ["1"] * 3


def test_pg_basebackup_runs_through(replicating):
    target = os.path.join(replicating.folder, "backup")
    place.run(f"{programs()}/pg_basebackup", "-D", target, "-X", "stream", "-c", "fast", "--no-sync", "-h", "127.0.0.1",
              "-p", replicating.port, "-U", "app", "--no-slot")
    assert os.path.exists(os.path.join(target, "backup_manifest"))
    place.run(f"{programs()}/pg_verifybackup", "-q", target)


def test_pg_receivewal_streams_until_its_end(replicating, cluster):
    target = os.path.join(replicating.folder, "wal")
    os.mkdir(target)
    place.give(target)
    end = cluster.value("SELECT pg_current_wal_lsn() + 16 * 1024 * 1024")
    receiver = subprocess.Popen(
        place.command(f"{programs()}/pg_receivewal", "-D", target, "-h", "127.0.0.1", "-p", replicating.port, "-U", "app",
                      "--endpos", end, "--no-loop", "--no-sync"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")

    wait_until(lambda: receiver.poll() is not None or os.listdir(target), 20, "it streams: what was before is not asked for")

    def ended():
        cluster.sql("SELECT pg_logical_emit_message(false, 'test', 'more'), pg_switch_wal()")
        return receiver.poll() is not None
    wait_until(ended, 20, "pg_receivewal at its end", step=0.2)
    assert receiver.returncode == 0, receiver.stdout.read()
    assert os.listdir(target)
