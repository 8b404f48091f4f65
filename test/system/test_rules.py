# SPDX-License-Identifier: ISC
"""[rules]: which statements have a route of their own, and whose word counts."""
import re

import pytest

from harness import wire
from harness.replicas import WHERE, bound_to_primary, reason, settings_of, wait_nodes_up, wait_reads_spread
from harness.wait import wait_until

REPLICAS = {"pg2", "pg3"}
READ_REGISTER = f"SELECT {WHERE} FROM register WHERE k = 1"
READ_NOTES = f"SELECT {WHERE} FROM (SELECT count(*) FROM notes) n"


@pytest.fixture
def make(make_lone_weir, trio):
    """make({"name": {...}}, ...): pgweir in front of trio, with these rules."""
    def make(rules, databases=None, **general):
        weir = make_lone_weir(**settings_of(trio, cluster={"balance": "round_robin"}, databases=databases), rules=rules,
                              **general)
        wait_nodes_up(weir)
        wait_reads_spread(weir, trio)
        return weir
    return make


def nodes(w, sql, count=6):
    return {w.value(sql) for _ in range(count)}


def on_replicas(w, sql):
    """Sooner or later on each, and nowhere else but for what the session has seen on the primary. One may be passed over
    until pgweir has seen that it holds what the session has read on the other."""
    seen = set()

    def read():
        node = w.value(sql)
        if node in REPLICAS or not bound_to_primary(reason(w)):
            seen.add(node)
    wait_until(lambda: read() or seen >= REPLICAS)
    return seen == REPLICAS


def explain(w, sql):
    return dict(w.query(f"EXPLAIN (PGWEIR) {sql}"))


def reload(weir, rules):
    weir.rules = rules
    weir.write()
    weir.console("RELOAD")


def matches(weir):
    return {r["rule"]: int(r["matches"]) for r in weir.console("SHOW RULES")}


def test_a_rule_by_table(make):
    weir = make({"fresh": {"table": "register", "route": "primary"}, "other": {"table": "private.notes", "route": "primary"}})
    w = weir.wire()
    assert nodes(w, READ_REGISTER) == {"pg1"}
    assert reason(w) == "a rule"
    assert nodes(w, READ_REGISTER.replace("register", "public.REGISTER")) == {"pg1"}
    assert nodes(w, f"SELECT {WHERE} WHERE EXISTS (SELECT FROM twice(1), register)") == {"pg1"}
    assert on_replicas(w, READ_NOTES.replace("notes", "public.notes"))
    assert on_replicas(w, f"SELECT {WHERE}, 'register'")
    # without a schema it may be any's
    assert nodes(w, READ_NOTES) == {"pg1"}


def test_a_rule_by_digest(make, trio):
    w = make({"none": {"table": "none", "route": "primary"}}).wire()
    digest = explain(w, READ_REGISTER)["digest"]
    assert re.fullmatch("[0-9a-f]{32}", digest)
    w = make({"one": {"digest": digest.upper(), "node": "pg3"}}).wire()  # another process: the digest is the same
    assert explain(w, READ_REGISTER)["digest"] == digest
    assert nodes(w, READ_REGISTER) == {"pg3"}
    assert nodes(w, READ_REGISTER.replace("1", "2").lower() + " -- other literals, spaces and comments") == {"pg3"}
    assert on_replicas(w, READ_REGISTER + " AND v = v")


def test_a_rule_by_regex(make):
    w = make({"mine": {"regex": "^select .* from (notes|register) where k = 1$", "route": "primary"}}).wire()
    assert nodes(w, f"  {READ_REGISTER}") == {"pg1"}
    assert on_replicas(w, READ_REGISTER.replace("1", "2"))
    assert on_replicas(w, READ_NOTES)
    assert nodes(w, READ_REGISTER) == {"pg1"}
    # the end of a long text is not looked at
    assert on_replicas(w, READ_REGISTER.replace(" FROM", ", '" + "x" * 5000 + "' FROM"))


def test_rules_by_user_application_and_database(make):
    two = {"app": {"cluster": "main"}, "other": {"cluster": "main", "dbname": "app"}}
    weir = make({"who": {"user": "app2", "node": "pg2"}, "nightly": {"application_name": "nightly", "route": "primary"},
                 "where": {"database": "other", "node": "pg3"}}, databases=two)
    assert on_replicas(weir.wire(), READ_NOTES)
    assert nodes(weir.wire(user="app2"), READ_NOTES) == {"pg2"}
    assert nodes(weir.wire(database="other"), READ_NOTES) == {"pg3"}
    assert nodes(weir.wire(user="app2", database="other"), READ_NOTES) == {"pg2"}  # the first in the file
    w = weir.wire(application_name="nightly")
    assert nodes(w, READ_NOTES) == {"pg1"}
    w.query("SET application_name = 'daily'")
    assert on_replicas(w, READ_NOTES)
    w.query("SET application_name TO 'nightly'")
    assert nodes(w, READ_NOTES) == {"pg1"}
    w.query("RESET application_name")
    assert nodes(w, READ_NOTES) == {"pg1"}


