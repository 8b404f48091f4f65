# SPDX-License-Identifier: ISC
"""A primary and two replicas in bad times: what happens to the nodes, and to the network between all of them and pgweir, by the dice."""
import random
import time

from . import wire
from .mangler import Mangler
from .operators import Operators
from .replicas import settings_of
from .wait import wait_until

# What a server is given by who runs it behind any pooler: a client that is silent inside a transaction keeps no lock.
LIMITS = {"idle_in_transaction_session_timeout": "3s", "synchronous_standby_names": "ANY 1 (*)", "wal_receiver_timeout": "3s",
          "wal_sender_timeout": "3s", "wal_receiver_status_interval": "100ms", "max_standby_streaming_delay": "1s", "max_standby_archive_delay": "1s"}
WEATHERS = [dict(reset=0.02), dict(end=0.02), dict(half=0.02), dict(reset=0.3), dict(end=0.3), dict(piece=300, delay=0.003), dict(rate=20000, piece=500),
            dict(delay=0.3), dict(swallow=0.02), dict(swallow=1.0)]
TIMES = dict(query_timeout=5, cancel_wait_timeout=1, server_connect_timeout=2, query_wait_timeout=10, client_login_timeout=5,
             client_write_timeout=3, idle_transaction_timeout=4)


class Storm:
    """TRIO with a network around it. Node things are done by the thread that calls strike(); the weather has one of its own."""

    def __init__(self, trio, seed):
        self.trio, self.rng, self.weir = trio, random.Random(seed), None
        self.to_pgweir = {n.name: Mangler(n.port, seed + i) for i, n in enumerate(trio.nodes)}
        self.to_nodes = {n.name: Mangler(n.port, seed + 10 + i) for i, n in enumerate(trio.nodes)}
        for n in trio.nodes:
            n.way = ("127.0.0.1", self.to_nodes[n.name].port)
        for i in (1, 2):
            trio.follow(i, 0)
        with trio[0].connect(dbname="postgres") as c:
            c.execute("GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO monitor")
        trio.sql(0, "CREATE TABLE told (n int); GRANT ALL ON told TO app")
        trio.wait_caught_up()
        self.did, self.things = {}, [self.crash, self.crash_and_promote, self.hang, self.hang_and_promote, self.shutdown_and_promote, self.promote_beside,
                                     self.replica_dies, self.replica_hangs, self.replay_stops, self.stream_stops, self.late_replay,
                                     self.switchover, self.switchover, self.no_room, self.ends_backends]

    def settings(self, **cluster):
        """The sections of a configuration in which each node is reached through its network."""
        options = {"failover_wait": "10s", "switchover_wait": "1s", "unhealthy_threshold": 2, **cluster}
        return settings_of(self.trio, {name: {"port": m.port} for name, m in self.to_pgweir.items()}, options)

    def strike(self):
        thing = self.rng.choice(self.things)
        self.did[thing.__name__] = self.did.get(thing.__name__, 0) + 1
        thing()

    def some_time(self, most=1.5):
        time.sleep(self.rng.uniform(0, most))

    def a_replica(self):
        return self.rng.choice(self.trio.replicas())

    def end(self):
        for m in [*self.to_pgweir.values(), *self.to_nodes.values()]:
            m.close()
        for n in self.trio.nodes:
            print(f"--- log of {n.name} ---\n{n.log()[-2500:]}")

    def told(self):
        return [r[0] for r in self.trio.sql(self.trio.primary, "SELECT n FROM told")]

    # --- the primary

    def others_follow(self):
        """Who was the primary comes back as a replica of the new one."""
        trio = self.trio
        for i, node in enumerate(trio.nodes):
            if i == trio.primary:
                continue
            if not (node.running() and node.in_recovery() and self.can_follow(i)):
                if node.running():
                    node.stop()
                trio.rebuild(i)
        trio.wait_caught_up()

    def can_follow(self, i):
        """Not when it has received what the new primary never had."""
        self.trio.follow(i, self.trio.primary)
        timeline = self.trio[self.trio.primary].timeline()
        try:
            return wait_until(lambda: self.trio[i].value("SELECT received_tli FROM pg_stat_wal_receiver UNION ALL SELECT 0") == timeline, 3)
        except AssertionError:
            return False

    def crash(self):
        self.trio.kill(self.trio.primary)
        self.some_time()
        self.trio.restart(self.trio.primary)

    def crash_and_promote(self):
        old = self.trio.primary
        self.trio.kill(old)
        self.trio.fail_over()
        self.some_time()
        if self.rng.random() < 0.5:
            self.trio.restart(old)
            self.some_time()
        self.others_follow()

    def hang(self):
        self.trio.stop_signal(self.trio.primary)
        self.some_time(3)
        self.trio.cont(self.trio.primary)

    def hang_and_promote(self):
        old = self.trio.primary
        self.trio.stop_signal(old)
        self.some_time(3)
        self.trio.fail_over()
        self.trio.cont(old)
        self.some_time()
        self.others_follow()

    def shutdown_and_promote(self):
        self.trio[self.trio.primary].stop()
        self.trio.fail_over()
        self.others_follow()

    def promote_beside(self):
        """As cluster managers do it: nobody is left whose word lets the old primary acknowledge."""
        trio, old = self.trio, self.trio.primary
        heir, other = self.rng.sample(trio.replicas(), 2)
        trio.stop_walreceiver(other)
        has = trio[other].value("SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text")
        wait_until(lambda: trio[heir].value("SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) >= %s::pg_lsn", (has,)), 20)
        trio.promote(heir)
        trio.follow(other, heir)
        self.some_time()
        assert trio[old].running()
        self.others_follow()

    def switchover(self):
        try:
            self.weir.console("SWITCHOVER main" if self.rng.random() < 0.6 else f"SWITCHOVER main TO {self.trio[self.a_replica()].name}")
        except (wire.ServerError, wire.Closed, TimeoutError, OSError) as e:
            self.did["refused: " + str(e)[:60]] = 1
        rule = [i for i, n in enumerate(self.trio.nodes) if not n.in_recovery()]
        new = [i for i in rule if i != self.trio.primary]
        assert len(new) <= 1
        if new:
            self.trio.primary = new[0]
            self.others_follow()

    def no_room(self):
        """The server refuses who comes: 53300."""
        self.trio.sql(self.trio.primary, f"ALTER ROLE app CONNECTION LIMIT {self.rng.randrange(4)}")
        self.ends_backends()
        self.some_time()
        self.trio.sql(self.trio.primary, "ALTER ROLE app CONNECTION LIMIT -1")

    def ends_backends(self):
        node = self.rng.choice([n for n in self.trio.nodes if n.running()])
        for pid in node.pids():
            node.sql("SELECT pg_terminate_backend(%s)", (pid,))

    # --- replicas

    def replica_dies(self):
        i = self.a_replica()
        self.trio.kill(i)
        self.some_time()
        self.trio.restart(i)

    def replica_hangs(self):
        i = self.a_replica()
        self.trio.stop_signal(i)
        self.some_time(3)
        self.trio.cont(i)

    def replay_stops(self):
        i = self.a_replica()
        self.trio.pause_replay(i)
        self.some_time()
        self.trio.resume_replay(i)

    def stream_stops(self):
        i = self.a_replica()
        self.trio.stop_walreceiver(i)
        self.some_time()
        self.trio.start_walreceiver(i)

    def late_replay(self):
        i = self.a_replica()
        self.trio.delay_replay(i, f"{self.rng.randrange(500)}ms")
        self.some_time()
        self.trio.delay_replay(i, "0")

    # --- the network

    def weather(self, end):
        rng = random.Random(self.rng.random())
        while time.monotonic() < end:
            m = rng.choice([*self.to_pgweir.values()] * 2 + [*self.to_nodes.values()])
            m.mangle(**rng.choice(WEATHERS))
            time.sleep(rng.uniform(0, 2))
            m.calm()
            time.sleep(rng.uniform(0, 0.3))

    def calm(self):
        for m in [*self.to_pgweir.values(), *self.to_nodes.values()]:
            m.calm()


