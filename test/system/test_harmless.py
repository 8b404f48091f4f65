# SPDX-License-Identifier: ISC
"""src/sql/harmless.def and src/catalog/local.def against the functions of a real server."""
import os
import re

import pytest

DEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/sql/harmless.def")
LOCAL = os.path.join(os.path.dirname(DEF), "../catalog/local.def")
DOUBTFUL = re.compile(r"advisory|^lo_|^lo(read|write)$|_to_xml|dblink|nextval|setval|set_config|^pg_event_trigger_|_slot_|^pg_notify")


def rows(kind):
    with open(DEF) as f:
        names = re.findall(rf"^{kind}\((\w+)\)$", f.read(), re.M)
    assert names
    return names


@pytest.fixture
def functions(cluster):
    """Name to the kinds of volatility that functions of it have."""
    found = cluster.sql("SELECT proname, string_agg(DISTINCT provolatile::text, '') FROM pg_proc"
                        " WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' GROUP BY proname")
    return dict(found)


def test_harmless_functions_are_immutable_or_stable(functions):
    wrong = {name: functions.get(name) for name in rows("HARMLESS") if not set(functions.get(name, "v")) <= set("is")}
    assert not wrong


def test_volatile_functions_are_there_and_volatile(functions):
    assert not {name: functions.get(name) for name in rows("VOLATILE") if functions.get(name) != "v"}


def test_nothing_doubtful_is_harmless():
    assert not [name for name in rows("HARMLESS") + rows("VOLATILE") if DOUBTFUL.search(name)]


def test_local_functions_are_there_and_harmless(functions):
    """Each row means some function, and none that would be called a write without it."""
    with open(LOCAL) as f:
        patterns = re.findall(r'^LOCAL\("([^"]+)"\)$', f.read(), re.M)
    assert patterns
    means = {p: [n for n in functions if n == p or (p[-1] == "*" and n.startswith(p[:-1]))] for p in patterns}
    assert not [p for p, names in means.items() if not names]
    known = set(rows("HARMLESS") + rows("VOLATILE"))
    assert not {n for names in means.values() for n in names if n not in known and functions[n] == "v"}
