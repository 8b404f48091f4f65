# SPDX-License-Identifier: ISC
"""Random conversations of several sessions that take turns, held with PostgreSQL and through pgweir with fewer servers than
sessions: everything that is heard is the same.

    WEIR_SEED=1000 WEIR_SEEDS=500 pytest test/system/test_conversations.py        others, and more; one that differs is made small"""
import os

import pytest

from harness import wire
from harness.comparison import Comparison

SEED, SEEDS = int(os.environ.get("WEIR_SEED", "105")), int(os.environ.get("WEIR_SEEDS", "6"))
STEPS = 60

# A LISTEN may hear what is committed between its sending and its answer; currval in a later transaction may find nothing; RESET among other statements counts at the end of its Query (README).
KNOWN = ("notifying", "sequences", "resets")


@pytest.mark.deadline(60 + 5 * SEEDS)
@pytest.mark.parametrize("mode, servers", [("transaction", 1), ("transaction", 2), ("transaction", 3), ("session", 4)])
def test_a_conversation_is_that_of_postgresql(make_weir, new_cluster, mode, servers):
    cluster = new_cluster().start()
    weir = make_weir(cluster=cluster, pool_mode=mode, default_pool_size=servers, query_wait_timeout=5, pin_notice=0)
    comparison = Comparison(cluster, lambda: wire.Wire("127.0.0.1", weir.port), 4, servers, KNOWN)
    for seed in range(SEED, SEED + SEEDS):
        differs = comparison.compare(seed, STEPS)
        assert differs is None, differs
