# SPDX-License-Identifier: ISC
"""src/sql/harmless.def against the functions of a real server."""
import os
import re

import pytest

DEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/sql/harmless.def")
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
