# SPDX-License-Identifier: ISC
"""Real drivers with their own defaults: what they get through pgweir in transaction mode, over TLS from servers that take
turns, and from a primary with replicas, is line for line what PostgreSQL itself gives them."""
import pytest

from harness import drivers
from harness.fixtures import _factory, _finish_all, _session
from harness.replicas import settings_of, wait_nodes_up, wait_reads_spread
from harness.wait import wait_until

USER, PASSWORD = "in_scram", "in_scram-pw"
PARAMS = "SELECT {}::int + 1, {}::text, {}::float8, {}::bool, {}::text"
SERIES = "SELECT i FROM generate_series(1, 2000) i"
WIDE = "SELECT repeat('wide', 500) || i FROM generate_series(1, 800) i"


def both(*orders):
    """The same on two connections in turns."""
    return [(order[0], name, *order[1:]) for order in orders for name in "ab"]


def table(columns, name="t"):
    return [("exec", "a", f"DROP TABLE IF EXISTS {name}"), ("exec", "a", f"CREATE TABLE {name} ({columns})")]


# Orders for connections a and b, which are opened before and closed after.
CASES = {
    "simple": [
        ("exec", "a", "SELECT 1, 'zwei und ü', NULL, true, 1.50::numeric, 2.5::float8, 12345678901::bigint"),
        ("exec", "a", "SELECT '2024-02-29'::date, '2024-02-29 12:00:00.123'::timestamp, ARRAY[1,2,NULL], 'a,b'::text"),
        ("exec", "a", "VALUES (1, 'a'), (2, 'b'), (3, NULL)"),
        ("exec", "a", "SELECT 1 WHERE false"),
        ("exec", "b", "SHOW server_encoding")],
    "parameters": [
        ("bind", "a", PARAMS, "i:41", "s:O'Neil \"ü\" €", "f:2.25", "t:true", "n:"),
        ("bind", "b", PARAMS, "i:-1", "s:", "f:-0.5", "t:false", "s:not null"),
        ("bind", "a", "SELECT length({}::bytea), encode({}::bytea, 'hex')", "b:0001ff27", "b:0001ff275c00"),
        ("bind", "a", "SELECT length({}::text)", "s:" + "long" * 30000)],
    "prepared": 7 * [
        ("prep", "a", "SELECT {}::int * 2, 'of a'", "i:21"),
        ("prep", "b", "SELECT {}::text || '!', 'of b', 3", "s:x")] + [
        ("prep", "a", "SELECT count(*) FROM pg_class WHERE relname = {}::text", "s:pg_type"),
        ("prep", "a", "SELECT {}::int * 2, 'of a'", "i:22")],
    "implicitly prepared": 8 * [
        ("bind", "a", "SELECT {}::int * 3, 'of a'", "i:21"),
        ("bind", "b", "SELECT {}::text || '?', 'of b'", "s:x")],
    "dropped": 2 * [
        *2 * both(("prep", "SELECT {}::int + 1", "i:1"), ("prep", "SELECT {}::int + 20", "i:1")),
        ("dealloc", "a"), ("exec", "b", "SELECT 'between'")] + [
        ("prep", "a", "SELECT {}::int + 1", "i:5"), ("prep", "b", "SELECT {}::int + 1", "i:6")],
    "batch": table("n int") + [
        ("batch", "a", "INSERT INTO t VALUES ({}::int)", *(f"i:{i}" for i in range(40))),
        ("bind", "a", "SELECT count(*), sum(n) FROM t WHERE n > {}::int", "i:1"),
        ("batch", "a", "INSERT INTO t VALUES (10 / {}::int)", "i:5", "i:0", "i:2"),
        ("exec", "a", "SELECT count(*), sum(n) FROM t")],
    "copy in": table("a int, b text") + [
        ("copyin", "a", "COPY t (a, b) FROM STDIN (FORMAT csv)", ";".join(f"{i},row {i}" for i in range(500))),
        ("copyin", "a", "COPY t (a, b) FROM STDIN (FORMAT csv)", "1,good;oops,bad"),
        ("exec", "a", "SELECT count(*), sum(a), max(b) FROM t")],
    "copy out": table("a int, b text") + [
        ("bind", "a", "INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, {}::int) i", "i:50"),
        ("copyout", "a", "COPY (SELECT a, b FROM t ORDER BY a) TO STDOUT (FORMAT csv)"),
        ("copyout", "a", "COPY (SELECT a, 10 / (a - 30) FROM t ORDER BY a) TO STDOUT (FORMAT csv)"),
        ("exec", "a", "SELECT 'after'")],
    "cursor": [
        ("stream", "a", SERIES, "300"), ("stream", "b", WIDE, "7"), ("stream", "a", SERIES, "1000"),
        ("stream", "a", "SELECT 10 / (i - 700) FROM generate_series(1, 1000) i", "100"), ("exec", "b", "SELECT 'after'")],
    "large": [("exec", "a", "SELECT repeat('x', 1000000)"), ("bind", "b", WIDE + " WHERE i > {}::int", "i:5"),
              ("exec", "a", "SELECT i, md5(i::text) FROM generate_series(1, 2000) i")],
    "transaction": table("n int") + [
        ("begin", "a"), ("bind", "a", "INSERT INTO t VALUES ({}::int)", "i:1"), ("exec", "b", "SELECT count(*) FROM t"),
        ("exec", "a", "SAVEPOINT one"), ("bind", "a", "INSERT INTO t VALUES ({}::int)", "i:2"),
        ("exec", "a", "ROLLBACK TO SAVEPOINT one"), ("bind", "a", "INSERT INTO t VALUES ({}::int)", "i:3"), ("commit", "a"),
        ("begin", "a"), ("bind", "a", "INSERT INTO t VALUES ({}::int)", "i:4"), ("rollback", "a"),
        ("exec", "a", "SELECT n FROM t ORDER BY n")],
    "errors": [
        ("exec", "a", "SELECT nothing FROM nowhere"), ("exec", "a", "SELEC 1"), ("bind", "a", "SELECT 1 / {}::int", "i:0"),
        ("exec", "b", "SELECT 'not my error'"), ("begin", "a"), ("bind", "a", "SELECT 1 / {}::int", "i:0"),
        ("exec", "a", "SELECT 'in a failed block'"), ("bind", "a", "SELECT {}::int", "i:1"), ("rollback", "a"),
        ("begin", "a"), ("exec", "a", "SAVEPOINT s"), ("bind", "a", "SELECT {}::text::int", "s:no number"),
        ("exec", "a", "ROLLBACK TO s"), ("bind", "a", "SELECT {}::int", "i:7"), ("commit", "a"),
        ("bind", "b", "SELECT {}::int", "i:8")],
    "deferred error": table("n int UNIQUE DEFERRABLE INITIALLY DEFERRED") + [
        ("begin", "a"), ("exec", "a", "INSERT INTO t VALUES (1)"), ("bind", "a", "INSERT INTO t VALUES ({}::int)", "i:1"),
        ("commit", "a"), ("exec", "a", "SELECT count(*) FROM t")],
    "cancel": [("exec", "a", "SELECT 'connected'"), ("cancel", "a", "SELECT pg_sleep(20)"), ("exec", "b", "SELECT 'not cancelled'"), ("exec", "a", "SELECT 'after'"),
               ("bind", "a", "SELECT {}::int", "i:1")],
    "notify": [
        ("listen", "a", "own_channel"), ("exec", "b", "NOTIFY own_channel, 'one'"), ("wait", "a"),
        ("begin", "b"), ("bind", "b", "SELECT pg_notify('own_channel', {}::text)", "s:two"), ("commit", "b"), ("wait", "a"),
        ("exec", "a", "NOTIFY own_channel, 'three'"), ("wait", "a")],
    "lock": [
        ("bind", "a", "SELECT pg_advisory_lock({}::bigint)", "i:77"), ("bind", "b", "SELECT pg_try_advisory_lock({}::bigint)", "i:77"),
        ("exec", "a", "SELECT 'else'"), ("exec", "a", "SELECT pg_advisory_unlock(77)"), ("exec", "b", "SELECT pg_try_advisory_lock(77)"),
        ("exec", "b", "SELECT pg_advisory_unlock_all()"), ("begin", "a"), ("exec", "a", "SELECT pg_advisory_xact_lock(78)"),
        ("exec", "b", "SELECT pg_try_advisory_lock(78)"), ("commit", "a"), ("exec", "b", "SELECT pg_try_advisory_lock(78)"),
        ("exec", "b", "SELECT pg_advisory_unlock_all()")],
    "temporary": [
        ("exec", "a", "CREATE TEMP TABLE scratch (n int)"), ("bind", "a", "INSERT INTO scratch VALUES ({}::int)", "i:5"),
        ("bind", "b", "SELECT to_regclass({}::text)::text", "s:scratch"), ("bind", "a", "SELECT n FROM scratch WHERE n > {}::int", "i:0"),
        ("begin", "a"), ("exec", "a", "DECLARE kept CURSOR WITH HOLD FOR SELECT * FROM generate_series(1, 5)"), ("commit", "a"),
        ("exec", "b", "SELECT 'else'"), ("exec", "a", "CLOSE kept"), ("exec", "a", "DISCARD TEMP")],
    "settings": table("n int, at timestamptz") + [
        ("exec", "a", "DROP SCHEMA IF EXISTS other CASCADE"), ("exec", "a", "CREATE SCHEMA other"),
        ("exec", "a", "CREATE TABLE other.t AS SELECT 99 AS n"), ("exec", "a", "INSERT INTO t VALUES (1, '2024-06-01 12:00+00')"),
        ("exec", "a", "SET search_path = other, pg_catalog"), ("exec", "b", "SET TIME ZONE 'Asia/Tokyo'"),
        ("exec", "a", "SET statement_timeout = '7s'"), ("exec", "b", "SET application_name = 'b of the test'"),
        *3 * [("bind", "a", "SELECT n FROM t WHERE n > {}::int", "i:0"),
              ("bind", "b", "SELECT n, at::text FROM public.t WHERE n > {}::int", "i:0")],
        ("exec", "b", "SHOW statement_timeout"), ("exec", "a", "SHOW statement_timeout"), ("exec", "a", "SHOW TimeZone"),
        ("begin", "a"), ("exec", "a", "SET LOCAL statement_timeout = '9s'"), ("exec", "a", "SHOW statement_timeout"),
        ("exec", "a", "SET search_path = public"), ("rollback", "a"), ("exec", "a", "SHOW statement_timeout"),
        ("exec", "a", "SHOW search_path"), ("exec", "b", "SHOW application_name"), ("exec", "a", "RESET search_path"),
        ("bind", "a", "SELECT n FROM t WHERE n > {}::int", "i:0"), ("exec", "a", "RESET ALL"), ("exec", "a", "SHOW statement_timeout"),
        ("exec", "b", "SELECT set_config('work_mem', '5MB', false)"), ("exec", "a", "SHOW work_mem"), ("exec", "b", "SHOW work_mem"),
        ("exec", "a", "DROP SCHEMA other CASCADE")],
    "changed result type": table("a int") + [
        ("exec", "a", "INSERT INTO t VALUES (1)"), *7 * [("prep", "a", "SELECT * FROM t WHERE a >= {}::int", "i:0")],
        ("exec", "a", "ALTER TABLE t ADD COLUMN b text DEFAULT 'new'"),
        ("prep", "a", "SELECT * FROM t WHERE a >= {}::int", "i:0"),
        ("exec", "a", "ALTER TABLE t ALTER COLUMN a TYPE text"), ("bind", "a", "SELECT * FROM t WHERE a >= {}::text", "s:0"),
        ("exec", "b", "SELECT 'else'"), ("begin", "a"), ("exec", "a", "ALTER TABLE t DROP COLUMN b"),
        ("bind", "a", "SELECT * FROM t WHERE a >= {}::text", "s:0"), ("commit", "a"),
        ("bind", "a", "SELECT * FROM t WHERE a >= {}::text", "s:0")],
    "types": table("i int8, n numeric, t timestamptz, u uuid, j jsonb, a int[], r int4range, b bytea, f float4, d interval") + [
        ("exec", "a", "INSERT INTO t VALUES (9007199254740993, 1e-20, '2024-02-29 23:59:59.999999+00', "
                      "'11111111-2222-3333-4444-555555555555', '{\"k\": [1, null]}', '{1,NULL,3}', '[1,5)', '\\x00ff', 1.5, '1 day 2 s')"),
        *3 * [("bind", "a", "SELECT i, n, t, u, j, a, b, f FROM t WHERE i > {}::int", "i:0")],
        ("exec", "b", "SELECT i, n, t, u, j, a, b, f, r::text, d::text FROM t")],
    "binary": 3 * [("binary", "a", "SELECT {}::int, 2.5::float8, 'text'::text, true, {}::text", "i:7", "s:ü"),
                   ("binary", "b", "SELECT {}::text, ARRAY[1,2]::int[]", "s:b")],
    "sequence": [
        ("exec", "a", "DROP SEQUENCE IF EXISTS own_seq"), ("exec", "a", "CREATE SEQUENCE own_seq"),
        *3 * [("exec", "a", "SELECT nextval('own_seq')"), ("exec", "b", "SELECT nextval('own_seq')")],
        ("begin", "a"), ("exec", "a", "SELECT nextval('own_seq')"), ("exec", "a", "SELECT currval('own_seq'), lastval()"),
        ("commit", "a")],
    "killed": [
        ("prep", "a", "SELECT {}::int + 1", "i:1"), ("exec", "a", "SET work_mem = '5MB'"), ("kill",), ("prep", "a", "SELECT {}::int + 1", "i:1"),
        ("again", "a"), ("again", "b"), ("prep", "a", "SELECT {}::int + 1", "i:2"), ("exec", "a", "SHOW work_mem"),
        ("exec", "b", "SELECT 'after'")],
    "large object": 2 * [("lob", "a")] + [("exec", "b", "SELECT 'after'")],
    "metadata": [
        ("exec", "a", "DROP SCHEMA IF EXISTS shape CASCADE"), ("exec", "a", "CREATE SCHEMA shape"),
        ("exec", "a", "CREATE TABLE shape.parent (id int PRIMARY KEY, label varchar(20) NOT NULL DEFAULT 'x', n numeric(9,2), UNIQUE (label))"),
        ("exec", "a", "CREATE TABLE shape.child (id int PRIMARY KEY, parent int REFERENCES shape.parent, CHECK (id > 0))"),
        ("exec", "a", "CREATE VIEW shape.seen AS SELECT * FROM shape.parent"),
        ("exec", "a", "CREATE FUNCTION shape.twice(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 2'"),
        ("meta", "a", "shape"), ("meta", "b", "shape"), ("exec", "a", "DROP SCHEMA shape CASCADE")],
    "ways of its own": [("extra", "a"), ("exec", "a", "SELECT 'after'"), ("extra", "a")],
}


