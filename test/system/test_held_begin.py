# SPDX-License-Identifier: ISC
"""BEGIN is answered by pgweir and goes out in front of the first statement, which shows where to: nobody can tell."""
import random
import time

import psycopg
import pytest

from harness import wire
from harness.replicas import WHERE, bound_to_primary, node_of, reason, wait_nodes_up
from harness.wait import Worker, wait_until

REPLICAS = {"pg2", "pg3"}
READ_ONLY = ["BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
             "BEGIN;SET TRANSACTION READ ONLY", "BEGIN;SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
             "/* a */ BEGIN READ ONLY -- b", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;BEGIN",
             "SET default_transaction_read_only = on;START TRANSACTION", "BEGIN READ ONLY;SET TRANSACTION READ ONLY",
             "SET default_transaction_read_only TO 'true';BEGIN ISOLATION LEVEL READ COMMITTED"]
READ_ONLY_HERE = ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "/* pgweir: route=primary */ BEGIN READ ONLY",
                  "BEGIN READ ONLY;SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN READ WRITE;SET TRANSACTION READ ONLY",
                  "SET default_transaction_isolation = serializable;BEGIN READ ONLY"]
READ_WRITE = ["BEGIN", "START TRANSACTION", "BEGIN READ WRITE", "BEGIN READ ONLY;SET TRANSACTION READ WRITE",
              "SET default_transaction_read_only = on;BEGIN READ WRITE",
              "SET default_transaction_read_only = on;SET default_transaction_read_only = off;BEGIN"]


def simple(w, sql):
    return w.query(sql)


def extended(w, sql):
    return w.extended(sql)


def named(w, sql):
    """As JDBC does with what comes often: a statement of that name is there already, or now."""
    w.names = getattr(w, "names", {})
    name = w.names.setdefault(sql, f"s{len(w.names)}")
    w.send(wire.close("S", name), wire.extended(sql, name=name), wire.sync())
    return w.finish()


BOTH = [simple, extended]
WAYS = [*BOTH, named]


@pytest.fixture
def weir(trio, module_trio_weir):
    wait_nodes_up(module_trio_weir)
    return module_trio_weir


def in_transaction(server):
    return server.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in transaction%%'")


# --- where it goes

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("opening, read_only, nodes", [(o, "on", REPLICAS) for o in READ_ONLY]
                         + [(o, "on", {"pg1"}) for o in READ_ONLY_HERE] + [(o, "off", {"pg1"}) for o in READ_WRITE])
def test_the_opening_decides_where_the_transaction_runs(weir, trio, way, opening, read_only, nodes):
    for _ in range(20):
        w = weir.wire()
        for sql in opening.split(";"):
            way(w, sql)
        way(w, "SHOW pgweir.route") if way is simple else None
        assert w.status == "T" and [in_transaction(n) for n in trio] == [0, 0, 0]
        seen = {way(w, f"SELECT {WHERE}")[0][0] for _ in range(3)}
        if not bound_to_primary(reason(w)):
            break
        way(w, "ROLLBACK")
    assert len(seen) == 1 and seen <= nodes
    assert way(w, "SHOW transaction_read_only") == [[read_only]]
    way(w, "COMMIT")
    assert w.status == "I"


@pytest.mark.parametrize("way", WAYS)
def test_a_hint_of_the_first_statement_counts_and_that_of_begin_too(weir, way):
    w = weir.wire()
    for begin, first, nodes in [("BEGIN", "/* pgweir: route=replica */", REPLICAS),
                                ("/* pgweir: route=node:pg3 */ BEGIN", "", {"pg3"}),
                                ("/* pgweir: route=node:pg3 */ BEGIN", "/* pgweir: max_lag=1h */", {"pg3"}),
                                ("/* pgweir: route=node:pg3 */ BEGIN", "/* pgweir: route=node:pg2 */", {"pg2"})]:
        way(w, begin)
        assert way(w, f"{first} SELECT {WHERE}")[0][0] in nodes, (begin, first)
        way(w, "ROLLBACK")


