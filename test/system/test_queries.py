# SPDX-License-Identifier: ISC
"""Statements and their answers pass byte for byte, by every way the protocol has."""
import struct

import psycopg
import pytest

from harness import wire
from harness.wait import Worker

EDGES = [0, 1, 100, 4080, 4096, 8170, 8192, 8193, 16384, 32768, 65500, 65536, 65537, 131072, 1 << 20]


@pytest.fixture
def client(module_weir):
    return module_weir.wire()


@pytest.fixture
def direct(cluster):
    with wire.Wire(cluster.folder, cluster.port) as w:
        yield w.login()


def answer(w, *parts):
    """Everything that comes back until ReadyForQuery but what may come at any time."""
    w.send(*parts)
    return [m for m in w.until("Z", 30) if m.kind not in "SNA"]


CONVERSATIONS = {
    "simple": wire.query("SELECT 1 AS a, 'x'::text AS b, NULL"),
    "no columns": wire.query("SELECT"),
    "empty string": wire.query(""),
    "only a comment": wire.query("-- nothing"),
    "semicolons": wire.query(";;;"),
    "many statements": wire.query("SELECT 1; SELECT 2, 3; SELECT WHERE false; VALUES (4)"),
    "second of many fails": wire.query("SELECT 1; SELECT 1/0; SELECT 3"),
    "syntax error": wire.query("SELEC 1"),
    "error position": wire.query("SELECT nothing_here FROM pg_catalog.pg_class"),
    "block in a string": wire.query("BEGIN; SELECT 1; COMMIT; SELECT 2"),
    "unnamed": wire.extended("SELECT $1::int + 1", ["41"]) + wire.sync(),
    "binary": wire.parse("", "SELECT $1::int8, now() < 'infinity'") + wire.bind("", "", [struct.pack("!q", 7)], [1], [1])
    + wire.describe() + wire.execute() + wire.sync(),
    "describe statement": wire.parse("", "SELECT $1::text, $2::int") + wire.describe("S", "") + wire.sync(),
    "row limit": wire.parse("", "SELECT generate_series(1, 5)") + wire.bind() + wire.execute(rows=2) + wire.execute(rows=2)
    + wire.execute(rows=2) + wire.sync(),
    "named portals": wire.query("BEGIN") + wire.parse("", "SELECT generate_series(1, 3)") + wire.bind("p") + wire.bind("q")
    + wire.execute("p", 1) + wire.execute("q", 1) + wire.execute("p", 1) + wire.close("P", "p") + wire.sync(),
    "empty statement extended": wire.extended("") + wire.sync(),
    "sync alone": wire.sync(),
    "close of nothing": wire.close("S", "never_made") + wire.close("P", "never_made") + wire.sync(),
    "error until sync": wire.extended("SELECT 1/0") + wire.extended("SELECT 2") + wire.sync(),
    "bind error": wire.parse("", "SELECT $1::int") + wire.bind("", "", ["x"]) + wire.execute() + wire.sync(),
    "simple after extended": wire.parse("", "SELECT 1") + wire.bind() + wire.execute() + wire.query("SELECT 2"),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_answer_is_postgresqls_own(client, direct, name):
    ours, theirs = answer(client, CONVERSATIONS[name]), answer(direct, CONVERSATIONS[name])
    if name == "named portals":  # the only one with two ReadyForQuery
        ours += client.until("Z")
        theirs += direct.until("Z")
    assert ours == theirs
    answer(client, wire.query("ROLLBACK"))


def test_a_client_may_send_without_end_before_it_asks_for_answers(client):
    """The server's answers come when they fill its buffer; nothing in between asks for them."""
    n = 12000
    client.send(wire.parse("many", "SELECT 1"), *[wire.bind("", "many") + wire.describe() + wire.execute()] * n, wire.sync())
    kinds = "".join(m.kind for m in client.until("Z", 30) if m.kind not in "SNA")
    assert kinds == "1" + "2TDC" * n + "Z"
    client.query("DEALLOCATE many")


def test_answers_that_no_server_gives_do_not_hold_up_those_of_a_server(client):
    """The first answer waits in the server, and all the others for it."""
    client.extended("SELECT 1", name="same")
    client.send(wire.bind("", "same"), wire.execute(), *[wire.close("S", "never_made")] * 20000, wire.sync())
    kinds = "".join(m.kind for m in client.until("Z", 30) if m.kind not in "SNA")
    assert kinds == "2DC" + "3" * 20000 + "Z"
    client.query("DEALLOCATE same")


def test_function_call_answers_its_value(client):
    kinds = answer(client, wire.function_call(1397, struct.pack("!i", -5)))  # int4abs
    assert [m.kind for m in kinds] == ["V", "Z"]
    assert kinds[0].body == struct.pack("!ii", 4, 5)


def test_function_call_of_nothing_is_an_error_and_the_client_stays(client):
    kinds = answer(client, wire.function_call(4294967295))
    assert [m.kind for m in kinds] == ["E", "Z"]
    assert kinds[0].fields()["C"] == "42883"
    assert client.value("SELECT 1") == "1"


@pytest.mark.parametrize("size", EDGES)
def test_a_row_of_any_size_arrives_whole(client, size):
    sql = f"SELECT repeat('x', {size}), 'end'"
    for request in (wire.query(sql), wire.extended(sql) + wire.sync()):
        row = next(m for m in answer(client, request) if m.kind == "D")
        assert row.row() == [b"x" * size, b"end"]


@pytest.mark.parametrize("size", EDGES)
def test_a_parameter_of_any_size_arrives_whole(client, size):
    value = b"ab" * (size // 2) + b"c" * (size % 2)
    rows = client.extended("SELECT octet_length($1::text), md5($1::text) = md5(repeat('ab', $2::int) || repeat('c', $3::int))",
                           [value, size // 2, size % 2])
    assert rows == [[str(size), "t"]]


@pytest.mark.parametrize("size", [1000, 8000, 65500, 1 << 20, (1 << 20) + 100, 3 << 20])
def test_a_statement_text_of_any_size_arrives_whole(client, size):
    text = "y" * size
    assert client.query(f"SELECT octet_length('{text}')") == [[str(size)]]
    assert client.extended(f"SELECT octet_length('{text}'), $1::text", ["z"]) == [[str(size), "z"]]


def test_a_row_of_64_mb_arrives_whole(client):
    size = 64 << 20
    row = next(m for m in answer(client, wire.query(f"SELECT repeat('0123456789abcdef', {size // 16})")) if m.kind == "D")
    assert row.row()[0] == b"0123456789abcdef" * (size // 16)


def test_a_parameter_of_64_mb_arrives_whole(client):
    size = 64 << 20
    assert client.extended("SELECT octet_length($1::bytea)", [b"k" * size], seconds=40) == [[str(size)]]


@pytest.mark.slow
@pytest.mark.deadline(300)
def test_a_row_of_1_gb_arrives_whole(module_weir):
    w = module_weir.wire(seconds=280)
    size = (1 << 30) - 100
    w.send(wire.query(f"SELECT repeat('q', {size})"))
    assert [m.kind for m in w.until("T")][-1] == "T"
    assert w.take(5)[:1] == b"D"
    left = size + 6
    while left:
        left -= len(w.take(min(left, 1 << 20)))
    assert w.kinds() == "CZ"


def test_many_small_rows_arrive_in_order(client):
    rows = client.query("SELECT i FROM generate_series(1, 50000) i")
    assert [int(r[0]) for r in rows] == list(range(1, 50001))


def test_a_pipeline_with_many_syncs_answers_in_order(client):
    n = 500
    client.send(b"".join(wire.extended("SELECT $1::int", [i]) + wire.sync() for i in range(n)))
    for i in range(n):
        assert client.finish() == [[str(i)]]


def test_an_error_in_a_pipeline_spares_what_follows_the_sync(client):
    client.send(wire.extended("SELECT 1"), wire.sync(), wire.extended("SELECT 1/0"), wire.extended("SELECT 2"), wire.sync(),
                wire.extended("SELECT 3"), wire.sync())
    assert client.finish() == [["1"]]
    with pytest.raises(wire.ServerError, match="22012"):
        client.finish()
    assert client.finish() == [["3"]]


def test_simple_queries_may_be_pipelined(client):
    client.send(b"".join(wire.query(f"SELECT {i}") for i in range(100)))
    assert [client.finish()[0][0] for _ in range(100)] == [str(i) for i in range(100)]


def test_psycopg_pipeline_mode_works(module_weir):
    with module_weir.connect() as c:
        with c.pipeline() as p:
            cursors = [c.execute("SELECT %s::int", (i,)) for i in range(50)]
            p.sync()
            assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))
            with pytest.raises(psycopg.errors.DivisionByZero):
                c.execute("SELECT 1/0").fetchone()


def test_a_large_pipeline_does_not_deadlock_on_full_buffers(client):
    n, size = 100, 100_000
    sender = Worker(client.socket.sendall, b"".join(wire.extended("SELECT $1::text", ["v" * size]) + wire.sync() for _ in range(n)))
    for _ in range(n):
        assert len(client.finish(20)[0][0]) == size
    sender.result()


def test_a_large_message_after_an_error_is_ignored_whole(client):
    client.send(wire.extended("SELECT 1/0"), wire.flush())
    assert client.kinds("E")[-1] == "E"
    ignored = wire.bind(values=["a" * 1_000_000])
    client.send(ignored[:1000])
    client.send(ignored[1000:], wire.sync())
    assert client.kinds() == "Z"
    assert client.query("SELECT 1") == [["1"]]


def test_flush_brings_answers_before_the_sync(client):
    client.send(wire.extended("SELECT 5"), wire.flush())
    assert client.kinds("C") == "12TDC"
    client.send(wire.sync())
    assert client.kinds() == "Z"


def test_a_message_cut_at_every_byte_reads_the_same(client):
    request = wire.extended("SELECT $1::text", ["cut"]) + wire.sync()
    for cut in range(1, len(request)):
        client.send(request[:cut])
        client.send(request[cut:])
        assert client.finish() == [["cut"]]


def test_bytes_one_at_a_time_are_enough(client):
    for byte in wire.query("SELECT 'slow'") + wire.extended("SELECT 'er'") + wire.sync():
        client.send(bytes([byte]))
    assert client.finish() == [["slow"]]
    assert client.finish() == [["er"]]


def test_a_notice_arrives_with_its_statement(client):
    client.notices.clear()
    client.query("DO $$ BEGIN RAISE NOTICE 'hello %', 42; END $$")
    assert [n["M"] for n in client.notices] == ["hello 42"]


def test_an_error_keeps_all_its_fields(client, direct):
    def fields(w):
        w.send(wire.query("DO $$ BEGIN RAISE EXCEPTION 'm' USING ERRCODE = 'ZZ123', DETAIL = 'd', HINT = 'h', "
                          "COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 't', TABLE = 'r', SCHEMA = 's'; END $$"))
        return next(m for m in w.until("Z") if m.kind == "E").fields()
    ours = fields(client)
    assert ours == fields(direct)
    assert ours["C"] == "ZZ123"


def test_the_transaction_status_is_postgresqls(client):
    client.query("BEGIN")
    assert client.status == "T"
    with pytest.raises(wire.ServerError, match="42P01"):
        client.query("SELECT * FROM no_such_table")
    assert client.status == "E"
    with pytest.raises(wire.ServerError, match="25P02"):
        client.query("SELECT 1")
    client.query("ROLLBACK")
    assert client.status == "I"


def test_an_implicit_transaction_of_a_pipeline_is_rolled_back_whole(module_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (i int); GRANT ALL ON {unique} TO app")
    w = module_weir.wire()
    w.send(wire.extended(f"INSERT INTO {unique} VALUES (1)"), wire.extended("SELECT 1/0"), wire.sync())
    with pytest.raises(wire.ServerError, match="22012"):
        w.finish()
    assert cluster.value(f"SELECT count(*) FROM {unique}") == 0
    cluster.sql(f"DROP TABLE {unique}")


def test_psycopg2_and_psycopg3_agree(module_weir):
    cursor = module_weir.connect2().cursor()
    cursor.execute("SELECT %s, %s", (1, "two"))
    assert cursor.fetchone() == (1, "two")
    assert module_weir.connect().execute("SELECT %s::int, %s::text", (1, "two")).fetchone() == (1, "two")


def test_results_that_are_not_read_cost_little_memory(weir):
    def resident_kb():
        with open(f"/proc/{weir.process.pid}/status") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    weir.wire().query("SELECT 1")
    before = resident_kb()
    readers = [weir.wire() for _ in range(10)]
    for r in readers:
        r.send(wire.query("SELECT repeat('m', 1000000) FROM generate_series(1, 40)"))
    for r in readers:
        r.until("T")
    other = weir.wire()
    for _ in range(300):
        assert other.value("SELECT 1") == "1"
    assert resident_kb() - before < 32 * 1024, "400 MB of unread results are not kept"
    for r in readers:
        assert sum(m.kind == "D" for m in r.until("Z", 30)) == 40