def test_all_conditions_must_hold_and_the_first_rule_counts(make):
    w = make({"both": {"table": "register", "user": "app2", "route": "primary"},
              "two": {"table": "register", "regex": "limit", "node": "pg3"},
              "rest": {"table": "register", "node": "pg2"}})
    assert nodes(w.wire(), READ_REGISTER) == {"pg2"}
    assert nodes(w.wire(), READ_REGISTER + " LIMIT 1") == {"pg3"}
    assert nodes(w.wire(user="app2"), READ_REGISTER + " LIMIT 1") == {"pg1"}


def test_database_then_rule_then_session_then_hint(make):
    weir = make({"notes": {"table": "notes", "route": "prefer-replica"}, "eventually": {"table": "register",
                                                                                    "consistency": "eventual"}},
                databases={"app": {"cluster": "main"}, "p": {"cluster": "main", "dbname": "app", "route": "primary"}})
    w = weir.wire(database="p")
    assert nodes(w, f"SELECT {WHERE}") == {"pg1"}
    wait_until(lambda: nodes(w, READ_NOTES) == REPLICAS)  # its catalog comes a moment later than that of app
    assert nodes(w, READ_REGISTER) == {"pg1"}  # a rule that says nothing of the route leaves it
    w.query("SET pgweir.route = 'node:pg1'")
    assert nodes(w, READ_NOTES) == {"pg1"}
    assert reason(w) == "pgweir.route names the node"
    assert on_replicas(w, READ_NOTES + " /* pgweir: route=replica */")
    w.query("SET pgweir.route = 'auto'")
    assert on_replicas(w, f"SELECT {WHERE}")
    w.query("RESET pgweir.route")
    assert nodes(w, f"SELECT {WHERE}") == {"pg1"}
    assert on_replicas(w, READ_NOTES)
    assert reason(w) == "a rule"
    assert nodes(w, READ_NOTES + " /* pgweir: route=primary */") == {"pg1"}
    assert reason(w) == "pgweir.route = primary"
    assert on_replicas(w, READ_NOTES + " /* pgweir: max_lag=1h */")
    assert reason(w) == "a rule"
    w = weir.wire(options="-c pgweir.route=node:pg2")
    assert nodes(w, READ_NOTES) == {"pg2"}


def test_consistency_and_max_lag_of_a_rule(make, trio):
    """Both replicas stand still: what the session wrote is not on them."""
    weir = make({"old": {"table": "notes", "consistency": "eventual", "max_lag": 60},
                 "new": {"table": "register", "max_lag": "1ms"}})
    for i in (1, 2):
        trio.pause_replay(i)
    w = weir.wire()
    w.query("UPDATE register SET v = v + 1 WHERE k = 2")
    assert nodes(w, f"SELECT {WHERE}") == {"pg1"}
    assert on_replicas(w, READ_NOTES)
    w.query("SET pgweir.consistency = session")
    assert nodes(w, READ_NOTES) == {"pg1"}
    other = weir.wire()  # it has seen nothing
    wait_until(lambda: nodes(other, READ_REGISTER) == {"pg1"}, 10, "a lag of a millisecond")


def test_prepared_statements_and_batches(make):
    weir = make({"fresh": {"table": "register", "route": "primary"}, "notes": {"table": "notes", "node": "pg3"}})
    w = weir.wire()
    for _ in range(4):
        assert w.extended(READ_REGISTER)[0][0] == "pg1"
        assert w.extended(READ_NOTES)[0][0] == "pg3"
    c = weir.connect()
    c.prepare_threshold = 0
    for _ in range(4):
        assert c.execute(f"SELECT {WHERE} FROM register WHERE k = %s", (1,)).fetchone()[0] == "pg1"
        assert c.execute(READ_NOTES).fetchone()[0] == "pg3"
    # one batch goes to one node: the first rule of any of its statements
    w.send(*(wire.extended(sql) for sql in (READ_NOTES, READ_REGISTER, READ_NOTES)), wire.sync())
    assert w.finish() == [["pg1"]] * 3
    assert w.value("SHOW pgweir.last_route_reason") == "a rule"
    w.send(*(wire.extended(sql) for sql in (f"SELECT {WHERE}", READ_NOTES, f"SELECT {WHERE}")), wire.sync())
    assert w.finish() == [["pg3"]] * 3


