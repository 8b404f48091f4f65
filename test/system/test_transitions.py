# SPDX-License-Identifier: ISC
"""Everything an operator can do, by several at once and in any order, while clients work.

    WEIR_SECONDS=60 WEIR_SEED=7 pytest test/system/test_transitions.py        for long, and otherwise"""
import os
import time

import pytest

from harness.operators import Keeper, Operators
from harness.tellers import Tellers, goes_well_again
from harness.wait import Worker

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))


@pytest.fixture
def told(cluster):
    cluster.sql("DROP TABLE IF EXISTS told; CREATE TABLE told (n int); GRANT ALL ON told TO app")
    return lambda: [r[0] for r in cluster.sql("SELECT n FROM told")]


@pytest.mark.deadline(180 + 3 * SECONDS)
@pytest.mark.parametrize("takes_over", [0, 1], ids=["stays", "moves"])
def test_operators_at_work(make_weir, cluster, told, takes_over):
    weir = make_weir(start=False, default_pool_size=4, query_wait_timeout=30, suspend_timeout=2)
    weir.general["logfile"] = os.path.join(weir.folder, "rotated.log")
    weir.write()
    weir.start()
    end = time.monotonic() + SECONDS
    tellers = Tellers(lambda: weir.raw(40).login(), 10, SEED)
    tellers.start(SECONDS)
    operators = Operators(weir, end, SEED)
    workers = [Worker(operators.run, i) for i in range(3)]
    keepers = [Worker(Keeper(weir, i, end, SEED).run) for i in range(5)]
    while takes_over and time.monotonic() < end:
        time.sleep(SECONDS / 3)
        operators.take_over()
    for w in workers:
        w.result(60)
    operators.end_all()
    for w in keepers:
        w.result(60)
    tellers.join()
    weir.write()
    operators.end_all()
    assert operators.strange == []
    goes_well_again(weir, tellers, told)
