# SPDX-License-Identifier: ISC
"""State that only the server can hold pins it, says so once, and lets go when the state is gone."""
import pytest

from harness import wire
from harness.wait import wait_until

PINNING = {
    "temp table": ("CREATE TEMP TABLE kept AS SELECT 42 AS v", "SELECT v FROM kept", "42", "DROP TABLE kept"),
    "select into temp": ("SELECT 43 AS v INTO TEMP kept", "SELECT v FROM kept", "43", "DROP TABLE kept"),
    "advisory lock": ("SELECT pg_advisory_lock(7001)",
                      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7001 AND pid = pg_backend_pid()", "1",
                      "SELECT pg_advisory_unlock(7001)"),
    "try advisory lock": ("SELECT pg_try_advisory_lock_shared(7002)",
                          "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7002 AND pid = pg_backend_pid()",
                          "1", "SELECT pg_advisory_unlock_all()"),
    "cursor with hold": ("DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(5, 9)", "FETCH 1 FROM c", "5", "CLOSE c"),
}


@pytest.mark.parametrize("name", PINNING)
@pytest.mark.parametrize("protocol", ["query", "extended"])
def test_pinned_state_stays_with_its_client(make_weir, name, protocol):
    make, look, expected, _ = PINNING[name]
    weir = make_weir(default_pool_size=2)
    a, b = weir.wire(), weir.wire()
    getattr(a, protocol)(make)
    mine = a.value("SELECT pg_backend_pid()")
    for _ in range(5):
        assert b.value("SELECT pg_backend_pid()") != mine, "nobody else gets the pinned server"
    assert getattr(a, protocol)(look) == [[expected]]


@pytest.mark.parametrize("name", PINNING)
def test_the_pin_is_announced_once_with_its_reason(make_weir, name):
    make, look, _, _ = PINNING[name]
    a = make_weir().wire()
    a.query(make)
    pins = [n for n in a.notices if "pin" in n["M"].lower()]
    assert len(pins) == 1 and pins[0]["V"] == "NOTICE"
    a.query(look)
    a.query(look)
    assert len([n for n in a.notices if "pin" in n["M"].lower()]) == 1


def test_the_announcement_can_be_turned_off(make_weir):
    a = make_weir(pin_notice=0).wire()
    a.query("CREATE TEMP TABLE kept AS SELECT 42 AS v")
    assert a.notices == [] and a.value("SELECT v FROM kept") == "42"


@pytest.mark.parametrize("name, undo", [(name, "DISCARD ALL") for name in PINNING] +
                         [("try advisory lock", "SELECT pg_advisory_unlock_all()"), ("cursor with hold", "CLOSE ALL")])
def test_the_server_is_free_again_when_the_state_is_surely_gone(make_weir, name, undo):
    make, _, _, _ = PINNING[name]
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query(make)
    b.send(wire.query("SELECT 'b'"))
    wait_until(lambda: weir.pool()["cl_waiting"] == "1")
    a.query(undo)
    assert b.finish() == [["b"]]


def test_pinned_state_goes_with_its_client(make_weir):
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query("CREATE TEMP TABLE secret AS SELECT 1; SELECT pg_advisory_lock(7003)")
    a.send(wire.terminate())
    a.close()
    b = weir.wire()
    with pytest.raises(wire.ServerError, match="42P01"):
        b.query("SELECT * FROM secret")
    assert b.value("SELECT pg_try_advisory_lock(7003)") == "t"


@pytest.mark.parametrize("statement", [
    "BEGIN; CREATE TEMP TABLE t (i int) ON COMMIT DROP; COMMIT", "BEGIN; SELECT pg_advisory_xact_lock(7004); COMMIT",
    "BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; COMMIT", "BEGIN; CREATE TEMP TABLE t (i int); ROLLBACK",
    "SELECT 'pg_advisory_lock(1)'", "SELECT 1 -- CREATE TEMP TABLE x (i int)"])
def test_what_leaves_no_state_does_not_pin(make_weir, statement):
    weir = make_weir(default_pool_size=1)
    a, b = weir.wire(), weir.wire()
    a.query(statement)
    assert b.value("SELECT 'free'") == "free"


def test_losing_pinned_state_is_fatal_and_says_what_was_lost(make_weir, cluster):
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query("CREATE TEMP TABLE lost (i int)")
    cluster.terminate(cluster.pids()[0])
    with pytest.raises(wire.ServerError) as e:
        a.query("SELECT * FROM lost")
    assert (e.value.level, e.value.sqlstate) == ("FATAL", "57P01")
    assert "temp" in (e.value.message + (e.value.detail or "")).lower()


def test_what_no_reset_ends_goes_with_its_server(make_weir, unique):
    weir = make_weir(default_pool_size=1)
    a = weir.wire()
    a.query(f"SELECT pg_create_physical_replication_slot('{unique}', false, true)")
    a.close()
    b = weir.wire()
    wait_until(lambda: b.value(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{unique}'") == "0", 10, "end of the slot")


def test_session_state_may_be_an_error(make_weir):
    weir = make_weir(on_session_state="error", default_pool_size=1)
    w = weir.wire()
    for make, _, _, _ in PINNING.values():
        with pytest.raises(wire.ServerError) as e:
            w.query(make)
        assert (e.value.level, e.value.sqlstate) == ("ERROR", "0A000")
        assert "on_session_state" in e.value.message + (e.value.detail or "") + (e.value.hint or "")
    assert weir.wire().value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_session_mode_needs_no_pin(make_weir):
    w = make_weir(pool_mode="session").wire()
    w.query("CREATE TEMP TABLE t (i int)")
    assert w.notices == []


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("end", ["leaves", "DISCARD ALL"])
def test_connections_of_dblink_are_nobody_elses(make_weir, new_cluster, mode, end):
    cluster = new_cluster().start()
    cluster.sql("CREATE EXTENSION dblink; GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO app")
    weir = make_weir(cluster=cluster, pool_mode=mode, default_pool_size=1)
    a = weir.wire()
    a.query(f"SELECT dblink_connect_u('mine', 'host={cluster.folder} port={cluster.port} dbname=app user=app')")
    assert a.value("SELECT dblink_get_connections()") == "{mine}"
    if end == "DISCARD ALL":
        a.query(end)
    if end == "leaves" or mode == "session":
        a.close()
    assert weir.wire().value("SELECT dblink_get_connections()") is None
