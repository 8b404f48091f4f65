# SPDX-License-Identifier: ISC
"""A cluster that refuses, is full, is another one than it was, or two at once, and a clock that jumps. By the dice.

    WEIR_SECONDS=60 WEIR_SEED=7 pytest -m "slow or not slow" test/system/test_troubles.py        for long, and otherwise"""
import os
import time

import pytest

from harness.faults import Faults
from harness.operators import Keeper
from harness.replicas import wait_nodes_up
from harness.storm import LIMITS, TIMES
from harness.tellers import NOT_DONE, goes_well_again
from harness.trouble import REFUSALS, Trouble
from harness.wait import Worker
from harness.witnesses import Witnesses

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))


@pytest.fixture
def refusals():
    NOT_DONE.update(REFUSALS)
    yield
    NOT_DONE.difference_update(REFUSALS)


@pytest.fixture
def trouble(new_trio, new_cluster, refusals):
    made = Trouble(new_trio(**LIMITS, superuser_reserved_connections=160), SEED, new_cluster(copied=False).start())
    yield made
    made.end()


@pytest.mark.deadline(180 + 3 * SECONDS)
@pytest.mark.parametrize("what", [pytest.param("things", id="all")] + [pytest.param(w, marks=pytest.mark.slow) for w in ("refusals", "identities")])
def test_troubles(trouble, make_lone_weir, what):
    weir = make_lone_weir(start=False, **trouble.settings(), default_pool_size=8, server_check_delay=1000, **TIMES)
    trouble.faults = Faults(weir, SEED)
    trouble.weir = weir.start()
    wait_nodes_up(weir)
    crowd, end = Witnesses(lambda: weir.raw(40).login(), SEED), time.monotonic() + SECONDS
    crowd.start(SECONDS)
    trouble.things = getattr(trouble, what)
    try:
        while time.monotonic() < end:
            trouble.strike()
    finally:
        print(trouble.did, {k: v for w in crowd.others for k, v in w.seen.items()})
    print(crowd.join())
    wait_nodes_up(weir)
    goes_well_again(weir, crowd, trouble.told)
