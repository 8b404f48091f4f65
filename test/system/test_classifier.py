# SPDX-License-Identifier: ISC
"""Which statements go to a replica: what pgweir calls a read must run on one, and must not change the primary."""
import os
import re
import subprocess

import psycopg
import pytest
from psycopg.pq import ExecStatus

from harness.wait import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
VERDICTS = {"r": "READ", "w": "WRITE", "d": "DOUBT"}
DATABASE = "classifier"
# 25006: it writes. 0A000, 55000: it cannot be done during recovery. None: all is well, or fails on the primary too.
ON_REPLICA_ONLY = {"25006", "0A000", "55000"}

CHANGES_SERVER = re.compile(r"pg_promote|pg_wal_replay|ALTER SYSTEM|pg_reload|pg_rotate|PROGRAM")


def corpus():
    """(verdict, statement): a letter before each; a backslash at the end of a line goes on with the next."""
    with open(os.path.join(HERE, "classifier_corpus.txt")) as f:
        lines = f.read().replace("\\\n", "\n    ").split("\n")
    merged = []
    for line in lines:
        if line.startswith("    "):
            merged[-1] += "\n" + line
        elif line and not line.startswith("#"):
            merged.append(line)
    return [(VERDICTS[line[0]], line[2:]) for line in merged]


def run_judge(cluster, statements, dbname=DATABASE, user="postgres"):
    return subprocess.run([os.environ["PGWEIR_JUDGE"], cluster.folder, str(cluster.port), dbname, user], timeout=60,
                          input=b"".join(s.encode() + b"\0" for s in statements), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def judge(cluster, statements, user="postgres"):
    done = run_judge(cluster, statements, user=user)
    assert done.returncode == 0, done.stderr.decode()
    return [line.split(" ")[0] for line in done.stdout.decode().splitlines()]


def run(connection, statement):
    """The SQLSTATE of the first error, or None; COPY's rows are thrown away."""
    pgconn = connection.pgconn
    pgconn.send_query(statement.encode())
    state = None
    while True:
        result = pgconn.get_result()
        if result is None:
            return state
        if result.status == ExecStatus.COPY_OUT:
            while pgconn.get_copy_data(0)[0] > 0:
                pass
        elif result.status == ExecStatus.FATAL_ERROR and state is None:
            state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()


def in_transaction(connection, statement):
    run(connection, "BEGIN")
    state = run(connection, statement)
    run(connection, "ROLLBACK")
    return state


class Fingerprint:
    """What nobody may change by reading: the next transaction id (nothing else writes here), sequences, locks."""

    SQL = ("SELECT pg_snapshot_xmax(pg_current_snapshot())::text, (SELECT last_value::text || is_called FROM s),"
           " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_listening_channels())")

    def __init__(self, connection):
        self.connection = connection

    def take(self):
        return self.connection.execute(self.SQL).fetchone()


@pytest.fixture
def database(cluster):
    """DATABASE as classifier_setup.sql wants it, with a temporary table in a session of its own."""
    with cluster.connect("postgres") as c:
        c.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        c.execute(f"CREATE DATABASE {DATABASE}")
    temp = cluster.connect(DATABASE)
    with open(os.path.join(HERE, "classifier_setup.sql")) as f:
        made = temp.pgconn.exec_(f.read().encode())
    assert made.status == ExecStatus.COMMAND_OK, made.error_message
    temp.execute("CREATE TEMP TABLE tempt (id int)")
    temp.execute("CREATE TEMP VIEW tempv AS SELECT * FROM tempt")
    temp.execute("CREATE TEMP TABLE u (id int)")
    yield cluster
    temp.close()
    with cluster.connect("postgres") as c:
        c.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def nodes(database, replica):
    """Connections to the primary and to the replica, which has all that the primary has."""
    goal = database.value("SELECT pg_current_wal_insert_lsn()")
    with database.connect(DATABASE) as primary:
        wait_until(lambda: replica.value("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (goal,)), 20, "the replica catching up")
        with replica.connect(DATABASE) as standby:
            for c in (primary, standby):
                c.execute("SET statement_timeout = '10s'")
            yield primary, standby


def test_corpus_is_large_and_each_statement_is_there_once():
    statements = [s for _, s in corpus()]
    assert len(statements) >= 500
    assert len(set(statements)) == len(statements)


@pytest.mark.deadline(120)
def test_verdicts_are_those_of_the_corpus(database):
    expected, statements = zip(*corpus())
    wrong = [f"{got}, not {want}: {s}" for got, want, s in zip(judge(database, statements), expected, statements) if got != want]
    assert not wrong, "\n".join(wrong)


@pytest.mark.deadline(120)
def test_any_role_may_load_the_catalog(database):
    statements = [s for _, s in corpus()]
    assert judge(database, statements, user="app") == judge(database, statements)


def test_a_catalog_that_cannot_be_loaded_says_why(cluster):
    done = run_judge(cluster, ["SELECT 1"], dbname="nowhere")
    assert done.returncode == 1
    assert b"judge: 3D000 " in done.stderr and b'database "nowhere" does not exist' in done.stderr


@pytest.mark.deadline(120)
def test_what_is_called_a_read_runs_on_a_replica_and_changes_nothing(nodes, database):
    primary, standby = nodes
    statements = [s for _, s in corpus()]
    verdicts = judge(database, statements)
    reads = [s for s, v in zip(statements, verdicts) if v == "READ"]
    failed, changed = [], []
    with database.connect(DATABASE) as watcher:
        fingerprint = Fingerprint(watcher)
        for s in reads:
            before = fingerprint.take()
            here = run(primary, s)
            if fingerprint.take() != before:
                changed.append(s)
            there = {run(standby, s), in_transaction(standby, s)}
            if there != {here} or there & ON_REPLICA_ONLY:
                failed.append((s, here, there))
    assert len(reads) >= 200
    assert not changed
    assert not failed


@pytest.mark.deadline(120)
def test_what_fails_on_a_replica_alone_is_never_called_a_read(nodes, database):
    """The other way round, over all statements that can be run one by one: the replica itself says what is none."""
    primary, standby = nodes
    statements = [s for _, s in corpus() if not CHANGES_SERVER.search(s)]
    refused = [s for s in statements if in_transaction(standby, s) in ON_REPLICA_ONLY]
    assert len(refused) >= 100
    assert not [s for s, v in zip(refused, judge(database, refused)) if v == "READ"]


@pytest.mark.deadline(120)
def test_an_implied_operator_that_writes_spoils_everything(database):
    """Nobody can see from a text that = of some type means it."""
    statements = ["SELECT 1", "SELECT * FROM t", "SHOW work_mem"]
    assert judge(database, statements) == ["READ"] * 3
    with database.connect(DATABASE) as c:
        c.execute("CREATE FUNCTION eq_bad(point, int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT true'")
        c.execute("CREATE OPERATOR = (leftarg = point, rightarg = int, function = eq_bad)")
    assert judge(database, statements) == ["DOUBT", "DOUBT", "READ"]


@pytest.mark.deadline(120)
def test_what_was_made_after_the_load_is_in_doubt(database):
    assert judge(database, ["SELECT * FROM later", "SELECT f_later()"]) == ["DOUBT"] * 2
    with database.connect(DATABASE) as c:
        c.execute("CREATE TABLE later (id int)")
        c.execute("CREATE FUNCTION f_later() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
    assert judge(database, ["SELECT * FROM later", "SELECT f_later()"]) == ["READ"] * 2
