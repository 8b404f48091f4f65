# SPDX-License-Identifier: ISC
"""Statements that want nobody in a database find nobody but clients there: no server of ours that waits for the next one."""
import psycopg
import pytest


@pytest.fixture
def weir(make_weir, cluster):
    cluster.sql("CREATE DATABASE vacated OWNER app")
    cluster.sql("ALTER ROLE app CREATEDB")
    yield make_weir(databases={"*": {}, "alias": {"dbname": "vacated"}})
    cluster.sql("ALTER ROLE app NOCREATEDB")
    for name in ("vacated", "renamed", "copied"):
        cluster.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def visit(weir, statement="SELECT 1"):
    """A client was there: a server stays."""
    with weir.connect(dbname="vacated") as a, weir.connect(dbname="alias") as b:
        a.execute(statement)
        b.execute(statement)


@pytest.mark.parametrize("statement", ["DROP DATABASE vacated", "ALTER DATABASE vacated RENAME TO renamed",
                                       "CREATE DATABASE copied TEMPLATE vacated"])
def test_servers_without_clients_are_not_in_the_way(weir, statement):
    visit(weir)
    with weir.connect() as c:
        c.execute(statement)


def test_nor_by_the_extended_protocol(weir):
    visit(weir)
    w = weir.wire()
    assert w.extended("DROP DATABASE vacated") == []
    w.close()


def test_nor_is_one_that_listened_for_clients(weir):
    visit(weir, "LISTEN a")
    with weir.connect() as c:
        c.execute("DROP DATABASE vacated")


@pytest.mark.usefixtures("weir")
def test_nor_is_the_connection_of_auth_query(make_weir):
    asking = make_weir(databases={"*": {}}, userlist={"lookup": "lookup-pw"}, auth_user="lookup")
    asking.connect(dbname="vacated").close()
    asking.connect().execute("DROP DATABASE vacated")


def test_a_client_is_in_the_way_until_it_leaves(weir):
    with weir.connect() as c, weir.connect(dbname="vacated") as guest:
        guest.execute("SELECT 1")
        with pytest.raises(psycopg.errors.ObjectInUse):
            c.execute("DROP DATABASE vacated")
        assert guest.execute("SELECT 1").fetchone() == (1,)
        guest.close()
        c.execute("DROP DATABASE vacated")