@pytest.mark.parametrize("kind", ["one batch", "two batches"])
def test_a_read_only_block_that_is_left_before_a_write_is_none_for_a_replica(weir, kind):
    w = weir.wire()
    end = [wire.extended(f"SELECT {WHERE}"), wire.extended("COMMIT"),
           wire.extended(f"INSERT INTO notes VALUES (70) RETURNING {WHERE}"), wire.sync()]
    w.send(wire.extended("BEGIN READ ONLY"), b"" if kind == "one batch" else wire.sync(), *end)
    if kind == "two batches":
        w.finish()
    assert w.finish() == [["pg1"], ["pg1"]] and w.status == "I"
    w.query("BEGIN READ ONLY")
    assert w.query(f"SELECT {WHERE}; COMMIT; INSERT INTO notes VALUES (70) RETURNING {WHERE}") == [["pg1"], ["pg1"]]


def test_drivers_get_a_replica_for_what_they_say_is_read_only(weir):
    with weir.connect(autocommit=False) as c:
        c.read_only = True
        assert c.execute(f"SELECT {WHERE}").fetchone()[0] in REPLICAS
        c.rollback()
        c.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        assert c.execute(f"SELECT {WHERE}").fetchone()[0] == "pg1"
        c.rollback()
        c.read_only, c.isolation_level = None, None
        with c.pipeline():
            written = c.execute(f"INSERT INTO notes VALUES (71) RETURNING {WHERE}")
            read = c.execute(f"SELECT {WHERE}")
        assert (written.fetchone()[0], read.fetchone()[0]) == ("pg1", "pg1")
        c.commit()


# --- it costs nothing

@pytest.mark.parametrize("way", WAYS)
def test_an_empty_transaction_needs_no_server(make_weir, cluster, way):
    weir = make_weir(default_pool_size=1, query_wait_timeout=2)
    w, holder = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    for end in ("COMMIT", "ROLLBACK", "END", "ABORT"):
        for sql in ("BEGIN", "SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"):
            assert way(w, sql) == [] and w.status == "T"
        assert way(w, end) == [] and w.status == "I"
    way(w, "BEGIN")
    holder.query("COMMIT")
    assert int(way(w, "SELECT pg_backend_pid()")[0][0]) in cluster.pids() and in_transaction(cluster) == 1
    way(w, "COMMIT")


def test_what_is_kept_is_bounded(weir, trio):
    w = weir.wire()
    w.query("BEGIN /*" + "x" * 2000 + "*/")
    assert in_transaction(trio[0]) == 1
    w.query("ROLLBACK")
    w.query("BEGIN")
    for _ in range(40):
        w.query("SET TRANSACTION READ ONLY")
    assert sum(in_transaction(n) for n in trio) == 1
    assert w.value("SHOW transaction_read_only") == "on"
    w.query("ROLLBACK")


@pytest.mark.parametrize("settings", [{"pool_mode": "session"}, {"compat": "pgbouncer"}, {"section": "pgbouncer"}])
def test_where_a_server_stays_or_pgbouncer_is_copied_begin_goes_to_it_at_once(make_weir, cluster, settings):
    w = make_weir(**settings).wire()
    w.query("BEGIN")
    assert in_transaction(cluster) == 1
    w.query("COMMIT")


# --- whoever talks cannot tell

STATEMENTS = ["BEGIN"] * 4 + ["BEGIN READ ONLY", "START TRANSACTION", "begin isolation level repeatable read read only",
                              "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL NONSENSE", "/* c */ BEGIN; -- d"] \
    + ["COMMIT"] * 3 + ["END", "ROLLBACK", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND NO CHAIN"] \
    + ["SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION SNAPSHOT 'none'",
       "SET LOCAL TRANSACTION READ WRITE", "SHOW transaction_read_only", "SHOW transaction_isolation", "SELECT 1", "SELECT 1/0",
       "", "-- nothing", "SAVEPOINT a", "ROLLBACK TO a", "BEGIN; SELECT 2", "SELECT 3; COMMIT", "SELEC",
       "INSERT INTO mine VALUES (1)", "DELETE FROM mine", "SELECT count(*) FROM mine",
       "DECLARE c CURSOR FOR SELECT 4", "FETCH c", "SET LOCAL work_mem = '1MB'", "SHOW work_mem"]


