# SPDX-License-Identifier: ISC
"""What pgweir itself refuses has a message, its facts, the one thing to do, and one line in the log with the same words."""
import pytest

from harness import wire
from harness.wait import wait_until


def refusal(w, *messages):
    """The fields of the first ErrorResponse, of a client that stays or goes."""
    if messages:
        w.send(*messages)
    while True:
        m = w.receive()
        if m.kind == "E":
            return m.fields()


def login_refused(weir, user="app", database="app", **params):
    w = weir.raw()
    w.send(wire.startup(user=user, database=database, **params))
    return refusal(w)


def a_long_wait(make_weir, cluster):
    weir = make_weir(default_pool_size=1, query_wait_timeout=0.2)
    weir.wire().query("BEGIN; SELECT 1")
    return weir, refusal(weir.wire(), wire.query("SELECT 1"))


def a_long_query(make_weir, cluster):
    weir = make_weir(query_timeout=0.2)
    return weir, refusal(weir.wire(), wire.query("SELECT pg_sleep(20)"))


def an_idle_client(make_weir, cluster):
    weir = make_weir(client_idle_timeout=0.2)
    return weir, refusal(weir.wire())


def an_idle_transaction(make_weir, cluster):
    weir = make_weir(idle_transaction_timeout=0.2)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    return weir, refusal(w)


def an_empty_transaction(make_weir, cluster):
    weir = make_weir(idle_transaction_timeout=0.2)
    w = weir.wire()
    w.query("BEGIN")
    return weir, refusal(w)


def a_long_transaction(make_weir, cluster):
    weir = make_weir(transaction_timeout=0.2)
    w = weir.wire()
    w.query("BEGIN; SELECT 1")
    return weir, refusal(w)


def too_many_clients(make_weir, cluster):
    weir = make_weir(max_client_conn=1)
    weir.wire()
    return weir, login_refused(weir)


def an_unknown_database(make_weir, cluster):
    weir = make_weir()
    return weir, login_refused(weir, database="nobody's")


def a_disabled_database(make_weir, cluster):
    weir = make_weir()
    weir.console("DISABLE app")
    return weir, login_refused(weir)


def a_database_that_is_down(make_weir, cluster):
    weir = make_weir(databases={"app": {"port": 1}}, query_wait_timeout=0.2)
    return weir, login_refused(weir)


def a_block_in_statement_mode(make_weir, cluster):
    weir = make_weir(pool_mode="statement")
    return weir, refusal(weir.wire(), wire.query("BEGIN"))


def a_prepared_block_in_statement_mode(make_weir, cluster):
    weir = make_weir(pool_mode="statement")
    return weir, refusal(weir.wire(), wire.parse("", "BEGIN"), wire.sync())


def state_that_is_refused(make_weir, cluster):
    weir = make_weir(on_session_state="error")
    return weir, refusal(weir.wire(), wire.query("CREATE TEMP TABLE t ()"))


def too_many_channels(make_weir, cluster):
    weir = make_weir(max_listen_channels=1)
    w = weir.wire()
    w.query("LISTEN a")
    return weir, refusal(w, wire.query("LISTEN b"))


def a_long_prepared_text(make_weir, cluster):
    weir = make_weir(max_statement_size=4096)
    return weir, refusal(weir.wire(), wire.parse("a", f"SELECT '{'x' * 100000}'"), wire.sync())


def a_stranger_on_the_console(make_weir, cluster):
    weir = make_weir()
    return weir, login_refused(weir, database="pgweir")


def a_lost_transaction(make_weir, cluster):
    weir = make_weir()
    w = weir.wire()
    w.query("BEGIN")
    cluster.terminate(int(w.value("SELECT pg_backend_pid()")))
    return weir, refusal(w, wire.query("SELECT 1"))


def a_lost_result(make_weir, cluster):
    weir = make_weir()
    w = weir.wire()
    pid = int(w.value("SELECT pg_backend_pid()"))
    w.send(wire.query("SELECT repeat('r', 10000) FROM generate_series(1, 1000000)"))
    w.until("D")
    cluster.terminate(pid)
    return weir, refusal(w)


def a_lost_procedure(make_weir, cluster):
    weir = make_weir()
    w = weir.wire()
    w.send(wire.query("DO 'BEGIN PERFORM pg_sleep(30); END'"))
    cluster.terminate(wait_until(lambda: cluster.value(
        "SELECT max(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'app'")))
    return weir, refusal(w)


REFUSALS = [(a_long_wait, "ERROR", "53300"), (a_long_query, "ERROR", "57014"), (an_idle_client, "FATAL", "57P05"),
            (an_idle_transaction, "FATAL", "25P03"), (an_empty_transaction, "FATAL", "25P03"),
            (a_long_transaction, "FATAL", "25P04"), (too_many_clients, "FATAL", "53300"), (an_unknown_database, "FATAL", "3D000"),
            (a_disabled_database, "FATAL", "57P03"), (a_database_that_is_down, "FATAL", "57P03"),
            (a_block_in_statement_mode, "ERROR", "0A000"), (a_prepared_block_in_statement_mode, "ERROR", "0A000"),
            (state_that_is_refused, "ERROR", "0A000"), (too_many_channels, "ERROR", "54000"),
            (a_long_prepared_text, "ERROR", "54000"), (a_stranger_on_the_console, "FATAL", "42501"),
            (a_lost_transaction, "ERROR", "40001"), (a_lost_result, "ERROR", "08006"), (a_lost_procedure, "FATAL", "08007")]


@pytest.mark.parametrize("provoke, level, sqlstate", REFUSALS, ids=[r[0].__name__ for r in REFUSALS])
def test_a_refusal_has_facts_a_hint_and_its_line(make_weir, cluster, provoke, level, sqlstate):
    weir, fields = provoke(make_weir, cluster)
    assert (fields["V"], fields["C"]) == (level, sqlstate)
    assert fields.get("D") and fields.get("H"), fields
    weir.wait_log("client=c[0-9]+.*" + fields["M"].split(" (")[0].replace('"', ".").replace("$", "."))


@pytest.mark.parametrize("option", ["route=nowhere", "consistency=some", "max_lag=-1s", "min_lsn=x"])
def test_a_start_up_packet_with_a_bad_wish_is_refused(make_weir, option):
    """As PostgreSQL does with its own settings, and as SET is."""
    weir = make_weir()
    fields = login_refused(weir, options=f"-c pgweir.{option}")
    assert (fields["V"], fields["C"]) == ("FATAL", "22023") and fields["H"]
    assert weir.wire(options="-c pgweir.route=primary").value("SHOW pgweir.route") == "primary"
