# SPDX-License-Identifier: ISC
"""Peer tests: pgweir in front of a scripted server that does what a real PostgreSQL will not do on demand."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(os.path.dirname(here), "system")]
from harness.fixtures import *  # noqa: E402,F401,F403

import pytest  # noqa: E402

from script import Server  # noqa: E402


@pytest.fixture
def play(make_lone_weir):
    """play(script, option=value): a pgweir whose only server follows the script; (pgweir, server). At the end it must still
    answer on its console, end well, and have left no finding in its log."""
    started = []

    def start(script, entry=None, **general):
        server = Server(script)
        options = {"query_wait_timeout": 4, "server_connect_timeout": 1, "server_login_retry": 1, "default_pool_size": 2, **general}
        weir = make_lone_weir(databases={"app": {"host": "127.0.0.1", "port": server.port, **(entry or {})}}, **options)
        started.append((weir, server))
        return weir, server
    yield start
    for weir, server in started:
        try:
            if weir.alive():
                assert weir.console("SHOW VERSION")
        finally:
            server.finish()