class Talk:
    """The same random conversation again and again: steps are lists of messages with the number of answers they have."""

    def __init__(self, seed):
        self.dice, self.seed, self.n_names = random.Random(seed), seed, 0

    def steps(self, count):
        return [self._step() for _ in range(count)]

    def _step(self):
        requests = [self._request() for _ in range(self.dice.choice([1, 1, 1, 1, 2, 3]))]
        return b"".join(requests), len(requests)

    def _request(self):
        sql = self.dice.choice(STATEMENTS)
        if self.dice.random() < 0.4:
            return wire.query(sql)
        return b"".join(self._extended() for _ in range(self.dice.choice([1, 1, 2, 3]))) + wire.sync()

    def _extended(self):
        sql, kind = self.dice.choice(STATEMENTS), self.dice.randint(0, 9)
        if kind < 2:
            return wire.parse("", sql) + wire.describe("S", "")
        if kind == 2:
            return wire.parse("", sql) + wire.bind("", "", ["too many"]) + wire.execute()
        if kind == 3:
            return wire.parse("", sql) + wire.bind() + wire.describe() + wire.execute() + wire.execute()
        if kind == 4:
            return wire.parse("", sql) + wire.bind("p") + wire.flush() + wire.describe("P", "p") + wire.execute("p")
        if kind < 7:
            self.n_names += 1
            name = f"n{self.n_names}"
            return wire.parse(name, f"{sql} /* {self.seed} {name} */") + wire.bind("", name) + wire.execute()
        return wire.extended(sql)


def said(m):
    if m.kind in "EN":
        return m.kind, m.fields()["C"], m.fields()["M"]
    return m.kind, m.body


def heard(w, step):
    messages, count = step
    w.send(messages)
    out = []
    while sum(m.kind == "Z" for m in out) < count:
        out.append(w.receive(20))
    return [said(m) for m in out if m.kind not in "SA"]


def compare(weir, direct, seed, count=120):
    with wire.Wire(direct.folder, direct.port) as theirs, wire.Wire("127.0.0.1", weir.port) as ours:
        for w, schema in ((theirs, "theirs"), (ours, "ours")):
            direct.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {schema}.mine (i int); "
                       f"TRUNCATE {schema}.mine; GRANT USAGE ON SCHEMA {schema} TO app; GRANT ALL ON {schema}.mine TO app")
            w.login(options=f"-c search_path={schema}")
        ours.query("INSERT INTO mine VALUES (0)")  # from now on it sees the table wherever it reads
        theirs.query("INSERT INTO mine VALUES (0)")
        for step in [*Talk(seed).steps(count), (wire.query("ROLLBACK"), 1)]:
            answer = heard(theirs, step)
            assert heard(ours, step) == answer, (seed, step)


@pytest.mark.parametrize("seed", range(10))
def test_a_conversation_is_that_of_postgresql(weir, trio, seed):
    compare(weir, trio[0], seed)


@pytest.mark.parametrize("seed", range(100, 110))
def test_a_conversation_is_that_of_postgresql_without_a_cluster(make_weir, cluster, seed):
    compare(make_weir(default_pool_size=2), cluster, seed)


# --- no server can be had

@pytest.mark.parametrize("way", WAYS)
def test_a_first_statement_that_finds_no_server_fails_the_transaction(make_weir, way):
    weir = make_weir(default_pool_size=1, query_wait_timeout="300ms")
    holder, w = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    way(w, "BEGIN")
    with pytest.raises(wire.ServerError, match="53300"):
        way(w, "SELECT 1")
    assert w.status == "E"
    holder.query("COMMIT")
    for _ in range(2):
        with pytest.raises(wire.ServerError, match="25P02"):
            way(w, "SELECT 1")
        assert w.status == "E"
    w.send(wire.query("COMMIT"))
    assert [said(m)[1] for m in w.until()] == [b"ROLLBACK\0", b"I"]
    assert way(w, "SELECT 1") == [["1"]]