def test_pipelined_simple_queries_go_each_its_way(make):
    w = make({"fresh": {"table": "register", "route": "primary"}, "notes": {"table": "notes", "node": "pg3"}}).wire()
    w.send(*(wire.query(sql) for sql in (READ_NOTES, READ_REGISTER, READ_NOTES, READ_REGISTER)))
    assert [w.finish()[0][0] for _ in range(4)] == ["pg3", "pg1", "pg3", "pg1"]


def test_a_write_goes_where_it_must(make):
    weir = make({"gentle": {"table": "notes", "route": "prefer-replica"}})
    w = weir.wire()
    w.query("INSERT INTO notes VALUES (3)")
    assert w.value("SHOW pgweir.last_node") == "pg1"
    w.query("BEGIN")
    assert nodes(w, READ_NOTES) == {"pg1"}
    w.query("COMMIT")


@pytest.mark.parametrize("route", ["replica", "node:pg3", "node:pg1", "primary"])
def test_what_is_not_surely_a_read_finds_its_server_too(make, route):
    """Its server must be dialled first, so that the request is looked at twice."""
    rule = {"node": route[5:]} if route.startswith("node:") else {"route": route}
    weir = make({"all": {"user": "app2", **rule}})
    where = {"replica": REPLICAS, "primary": {"pg1"}}.get(route, {route[5:]})
    assert nodes(weir.wire(user="app2"), f"SELECT {WHERE}, txid_current_if_assigned()") <= where
    w = weir.wire(user="app2")
    w.query("BEGIN")
    assert nodes(w, READ_NOTES) <= where
    w.query("COMMIT")
    w.query("BEGIN READ ONLY")
    assert nodes(w, READ_NOTES) <= where
    w.query("COMMIT")


def test_a_rule_for_nodes_of_another_cluster_leaves_sessions_alone(make, trio):
    lone = {"app": {"cluster": "main"}, "imp": {"host": "127.0.0.1", "port": trio[0].port, "dbname": "app"}}
    weir = make({"n": {"user": "app", "node": "pg2"}}, databases=lone)
    assert nodes(weir.wire(), READ_NOTES) == {"pg2"}
    assert weir.wire(database="imp").value(READ_NOTES) == "pg1"


def test_show_rules_counts_and_explain_names_the_rule(make):
    weir = make({"fresh": {"table": "register", "route": "primary", "max_lag": "1500ms"},
                 "who": {"user": "app2", "regex": "it's  x", "node": "pg2", "consistency": "global"}}, workers=2)
    for _ in range(6):  # whatever worker they land on
        w = weir.wire()
        w.query(READ_REGISTER)
        w.extended(READ_REGISTER)
        w.query(READ_NOTES)
    assert weir.console("SHOW RULES") == [
        {"rule": "fresh", "conditions": "table=register", "route": "primary", "node": None, "consistency": None,
         "max_lag_ms": "1500", "matches": "12"},
        {"rule": "who", "conditions": "regex='it''s  x' user=app2", "route": None, "node": "pg2", "consistency": "global",
         "max_lag_ms": None, "matches": "0"}]
    found = explain(w, READ_REGISTER)
    assert (found["rule"], found["node"], found["reason"]) == ("fresh", "pg1", "a rule")
    wait_until(lambda: found.update(explain(w, READ_NOTES)) or not bound_to_primary(found["reason"]))
    assert (found["rule"], found["reason"]) == ("", "read")


def test_reload_changes_rules_under_open_sessions(make, trio):
    weir = make({"fresh": {"table": "register", "route": "primary"}})
    w = weir.wire()
    assert nodes(w, READ_REGISTER) == {"pg1"}
    before = matches(weir)["fresh"]
    assert before == 6
    reload(weir, {"first": {"table": "notes", "node": "pg3"}, "fresh": {"table": "register", "node": "pg2"}})
    assert nodes(w, READ_REGISTER) == {"pg2"}
    assert nodes(w, READ_NOTES) == {"pg3"}
    assert matches(weir) == {"first": 6, "fresh": before + 6}
    reload(weir, {})
    assert on_replicas(w, READ_REGISTER)
    assert weir.console("SHOW RULES") == []


def test_a_bad_rule_is_refused_with_its_line(make, trio):
    weir = make({"fresh": {"table": "register", "route": "primary"}})
    with pytest.raises(wire.ServerError, match=r"pgweir\.ini:\d+: regex \"a\(\" is not valid"):
        reload(weir, {"r": {"regex": "a(", "route": "replica"}})
    assert nodes(weir.wire(), READ_REGISTER) == {"pg1"}
