# SPDX-License-Identifier: ISC
"""Clients that listen, and the connection that does it for them."""
import random
import time

HERALDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir listen' ORDER BY backend_start"


def heralds(cluster):
    with cluster.connect(dbname="postgres") as c:
        return [row[0] for row in c.execute(HERALDS).fetchall()]


def receive(w, count, seconds=10):
    """Notifications that come to an idle client, without it asking anything."""
    end = time.monotonic() + seconds
    while len(w.notifications) < count:
        w.receive(max(end - time.monotonic(), 0.001))
    return w.notifications


def quiet(weir, *clients, channel="mark"):
    """Everything notified until now has come to CLIENTS; they listen to CHANNEL."""
    mark = f"mark {random.random()}"
    weir.wire().query(f"NOTIFY {channel}, '{mark}'")
    for w in clients:
        while (channel, mark) not in w.notifications:
            w.receive()
        w.notifications.remove((channel, mark))