class Place:
    """Where a driver connects to: PostgreSQL, or a pgweir before it."""

    def __init__(self, port, ca, kill):
        self.port, self.ca, self.kill = port, ca, kill

    def open(self, driver, name):
        return driver.order("open", name, "127.0.0.1", str(self.port), USER, PASSWORD, "app", self.ca)

    def run(self, driver, orders):
        """Each order with what came of it."""
        said, killed = [str(self.open(driver, name)) for name in "ab"], False
        for order in orders:
            if order[0] == "kill":
                self.kill()
                killed = True
            elif order[0] == "again":
                driver.order("close", order[1])  # which may say that it was closed already
                said.append(f"again {self.open(driver, order[1])}")
                killed = False
            else:
                out = driver.order(*order)
                # How a lost connection is found is a race between its last words and the next query.
                said.append(f"{' '.join(order)[:200]} -> {'lost' if killed and out[0].startswith('error') else out}")
        for name in "ab":
            driver.order("close", name)
        return said


def _kill_clients(weir):
    for row in weir.console("SHOW CLIENTS"):
        if row["user"] == USER:
            weir.console(f"KILL_CLIENT {row['id']}")


def _kill_servers(cluster):
    for pid in cluster.pids(USER):
        cluster.terminate(pid)


@pytest.fixture(scope="module")
def direct(certs):
    cluster = _session.get_cluster()
    cluster.sql(f"GRANT ALL ON DATABASE app TO {USER}")
    return Place(cluster.port, certs.ca, lambda: _kill_servers(cluster))


