# SPDX-License-Identifier: ISC
"""PostgreSQL's own programs do in transaction mode what they do on a connection of their own."""
import os

import pytest

from harness import place
from harness.cluster import programs

CONTENT = """
CREATE SCHEMA tools;
CREATE DOMAIN tools.even AS int CHECK (VALUE % 2 = 0);
CREATE TABLE tools.item (id serial PRIMARY KEY, v tools.even DEFAULT 2, t text, b bytea);
INSERT INTO tools.item (t, b) SELECT E'tab\\t and \\\\ ' || i, decode(lpad(to_hex(i), 8, '0'), 'hex') FROM generate_series(1, 5000) i;
CREATE TABLE tools.parts (id int REFERENCES tools.item, at date) PARTITION BY RANGE (at);
CREATE TABLE tools.parts_new PARTITION OF tools.parts FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO tools.parts SELECT i, date '2020-01-01' + i FROM generate_series(1, 1000) i;
CREATE INDEX ON tools.parts (at);
CREATE VIEW tools.seen AS SELECT t, at FROM tools.item JOIN tools.parts USING (id);
CREATE FUNCTION tools.twice(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * $1; END $$;
CREATE MATERIALIZED VIEW tools.kept AS SELECT tools.twice(id) FROM tools.parts;
SELECT lo_from_bytea(77001, '\\x00ff0a5c'), lo_from_bytea(77002, decode(repeat('ab', 300000), 'hex'));
COMMENT ON TABLE tools.item IS 'a ''comment''';
"""

# What a person types, and what scripts do. One answer must not depend on a server's name or number.
SCRIPT = r"""
\set VERBOSITY verbose
\d tools.*
\df tools.*
\dt+ tools.item
\dn tools
\sf tools.twice
\copy (SELECT id, t, b FROM tools.item ORDER BY id LIMIT 50) TO 'copied'
CREATE TEMP TABLE back (LIKE tools.item);
\copy back (id, t, b) FROM 'copied'
SELECT count(*), sum(id) FROM back;
SELECT format('SELECT %s AS c%s', i, i) FROM generate_series(1, 3) i \gexec
SELECT 42 AS answer, 'x' AS letter \gset my_
\echo :my_answer :my_letter
SELECT v, t FROM tools.item WHERE id < 4 \crosstabview v t v
SELECT tools.twice(:my_answer) \gdesc
\set FETCH_COUNT 7
SELECT id FROM tools.item WHERE id <= 20 ORDER BY id;
\unset FETCH_COUNT
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO tools.parts VALUES (-1, '2021-01-01');
SELECT 'still here';
ROLLBACK;
\encoding LATIN1
\encoding
SELECT 1/0;
\errverbose
\c app2
\c app
\echo :DBNAME
"""


@pytest.fixture
def weir(make_weir, cluster):
    run_psql(cluster.folder, cluster.port, CONTENT)
    yield make_weir(userlist={"postgres": "-"}, default_pool_size=4, pin_notice=0)
    for name in ("app", "app2"):
        run_psql(cluster.folder, cluster.port, "DROP SCHEMA IF EXISTS tools CASCADE; SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
                 name)


def tool(name, host, port, *words, **kwargs):
    return place.run(f"{programs()}/{name}", "-h", host, "-p", port, "-U", "postgres", *words, **kwargs)


def run_psql(host, port, script, database="app"):
    path = place.write(os.path.join(place.new_folder(), "script"), script)
    home = os.path.dirname(path)
    text = place.run("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", home, f"{programs()}/psql", "-X", "-h", host, "-p", port,
                     "-U", "postgres", "-d", database, "-f", "script")
    place.run("rm", "-r", home)
    return text.replace(f' at "{host}"', "").replace(f' at port "{port}"', "")


def dump(host, port, database="app", *words):
    """Without what names this run of pg_dump."""
    text = tool("pg_dump", host, port, "-d", database, "-n", "tools", "-b", *words)
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_a_dump_is_that_of_a_direct_connection(weir, cluster):
    direct = dump(cluster.folder, cluster.port)
    assert len(direct) > 6000
    assert dump("127.0.0.1", weir.port) == direct
    assert dump("127.0.0.1", weir.port, "app", "--inserts", "--rows-per-insert=100", "--serializable-deferrable") == \
        dump(cluster.folder, cluster.port, "app", "--inserts", "--rows-per-insert=100")


@pytest.mark.parametrize("form", ["c", "d"])
def test_a_dump_restores_on_several_connections(weir, cluster, form):
    path = os.path.join(weir.folder, "dump-" + form)
    tool("pg_dump", "127.0.0.1", weir.port, "-d", "app", "-n", "tools", "-b", "-F", form, "-f", path, *["-j", "2"][:2 * (form == "d")])
    tool("pg_restore", "127.0.0.1", weir.port, "-d", "app2", "-j", "2", "-e", path)
    assert dump(cluster.folder, cluster.port, "app2") == dump(cluster.folder, cluster.port)
    tool("pg_restore", "127.0.0.1", weir.port, "-d", "app2", "--clean", "--if-exists", "--single-transaction", "-e", path)
    assert dump(cluster.folder, cluster.port, "app2") == dump(cluster.folder, cluster.port)
    run_psql(cluster.folder, cluster.port, "DROP SCHEMA tools CASCADE; SELECT lo_unlink(77001), lo_unlink(77002)", "app2")


def test_psql_shows_the_same(weir, cluster):
    direct = run_psql(cluster.folder, cluster.port, SCRIPT)
    assert "still here" in direct and "22012" in direct
    assert run_psql("127.0.0.1", weir.port, SCRIPT) == direct


def test_large_objects_go_in_and_out(weir):
    said = run_psql("127.0.0.1", weir.port, """\\set AUTOCOMMIT on
\\! head -c 300000 /dev/urandom >in
\\lo_import in 'random'
\\set oid :LASTOID
\\lo_export :oid out
\\! cmp in out && echo same
\\lo_unlink :oid
SELECT count(*) FROM pg_largeobject_metadata WHERE oid = :oid;
""")
    assert "same" in said and "lo_unlink" in said and " 0\n" in said


def test_a_prepared_transaction_is_finished_by_another_client(weir, cluster):
    a, b = weir.wire("postgres"), weir.wire("postgres")
    for gid, end, left in [("tools 1", "COMMIT", "1"), ("tools 2", "ROLLBACK", "0")]:
        a.query(f"BEGIN; INSERT INTO tools.item (id, t) VALUES (-1, '{gid}'); PREPARE TRANSACTION '{gid}'")
        assert b.value(f"SELECT count(*) FROM tools.item WHERE t = '{gid}'") == "0"
        b.query(f"{end} PREPARED '{gid}'")
        assert a.value(f"SELECT count(*) FROM tools.item WHERE t = '{gid}'") == left
        a.query("DELETE FROM tools.item WHERE id < 0")
    assert cluster.value("SELECT count(*) FROM pg_prepared_xacts") == 0


def test_pgbench_and_maintenance_programs_run(weir):
    tool("pgbench", "127.0.0.1", weir.port, "-i", "-q", "-s", "1", "app2", timeout=60)
    said = tool("pgbench", "127.0.0.1", weir.port, "-n", "-M", "prepared", "-c", "8", "-j", "8", "-t", "20", "app2")
    assert "160/160" in said
    tool("vacuumdb", "127.0.0.1", weir.port, "-z", "-j", "2", "app2")
    tool("reindexdb", "127.0.0.1", weir.port, "-t", "pgbench_accounts", "app2")
    run_psql("127.0.0.1", weir.port, "DROP TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history", "app2")
