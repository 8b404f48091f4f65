# SPDX-License-Identifier: ISC
"""A network that is late, slow, cut off or silent, between clients and pgweir and between pgweir and PostgreSQL.

    WEIR_SECONDS=60 WEIR_SEED=7 pytest test/system/test_bad_network.py        for long, and otherwise"""
import os
import ssl

import pytest

from harness import talk, wire
from harness.mangler import Mangler
from harness.tellers import Tellers, goes_well_again, wait_rest
from harness.wait import run_all

SECONDS, SEED = float(os.environ.get("WEIR_SECONDS", "3")), int(os.environ.get("WEIR_SEED", "5"))
SLOW = dict(piece=600, delay=0.002)
BAD = dict(piece=2000, delay=0.001, reset=0.01, end=0.01, half=0.01)
TIMES = dict(query_timeout=2, cancel_wait_timeout=1, server_connect_timeout=2, query_wait_timeout=10, client_login_timeout=5,
             client_write_timeout=3, idle_transaction_timeout=4)


@pytest.fixture
def manglers():
    made = []

    def make(port, **plan):
        made.append(Mangler(port, SEED + len(made), **plan))
        return made[-1]
    yield make
    for m in made:
        m.close()


@pytest.fixture
def between(make_weir, manglers, cluster, certs):
    """between(tls=False, option=value): (pgweir, the network to its clients, the network to PostgreSQL, login())"""
    def make(tls=False, **general):
        behind = manglers(cluster.port)
        if tls:
            general.update(client_tls_sslmode="allow", client_tls_key_file=certs.server_key, client_tls_cert_file=certs.server_cert,
                           server_tls_sslmode="require")
        weir = make_weir(databases={"app": {"host": "127.0.0.1", "port": behind.port}}, auth_type="scram-sha-256", **general)
        front, context = manglers(weir.port), ssl.create_default_context(cafile=certs.ca) if tls else None

        def login(seconds=30):
            w = wire.Wire("127.0.0.1", front.port, seconds)
            try:
                if tls:
                    w.start_tls(context, "localhost")
                return w.login("in_scram", "app", "in_scram-pw")
            except ssl.SSLError as e:
                w.close()
                raise wire.Closed(str(e)) from e
            except BaseException:
                w.close()
                raise
        return weir, front, behind, login
    return make


@pytest.fixture
def told(cluster):
    cluster.sql("DROP TABLE IF EXISTS told; CREATE TABLE told (n int); GRANT ALL ON told TO app, in_scram")
    return lambda: [r[0] for r in cluster.sql("SELECT n FROM told")]


@pytest.mark.deadline(90 + 20 * SECONDS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_late_and_in_pieces_is_the_same(between, cluster, told, tls):
    turns, seeds, wanted = int(6 * SECONDS), [SEED * 1000 + i for i in range(4)], []
    for seed in seeds:
        with wire.Wire("127.0.0.1", cluster.port, 30) as w:
            wanted.append(talk.hold(seed, w.login("in_scram", "app", "in_scram-pw"), turns, largest=70000))
    weir, front, behind, login = between(tls, default_pool_size=2)
    front.mangle(**SLOW)
    behind.mangle(**SLOW)

    def again(seed, want):
        with login(60) as w:
            for a, b in zip(want, talk.hold(seed, w, turns, largest=70000), strict=True):
                assert a == b, (seed, str(a)[:600], str(b)[:600])
    run_all([lambda seed=seed, want=want: again(seed, want) for seed, want in zip(seeds, wanted)], 60 + 15 * SECONDS)
    wait_rest(weir)


@pytest.mark.deadline(120 + 3 * SECONDS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_connections_that_break_anywhere(between, told, tls):
    weir, front, behind, login = between(tls, default_pool_size=4, query_wait_timeout=20)
    tellers = Tellers(login, 10, SEED)
    front.mangle(**BAD)
    behind.mangle(**{**BAD, "half": 0})  # PostgreSQL calls half an answer a wrong password
    tellers.run(SECONDS)
    front.calm()
    behind.calm()
    assert front.counts and behind.counts
    goes_well_again(weir, tellers, told)


@pytest.mark.deadline(120 + 3 * SECONDS)
def test_servers_that_fall_silent_are_given_up_in_time(between, told):
    """A route that is dropped: nobody is told. What waits is told within the limits that are set."""
    weir, front, behind, login = between(default_pool_size=4, **TIMES)
    tellers = Tellers(login, 8, SEED)
    behind.mangle(swallow=0.01)
    tellers.run(SECONDS + 2)
    behind.calm()
    assert behind.counts.get("swallow")
    assert max(t.longest for t in tellers.all) < 25
    goes_well_again(weir, tellers, told)