class ClusterOperators(Operators):
    """With what they can do to a cluster, too."""

    def __init__(self, weir, end, seed, names):
        super().__init__(weir, end, seed)
        self.names, self.entries = names, {name: dict(entry) for name, entry in weir.nodes.items()}
        self.things += [self.ban, self.drain, self.weights, self.fewer, self.settings, self.tell]

    def ban(self, rng):
        node = rng.choice(self.names)
        self.for_a_while(rng, f"BAN {node}", f"UNBAN {node}")

    def drain(self, rng):
        node = rng.choice(self.names)
        self.for_a_while(rng, f"DRAIN {node}", f"UNDRAIN {node}")

    def weights(self, rng):
        self.changed(lambda: self.weir.nodes.get(rng.choice(self.names), {}).update(weight=rng.randrange(3)))

    def fewer(self, rng):
        name = rng.choice(self.names)
        self.changed(lambda: self.weir.nodes.pop(name, None))
        time.sleep(rng.uniform(0, 0.3))
        self.changed(lambda: self.weir.nodes.update({name: dict(self.entries[name])}))

    def settings(self, rng):
        self.changed(lambda: self.weir.clusters["main"].update(
            consistency=rng.choice(["session", "global"]), balance=rng.choice(["least_conn", "round_robin", "latency", "hash"]),
            replica_wait=rng.choice(["0", "200ms"]), max_lag=rng.choice(["300ms", "10s"])))

    def tell(self, rng):
        self.console("SHOW " + rng.choice(["CLUSTERS", "EVENTS", "ROUTES", "LISTENERS", "NODES"]))

    def end_all(self):
        super().end_all()
        with self.lock:
            self.weir.nodes.update({name: dict(entry) for name, entry in self.entries.items()})
            self.weir.write()
        for command in ["RELOAD"] + [f"{word} {name}" for name in self.names for word in ("UNBAN", "UNDRAIN")]:
            self.console(command)
