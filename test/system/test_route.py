# SPDX-License-Identifier: ISC
"""Which node a statement goes to, and what a session can say about it."""
import collections
import re

import psycopg
import pytest

from harness import wire
from harness.replicas import WHERE, node_of, reason, wait_nodes_up
from harness.wait import wait_until

REPLICAS = {"pg2", "pg3"}


@pytest.fixture
def weir(trio, module_trio_weir):
    wait_nodes_up(module_trio_weir)
    return module_trio_weir


def last_node(w):
    return w.value("SHOW pgweir.last_node")


def spread(w, count=60):
    return collections.Counter(node_of(w) for _ in range(count))


# --- which statement goes where

def both(call):
    """call() names a node: sooner or later each replica. One may be passed over until pgweir has seen that it holds what
    the session has read on the other."""
    seen = set()
    wait_until(lambda: seen.add(call()) or seen >= REPLICAS)
    assert seen == REPLICAS


@pytest.mark.parametrize("balance", ["least_conn", "round_robin"])
def test_reads_spread_over_the_replicas(trio, trio_weir, balance):
    w = trio_weir(trio, cluster={"balance": balance}).wire()

    def fair():
        found = spread(w, 120)
        assert set(found) <= REPLICAS
        return len(found) == 2 and min(found.values()) >= 12
    wait_until(fair)


def test_balancing_by_latency_uses_replicas(trio, trio_weir):
    """Which of two equals is for their latency to say."""
    assert set(spread(trio_weir(trio, cluster={"balance": "latency"}).wire(), 30)) <= REPLICAS


def test_hash_keeps_a_client_on_one_replica(trio, trio_weir):
    weir = trio_weir(trio, cluster={"balance": "hash"})
    assert len({node_of(weir.wire()) for _ in range(10)}) == 1


@pytest.mark.parametrize("sql", [
    f"SELECT {WHERE}", "VALUES (1)", "TABLE notes", "SELECT * FROM notes, register", "SELECT twice(2)",
    "EXPLAIN SELECT * FROM notes",
    "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT now()", "SELECT count(*) FROM pg_class", "SELECT 1; SELECT 2",
    "SELECT max(v) FROM register GROUP BY k % 2 ORDER BY 1",
])
def test_a_read_goes_to_a_replica(weir, sql):
    w = weir.wire()
    w.query(sql)
    assert last_node(w) in REPLICAS
    assert reason(w) == "read"


@pytest.mark.parametrize("sql", [
    "INSERT INTO notes VALUES (1, 'x')", "UPDATE register SET v = v WHERE k = 1", "DELETE FROM notes WHERE i = -1",
    "SELECT * FROM register WHERE k = 1 FOR UPDATE", "SELECT nextval('counter')", "SELECT writes(1)",
    "WITH a AS (INSERT INTO notes VALUES (1) RETURNING 1) SELECT * FROM a", "CREATE TABLE made AS SELECT 1; DROP TABLE made",
    "SELECT 1; INSERT INTO notes VALUES (1)", "DO $$ BEGIN END $$", "EXPLAIN ANALYZE DELETE FROM notes WHERE i = -1",
    "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)", "TRUNCATE notes", "SELECT txid_current()",
    "SELECT set_config('a.b', nextval('counter')::text, true)",
])
def test_whatever_may_write_goes_to_the_primary(weir, sql):
    w = weir.wire()
    w.query(sql)
    assert last_node(w) == "pg1"
    assert reason(w) != "read"


def test_a_function_made_since_is_not_trusted(weir, trio, unique):
    trio.sql(0, f"CREATE FUNCTION {unique}() RETURNS text VOLATILE LANGUAGE sql "
                f"AS 'INSERT INTO notes VALUES (7, ''{unique}''); SELECT {WHERE.replace(chr(39), chr(39) * 2)}'")
    try:
        assert weir.wire().value(f"SELECT {unique}()") == "pg1"
    finally:
        trio.sql(0, f"DROP FUNCTION {unique}()")


