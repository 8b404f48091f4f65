# SPDX-License-Identifier: ISC
"""A cluster in bad times: nodes that die, hang, are promoted; networks that fail; operators; system calls that fail. By the dice.

    WEIR_SECONDS=60 WEIR_SEED=7 pytest -m "slow or not slow" test/system/test_storms.py        for long, and otherwise"""
import os
import time

import pytest

from harness.faults import Faults
from harness.operators import Keeper
from harness.replicas import wait_nodes_up
from harness.storm import LIMITS, TIMES, ClusterOperators, Storm
from harness.tellers import goes_well_again
from harness.wait import Worker
from harness.witnesses import Witnesses

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))
CALLS = dict(client_reset=0.001, server_reset=0.001, client_epipe=0.001, server_epipe=0.001, client_enobufs=0.001, server_enobufs=0.001,
             connect_refused=0.1, connect_unreachable=0.05, dial_timeout=0.05, socket_emfile=0.05, accept_emfile=0.05,
             accept_aborted=0.05, recv_short=0.05, send_short=0.05, recv_eagain=0.02, send_eagain=0.02, lookup_again=0.2, lookup_slow=0.2)
ALL = "operators network calls"


@pytest.fixture
def storm(new_trio):
    made = Storm(new_trio(**LIMITS), SEED)
    yield made
    made.end()


@pytest.mark.deadline(180 + 3 * SECONDS)
@pytest.mark.parametrize("what", [pytest.param(ALL, id="all")] + [pytest.param(what, marks=pytest.mark.slow, id=what or "nodes")
                                                                  for what in ["", *ALL.split()]])
def test_storms(storm, make_lone_weir, what):
    weir = make_lone_weir(start=False, **storm.settings(), default_pool_size=8, suspend_timeout=2, server_check_delay=1000, **TIMES)
    weir.general["logfile"] = os.path.join(weir.folder, "rotated.log")
    weir.write()
    faults = Faults(weir, SEED)
    storm.weir = weir.start()
    wait_nodes_up(weir)
    crowd, end = Witnesses(lambda: weir.raw(40).login(), SEED), time.monotonic() + SECONDS
    crowd.start(SECONDS)
    operators = ClusterOperators(weir, end, SEED, [n.name for n in storm.trio.nodes])
    keepers, workers = [Worker(Keeper(weir, i, end, SEED).run) for i in range(3)], []
    if "operators" in what:
        workers += [Worker(operators.run, i) for i in range(2)]
    if "network" in what:
        workers.append(Worker(storm.weather, end))
    if "calls" in what:
        faults.often(**CALLS)
    try:
        while time.monotonic() < end:
            storm.strike()
            if what == "operators" and storm.rng.random() < 0.2:  # one whose calls fail may be refused, and all goes on
                operators.take_over()
    finally:
        print(storm.did, operators.did, {k: v for w in crowd.others for k, v in w.seen.items()})
    for w in workers:
        w.result(60)
    faults.stop()
    storm.calm()
    operators.end_all()  # a RESUME may have been lost to the faults, and who waits has waited since
    for w in keepers:
        w.result(60)
    print(crowd.join())
    operators.end_all()
    assert operators.strange == []
    wait_nodes_up(weir)
    goes_well_again(weir, crowd, storm.told)