def test_a_cancelled_first_statement_fails_the_transaction(make_weir):
    weir = make_weir(default_pool_size=1)
    holder, w = weir.wire(), weir.wire()
    holder.query("BEGIN; SELECT 1")
    w.query("BEGIN")
    w.send(wire.query("SELECT 1"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    with pytest.raises(wire.ServerError, match="57014"):
        w.finish()
    assert w.status == "E"
    w.query("ROLLBACK")
    holder.query("COMMIT")
    assert w.value("SELECT 1") == "1"


def test_a_statement_that_pgweir_refuses_fails_the_transaction(weir):
    w = weir.wire()
    w.query("BEGIN")
    with pytest.raises(wire.ServerError, match="22023"):
        w.query("SET pgweir.route = 'sideways'")
    assert w.status == "E"
    w.query("ROLLBACK")
    assert w.status == "I" and node_of(w) in REPLICAS


# --- nothing is lost with a primary that nobody had asked yet

def test_a_primary_that_dies_before_the_first_statement_loses_nothing(trio, trio_weir):
    weir = trio_weir(trio)
    clients = [weir.wire(seconds=30) for _ in range(2)]
    for way, w in zip(BOTH, clients):
        way(w, "BEGIN")
    trio.kill(0)
    waiting = [Worker(way, w, f"INSERT INTO once VALUES (770) RETURNING {WHERE}") for way, w in zip(BOTH, clients)]
    time.sleep(0.3)
    trio.restart(0)
    assert [w.result(30) for w in waiting] == [[["pg1"]]] * 2
    for w in clients:
        assert w.query("COMMIT") == [] and w.status == "I"
    assert trio.value("SELECT count(*) FROM once WHERE id = 770") == 2


def test_a_first_read_that_loses_its_server_runs_elsewhere_in_its_transaction(trio, trio_weir):
    weir = trio_weir(trio)
    w = weir.wire(seconds=20)
    w.query("BEGIN READ ONLY")
    w.send(wire.query(f"SELECT pg_sleep(2), {WHERE}, 'first read'"))
    wait_until(lambda: any(n.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'active' AND "
                                   "query LIKE '%%first read%%' AND pid <> pg_backend_pid()") for n in trio))
    [[_, node, _]] = w.finish()
    assert w.status == "T" and node_of(w) == node and w.value("SHOW transaction_read_only") == "on"
    w.query("COMMIT")


@pytest.mark.parametrize("way", BOTH)
def test_a_first_write_that_loses_its_server_is_40001(trio, trio_weir, way):
    w = trio_weir(trio).wire(seconds=20)
    way(w, "BEGIN")
    asked = Worker(way, w, "UPDATE register SET v = v WHERE k = 41 AND pg_sleep(20) IS NOT NULL")
    wait_until(lambda: trio.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'UPDATE reg%%' "
                                  "AND state = 'active' AND usename = 'app'"))
    with pytest.raises(wire.ServerError, match="40001"):
        asked.result(20)
    assert w.status == "E"
    w.query("ROLLBACK")
    assert w.value("SELECT 1") == "1"


# --- operators

def test_pause_lets_a_transaction_open_and_holds_its_first_statement(make_weir):
    weir = make_weir(query_wait_timeout=1)
    w = weir.wire()
    weir.console("PAUSE")
    w.query("BEGIN")
    w.send(wire.query("SELECT 'resumed'"))
    time.sleep(1.3)
    weir.console("RESUME")
    assert w.finish() == [["resumed"]] and w.status == "T"
    w.query("COMMIT")


def test_statement_mode_refuses_begin_as_ever(make_weir):
    w = make_weir(pool_mode="statement").wire()
    for way in BOTH:
        with pytest.raises(wire.ServerError, match="0A000"):
            way(w, "BEGIN")
        assert w.status == "I" and w.value("SELECT 1") == "1"


def test_an_unnamed_statement_outlives_what_pgweir_says_to_the_server(make_weir):
    """What brings a server to the session's settings, or begins, ends the server's unnamed statement."""
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.extended("SELECT 'mine'")
    b.query("SET work_mem = '5MB'")
    b.extended("SELECT 'mine'")
    again = wire.bind() + wire.execute() + wire.sync()
    a.send(again)
    assert a.finish() == [["mine"]]
    a.extended("SELECT 'mine'")
    a.send(wire.extended("BEGIN", name="begin"), wire.sync())
    a.finish()
    a.send(again)
    assert a.finish() == [["mine"]] and a.status == "T"
