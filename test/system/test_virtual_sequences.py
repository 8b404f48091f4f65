# SPDX-License-Identifier: ISC
"""currval and lastval answer what this session drew, or nothing; never what another one drew."""
import pytest

from harness import wire


@pytest.fixture
def weir(make_weir, cluster, unique):
    cluster.sql(f"CREATE TABLE {unique} (id serial, v text); GRANT ALL ON {unique}, {unique}_id_seq TO app")
    yield make_weir(default_pool_size=2, workers=1)
    cluster.sql(f"DROP TABLE {unique}")


def insert(client, table):
    client.query(f"INSERT INTO {table} (v) VALUES ('x')")


@pytest.mark.parametrize("protocol", ["query", "extended"])
@pytest.mark.parametrize("look", ["lastval()", "currval('{}_id_seq')"])
def test_the_value_of_an_earlier_transaction_is_found(weir, unique, look, protocol):
    a, b = weir.wire(), weir.wire()
    look = "SELECT " + look.format(unique)
    insert(a, unique)
    for sql in ["BEGIN", "SELECT 1", "ROLLBACK", "SELECT 2"]:  # on the server of the insert, but they draw nothing
        b.query(sql)
    assert getattr(a, protocol)(look) == [["1"]]
    insert(b, unique)
    insert(b, unique)
    for _ in range(3):
        assert getattr(a, protocol)(look) == [["1"]]
        assert getattr(b, protocol)(look) == [["3"]]


@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_nobody_is_told_what_another_session_drew(weir, unique, protocol):
    a, b, c = weir.wire(), weir.wire(), weir.wire()
    insert(a, unique)
    for w in (b, c):
        for look in ["SELECT lastval()", f"SELECT currval('{unique}_id_seq')"]:
            with pytest.raises(wire.ServerError, match="55000.*not yet defined in this session"):
                getattr(w, protocol)(look)


def test_what_others_drew_over_is_undefined_not_wrong(make_weir, weir, unique):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    insert(a, unique)
    insert(b, unique)
    with pytest.raises(wire.ServerError, match="55000"):
        a.query("SELECT lastval()")


def test_sessions_of_such_an_application_keep_the_server_they_drew_on(weir, unique):
    a, b = weir.wire(), weir.wire()
    insert(a, unique)
    assert a.value("SELECT lastval()") == "1"
    insert(b, unique)
    for client in (a, b):
        assert "sequence" in [n["M"].split()[-1] for n in client.notices]
    assert [a.value("SELECT lastval()"), b.value("SELECT lastval()")] == ["1", "2"]


def test_within_one_transaction_it_is_as_ever(weir, unique):
    a = weir.wire()
    a.query("BEGIN")
    insert(a, unique)
    assert a.value("SELECT lastval()") == "1"
    a.query("COMMIT")