@pytest.fixture(scope="module")
def pool(direct, certs):
    made = []
    weir = _factory(made)(_session.get_cluster(), auth_type="scram-sha-256", client_tls_sslmode="allow", workers=1,
                          client_tls_cert_file=certs.server_cert, client_tls_key_file=certs.server_key,
                          default_pool_size=3, min_pool_size=3, server_round_robin=1)
    yield Place(weir.port, certs.ca, lambda: _kill_clients(weir))
    _finish_all(made)


@pytest.fixture(scope="module")
def nodes():
    made, trio = [], _session.get_trio()
    trio.sql(0, f"GRANT ALL ON DATABASE app TO {USER}")
    weir = _factory(made)(**settings_of(trio, cluster={"balance": "round_robin", "consistency": "global"}), default_pool_size=3)
    wait_nodes_up(weir)
    wait_reads_spread(weir, trio)
    weir.reload(auth_type="scram-sha-256")
    yield Place(weir.port, "-", lambda: _kill_clients(weir))
    _finish_all(made)


_running = {}


@pytest.fixture(scope="module", autouse=True)
def programs():
    yield
    for driver in _running.values():
        driver.end()
    _running.clear()


def program(name):
    """The program, running; a new one when it was lost."""
    why = drivers.missing(name)
    if why:
        pytest.skip(why)
    if name not in _running or _running[name].process.poll() is not None:
        _running[name] = drivers.Driver(name)
    return _running[name]


def _can(name, case):
    wanted = {"listen" if order[0] == "wait" else order[0] for order in CASES[case]} - {"again"}
    return all(drivers.may(name, order) for order in wanted)


PAIRS = [pytest.param(name, case, id=f"{name}-{case.replace(' ', '_')}") for name in drivers.DRIVERS for case in CASES if _can(name, case)]


@pytest.mark.parametrize("name, case", PAIRS)
def test_what_a_driver_gets_is_what_postgresql_gives(name, case, direct, pool, nodes):
    driver = program(name)
    wanted = direct.run(driver, CASES[case])
    assert pool.run(driver, CASES[case]) == wanted, "from a pool of three"
    assert nodes.run(driver, CASES[case]) == wanted, "from a primary and its replicas"


def test_servers_take_turns(pool, nodes):
    """Else the others would show nothing."""
    driver = program("psycopg3")
    for place, what, least in ((pool, "pg_backend_pid()", 3), (nodes, "current_setting('cluster_name')", 2)):
        place.open(driver, "a")
        order = ("exec", "a", f"SELECT {what}")
        wait_until(lambda: len({driver.order(*order)[0] for _ in range(8)}) >= least, 10, f"{least} servers")
        driver.order("close", "a")