def test_a_function_that_lied_is_retried_on_the_primary_and_remembered(weir):
    """Declared STABLE, it writes: the replica answers 25006 before any row."""
    w = weir.wire()
    assert w.value("SELECT liar()").endswith(" pg1")
    assert reason(w) == "a replica refused it as a write"
    assert w.extended("SELECT liar()")[0][0].endswith(" pg1")
    w.query("SELECT liar()")
    assert last_node(w) == "pg1"


def test_transactions_go_to_the_primary_and_read_only_ones_to_a_replica(weir):
    w = weir.wire()
    w.query("BEGIN")
    assert {node_of(w) for _ in range(5)} == {"pg1"}
    w.query("COMMIT")
    w = weir.wire()  # what the other has seen is not this one's business
    for begin in ("BEGIN READ ONLY", "START TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
        w.query(begin)
        nodes = {node_of(w) for _ in range(5)}
        w.query("COMMIT")
        assert len(nodes) == 1 and nodes < REPLICAS, begin
    c = weir.connect(autocommit=False)
    c.read_only = True
    assert c.execute(f"SELECT {WHERE}").fetchone()[0] in REPLICAS
    c.rollback()
    c.read_only = None
    assert c.execute(f"SELECT {WHERE}").fetchone()[0] == "pg1"
    c.rollback()


def test_a_write_in_a_read_only_transaction_is_the_servers_error(weir):
    w = weir.wire()
    w.query("BEGIN READ ONLY")
    with pytest.raises(wire.ServerError, match="25006"):
        w.query("INSERT INTO notes VALUES (1)")
    assert w.status == "E"
    w.query("ROLLBACK")


def test_a_temporary_table_is_read_where_it_is(weir):
    w = weir.wire()
    w.query("CREATE TEMP TABLE mine (i int)")
    w.query("INSERT INTO mine VALUES (5)")
    for _ in range(5):
        assert w.value("SELECT i FROM mine") == "5"
    assert reason(w) in ("the session is pinned to its server", "not surely a read")


def test_settings_follow_the_session_to_every_node(weir):
    w = weir.wire(application_name="first")
    w.query("SET timezone TO 'Asia/Tokyo'")
    w.query("SET search_path TO pg_catalog, public")

    def where():
        node, *settings = w.query(f"SELECT {WHERE}, current_setting('timezone'), current_setting('search_path'), "
                                  "current_setting('application_name')")[0]
        assert settings == ["Asia/Tokyo", "pg_catalog, public", "first"]
        return node
    both(where)


# --- weights

def test_a_node_of_weight_zero_gets_no_reads(trio, trio_weir):
    weir = trio_weir(trio, nodes={"pg2": {"weight": 0}})
    assert set(spread(weir.wire(), 40)) == {"pg3"}


def test_weights_share_the_reads(trio, trio_weir):
    weir = trio_weir(trio, nodes={"pg2": {"weight": 4}}, cluster={"balance": "round_robin"})
    w = weir.wire()

    def shared():
        found = spread(w, 200)
        return found["pg3"] > 0 and 2 < found["pg2"] / found["pg3"] < 8
    wait_until(shared)


# --- what a session can ask for

@pytest.mark.parametrize("value, nodes, because", [
    ("primary", {"pg1"}, "pgweir.route = primary"), ("replica", REPLICAS, "pgweir.route = replica"),
    ("prefer-replica", REPLICAS, None), ("node:pg3", {"pg3"}, "pgweir.route names the node"),
    ("node:pg1", {"pg1"}, "pgweir.route names the node"),
])
def test_a_session_can_set_its_route(weir, value, nodes, because):
    w = weir.wire()
    w.query(f"SET pgweir.route = '{value}'")
    wait_until(lambda: set(spread(w, 20)) == nodes)
    if because:
        node_of(w)
        assert reason(w) == because
    assert w.value("SHOW pgweir.route") == value
    w.query("RESET pgweir.route")
    wait_until(lambda: set(spread(w, 20)) == REPLICAS)


@pytest.mark.parametrize("protocol", ["query", "extended"])
@pytest.mark.parametrize("how, value", [("SELECT set_config('pgweir.route', 'primary', false)", "primary"),
                                        ("SELECT set_config('pgweir.route'::text, 'primary', 'f')", "primary"),
                                        ("SET pgweir.route =\n\treplica -- now", "replica")])
def test_every_way_to_set_the_route_is_read(weir, how, value, protocol):
    w = weir.wire()
    getattr(w, protocol)(how)
    for _ in range(10):
        assert node_of(w) == last_node(w)
        assert reason(w) == f"pgweir.route = {value}" and (last_node(w) == "pg1") == (value == "primary")
    with pytest.raises(wire.ServerError, match="22023"):
        getattr(w, protocol)("SELECT set_config('pgweir.route', 'sideways', false)")
    assert w.value("SHOW pgweir.route") == value


def test_the_route_of_one_session_is_not_anothers(trio, trio_weir):
    weir = trio_weir(trio, default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query("SET pgweir.route = 'primary'")
    assert node_of(b) in REPLICAS and node_of(a) == "pg1"


def test_set_local_holds_until_the_end_of_the_transaction(weir):
    w = weir.wire()
    w.query("BEGIN")
    w.query("SET LOCAL pgweir.route = 'primary'")
    w.query("COMMIT")
    wait_until(lambda: node_of(w) in REPLICAS)


def test_the_dsn_can_set_the_route(weir):
    assert node_of(weir.wire(options="-c pgweir.route=primary")) == "pg1"
    assert weir.connect(options="-c pgweir.route=node:pg2").execute(f"SELECT {WHERE}").fetchone()[0] == "pg2"


@pytest.mark.parametrize("setting", ["route = 'sideways'", "route = 'node:'", "consistency = 'sometimes'", "max_lag = 'banana'",
                                     "min_lsn = 'xyz'"])
def test_a_bad_value_is_22023(weir, setting):
    w = weir.wire()
    with pytest.raises(wire.ServerError) as e:
        w.query(f"SET pgweir.{setting}")
    assert (e.value.level, e.value.sqlstate) == ("ERROR", "22023")
    assert node_of(w) in REPLICAS


def test_a_write_with_route_replica_is_25006(weir):
    w = weir.wire()
    w.query("SET pgweir.route = replica")
    with pytest.raises(wire.ServerError) as e:
        w.query("INSERT INTO notes VALUES (1)")
    assert e.value.sqlstate == "25006"
    assert w.status == "I"


@pytest.mark.parametrize("sql", ["/* pgweir: route=primary */ SELECT {}", "SELECT {} /* pgweir: route=primary */",
                                 "/* pgweir: route=node:pg1 */ SELECT {}", "/* pgweir: max_lag=5s, route=primary */ SELECT {}"])
def test_a_hint_routes_its_statement_only(weir, sql):
    w = weir.wire()
    sql = sql.format(WHERE)
    assert w.value(sql) == "pg1"
    assert w.extended(sql) == [["pg1"]]
    wait_until(lambda: node_of(w) in REPLICAS)
    assert w.notices == []


def test_a_bad_hint_is_a_warning(weir):
    w = weir.wire()
    assert w.value(f"/* pgweir: route=sideways */ SELECT {WHERE}") in REPLICAS
    assert [n["V"] for n in w.notices] == ["WARNING"]


def test_hints_can_be_switched_off(trio, trio_weir):
    w = trio_weir(trio, allow_hints=0).wire()
    assert w.value(f"/* pgweir: route=primary */ SELECT {WHERE}") in REPLICAS


def test_a_database_can_have_its_route(trio, trio_weir):
    weir = trio_weir(trio, databases={"app": {"cluster": "main"},
                                      "reports": {"cluster": "main", "dbname": "app", "route": "replica"},
                                      "master": {"cluster": "main", "dbname": "app", "route": "primary"}})
    assert node_of(weir.wire(database="master")) == "pg1"
    reports = weir.wire(database="reports")
    wait_until(lambda: node_of(reports) in REPLICAS)
    with pytest.raises(wire.ServerError) as e:
        reports.query("INSERT INTO notes VALUES (1)")
    assert e.value.sqlstate == "25006" and e.value.hint


def test_clients_see_which_kind_of_entry_they_are_on(trio, trio_weir):
    """in_hot_standby is true for the entry, so that target_session_attrs works."""
    weir = trio_weir(trio, databases={"app": {"cluster": "main"},
                                      "reports": {"cluster": "main", "dbname": "app", "route": "replica"}})
    assert weir.wire().parameters["in_hot_standby"] == "off"
    assert weir.wire(database="reports").parameters["in_hot_standby"] == "on"
    assert weir.connect(target_session_attrs="read-write").execute("SELECT 1").fetchone() == (1,)
    assert weir.connect(dbname="reports", target_session_attrs="standby").execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        weir.connect(dbname="reports", target_session_attrs="read-write")


ATTRS = {"any": {1, 2}, "read-write": {1}, "primary": {1}, "read-only": {2}, "standby": {2}, "prefer-standby": {2}}


def entries(trio_weir, trio):
    """One DSN, two hosts: writes on the first, reads on the second."""
    return [trio_weir(trio, databases={"app": {"cluster": "main", "route": route}}, warm=False, unix_socket_dir="")
            for route in ("primary", "replica")]


def which(weirs, attrs):
    """The entry that libpq finds, from each end of the list."""
    for ports in ((0, 1), (1, 0)):
        hosts = ",".join("127.0.0.1" for _ in ports)
        with weirs[0].connect(host=hosts, port=",".join(str(weirs[i].port) for i in ports), target_session_attrs=attrs) as c:
            assert c.execute("SELECT pg_is_in_recovery()").fetchone()[0] == (c.info.port == weirs[1].port)
            yield 1 + (c.info.port == weirs[1].port)


@pytest.mark.parametrize("attrs", ATTRS)
def test_a_dsn_of_two_entries_finds_the_one_it_wants(trio, trio_weir, attrs):
    weirs = entries(trio_weir, trio)
    assert set(which(weirs, attrs)) == ATTRS[attrs]


def test_entries_stay_what_they_are_after_a_switch(new_trio, trio_weir):
    trio = new_trio()
    weirs = entries(trio_weir, trio)
    clients = [weir.wire(seconds=20) for weir in weirs]
    for w in clients:
        w.query("SELECT 1")
    trio.kill(0)
    trio.fail_over()
    for weir in weirs:
        wait_until(lambda: any(r["role"] == "primary" and r["node"] != "pg1" for r in weir.console("SHOW NODES")))
    for weir, w, face in zip(weirs, clients, ("off", "on")):
        told = []
        note, w._note = w._note, lambda m, note=w._note: (told.append(m.body) if m.kind == "S" else None, note(m))
        for _ in range(5):
            assert w.value("SELECT pg_is_in_recovery()") == {"off": "f", "on": "t"}[face]
        assert w.parameters["in_hot_standby"] == face and told == []
        assert weir.wire(seconds=20).parameters["in_hot_standby"] == face
    for attrs in ("read-write", "standby"):
        assert set(which(weirs, attrs)) == ATTRS[attrs]


def test_what_the_new_primary_has_for_a_default_is_told(new_trio, trio_weir):
    trio = new_trio()
    weir = trio_weir(trio, databases={"app": {"cluster": "main", "route": "primary"}}, warm=False)
    w = weir.wire(seconds=20)
    assert w.parameters["default_transaction_read_only"] == "off"
    trio.kill(0)
    i = trio.fail_over()
    trio[i].set(default_transaction_read_only="on")
    wait_until(lambda: any(r["role"] == "primary" and r["node"] != "pg1" for r in weir.console("SHOW NODES")))
    assert w.value("SELECT 1") == "1"
    assert w.parameters["default_transaction_read_only"] == "on"
    assert weir.wire(seconds=20).parameters["default_transaction_read_only"] == "on"


def test_what_a_replica_has_for_a_default_is_not_told(trio, trio_weir):
    """Clients would take the entry, which takes their writes, for one that does not."""
    for i in (1, 2):
        trio[i].set(default_transaction_read_only="on")
    try:
        weir = trio_weir(trio)
        w, told = weir.wire(), []
        note, w._note = w._note, lambda m: (told.append(m.body) if m.kind == "S" else None, note(m))
        wait_until(lambda: node_of(w) in REPLICAS)
        w.query("UPDATE register SET v = 1 WHERE k = 46")
        assert told == [] and w.parameters["default_transaction_read_only"] == "off"
        assert weir.connect(target_session_attrs="read-write").execute("SELECT 1").fetchone() == (1,)
        w.query("SET default_transaction_read_only = on")
        assert w.parameters["default_transaction_read_only"] == "on"
        wait_until(lambda: node_of(w) in REPLICAS)
        assert w.parameters["default_transaction_read_only"] == "on"
        w.query("RESET default_transaction_read_only")
        assert w.parameters["default_transaction_read_only"] == "off"
        wait_until(lambda: node_of(w) in REPLICAS)
        assert w.parameters["default_transaction_read_only"] == "off" and len(told) == 2
    finally:
        for i in (1, 2):
            trio[i].set(default_transaction_read_only="off")


def test_a_read_on_a_replica_leaves_the_parameters_of_the_session_alone(weir):
    w = weir.wire()
    before = dict(w.parameters)
    spread(w, 10)
    assert w.parameters == before


# --- the extended protocol

def test_a_batch_is_one_transaction_on_one_node(weir):
    w = weir.wire()
    w.send(wire.extended(f"SELECT {WHERE}"), wire.extended(f"INSERT INTO notes VALUES (41, 'x') RETURNING {WHERE}"),
           wire.extended(f"SELECT {WHERE} FROM notes WHERE i = 41 LIMIT 1"), wire.sync())
    assert w.finish() == [["pg1"]] * 3
    w.send(wire.extended(f"SELECT {WHERE}"), wire.extended("SELECT 1"), wire.sync())
    w.finish()


def test_a_pipeline_of_reads_and_writes_sees_itself(weir):
    w = weir.wire()
    for i in range(10):
        w.send(*[wire.extended("UPDATE register SET v = $1 WHERE k = 40", [i * 10 + j]) + wire.sync()
                 + wire.extended("SELECT v FROM register WHERE k = 40") + wire.sync() for j in range(5)])
        for j in range(5):
            assert w.finish() == []
            assert w.finish() == [[str(i * 10 + j)]]


def test_prepared_statements_run_on_every_node(weir):
    w = weir.wire()
    w.send(wire.parse("where", f"SELECT {WHERE}, $1::int"),
           wire.parse("write", f"INSERT INTO notes VALUES ($1) RETURNING {WHERE}"), wire.sync())
    w.finish()

    def where():
        w.send(wire.bind("", "where", [7]), wire.execute(), wire.sync())
        [[node, number]] = w.finish()
        assert number == "7"
        return node
    both(where)
    w.send(wire.bind("", "write", [1]), wire.execute(), wire.sync())
    assert w.finish() == [["pg1"]]
    w.query("SET pgweir.route = 'primary'")
    w.send(wire.bind("", "where", [1]), wire.execute(), wire.sync())
    assert w.finish() == [["pg1", "1"]]


def test_psycopg_prepares_and_pipelines_across_nodes(weir):
    c = weir.connect(prepare_threshold=0)
    both(lambda: c.execute(f"SELECT {WHERE}, %s::int", (7,)).fetchone()[0])
    with c.pipeline():
        write = c.execute("INSERT INTO notes VALUES (%s) RETURNING i", (77,))
        read = c.execute("SELECT count(*) FROM notes WHERE i = %s", (77,))
    assert write.fetchone() == (77,) and read.fetchone()[0] >= 1


def test_a_portal_read_in_parts_stays_on_its_node(weir):
    w = weir.wire()
    w.send(wire.parse("", "SELECT generate_series(1, 10)"), wire.bind(), wire.execute(rows=3), wire.execute(rows=3),
           wire.execute(), wire.sync())
    assert [r[0] for r in w.finish()] == [str(i) for i in range(1, 11)]


def test_describe_and_row_description_come_from_wherever_it_runs(weir):
    w = weir.wire()
    w.send(wire.parse("d", "SELECT k, v FROM register WHERE k = $1"), wire.describe("S", "d"), wire.sync())
    assert w.kinds() == "1tTZ"
    w.send(wire.bind("", "d", [1]), wire.describe(), wire.execute(), wire.sync())
    assert re.match("2TDCZ", w.kinds())


# --- what pgweir answers itself, by the extended protocol

SHOWN = ["route", "consistency", "max_lag", "min_lsn", "lsn", "last_node", "last_route_reason"]


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_the_same_by_every_way(weir, name):
    w = weir.wire()
    w.query("SET pgweir.route = 'node:pg2'")
    node_of(w)
    sql = f"SHOW pgweir.{name}"
    value = wait_until(lambda: [row for row in w.query(sql) if row != ["unresolved"]])
    assert w.extended(sql) == value
    w.send(wire.parse("shown", sql), wire.describe("S", "shown"), wire.sync())
    assert w.kinds() == "1tTZ"
    for request in (wire.bind("", "shown", results=[1]) + wire.execute(), wire.bind("p", "shown") + wire.describe("P", "p")
                    + wire.execute("p")):
        w.send(request, wire.sync())
        assert w.finish() == value
    c = weir.connect(options="-c pgweir.route=node:pg2")
    c.execute("SELECT 1")
    assert [c.execute(sql, prepare=True).fetchone()[0] for _ in range(3)] == [value[0][0]] * 3 or name == "lsn"
    assert c.cursor(binary=True).execute(sql).description[0].name == f"pgweir.{name}"


def test_shown_in_a_pipeline_in_its_turn(weir):
    w = weir.wire()
    w.send(wire.query("SELECT pg_sleep(0.2)"), wire.extended("SHOW pgweir.last_node"), wire.extended("SELECT 'a'"),
           wire.extended("SHOW pgweir.route"), wire.sync(), wire.query("SELECT 'b'"))
    w.finish()
    node, a, route = w.finish()
    assert node[0] in REPLICAS and (a, route) == (["a"], ["auto"])
    assert w.finish() == [["b"]]
    w.send(wire.extended("SELECT 1/0"), wire.extended("SHOW pgweir.route"), wire.sync())
    assert w.kinds() == "1EZ"
    c = weir.connect()
    with c.pipeline():
        one, shown = c.execute("SELECT 1"), c.execute("SHOW pgweir.route")
    assert (one.fetchone(), shown.fetchone()) == ((1,), ("auto",))


@pytest.mark.parametrize("sql, values", [("SELECT * FROM notes", ()), ("INSERT INTO notes VALUES ($1)", [7])])
def test_explain_by_the_extended_protocol(weir, sql, values):
    w = weir.wire()
    facts = dict(w.query(f"EXPLAIN (PGWEIR) {sql}"))
    assert re.fullmatch("[0-9]+ ms" if facts["node"] in REPLICAS else "", facts["lag"])
    w.send(wire.parse("", f"EXPLAIN (PGWEIR) {sql}", [23] * len(values)), wire.describe("S", ""), wire.bind("", "", values),
           wire.describe(), wire.execute(), wire.sync())
    assert [m.kind for m in w.until("T")] == ["1", "t", "T"]
    assert {k: v for k, v in w.finish() if k not in ("node", "lag", "token")} == {k: v for k, v in facts.items() if k not in ("node", "lag", "token")}
    assert w.status == "I"
    assert dict(map(tuple, weir.connect().execute(f"EXPLAIN (PGWEIR) {sql.replace('$1', '%s')}", values or None).fetchall()))["class"]


def test_what_pgweir_does_not_know_postgresql_is_asked(weir):
    with pytest.raises(wire.ServerError, match="42704"):
        weir.wire().extended("SHOW pgweir.nonsense")
