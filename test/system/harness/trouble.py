# SPDX-License-Identifier: ISC
"""What a cluster does to who uses it without dying: it refuses, is full, is somebody else, or two at once; and clocks that jump."""
import os
import signal

import psycopg

from .cluster import HBA
from .replicas import SCHEMA
from .storm import Storm
from .wait import wait_until

REFUSALS = {"25006", "28000", "28P01", "53100"}  # what PostgreSQL itself says meanwhile; nothing was done then
TOLD = "CREATE TABLE told (n int); GRANT ALL ON told TO app"
FULL = """
CREATE TABLE disk (full_at text); INSERT INTO disk VALUES (''); GRANT SELECT ON disk TO app;
CREATE FUNCTION extend() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF EXISTS (SELECT FROM disk WHERE full_at = TG_NAME) THEN RAISE 'could not extend file' USING ERRCODE = '53100'; END IF;
    RETURN NEW;
END$$;
CREATE TRIGGER statement BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION extend();
CREATE CONSTRAINT TRIGGER commit AFTER INSERT ON told DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION extend();
"""
KNOWN = "host all app all scram-sha-256\n" + HBA
REFUSED = "host all app,monitor all reject\n" + KNOWN


class Trouble(Storm):
    """STRANGER: a running cluster of another system identifier that looks like ours. FAULTS: those of pgweir's own process."""

    def __init__(self, trio, seed, stranger):
        super().__init__(trio, seed)
        self.stranger, self.faults = stranger, None
        stranger.sql(SCHEMA + TOLD)
        trio.sql(0, FULL)
        trio.wait_caught_up()
        for n in trio.nodes:
            n.set_hba(KNOWN)
        self.refusals = [self.disk_full, self.read_only, self.out_of_connections, self.starts_up, self.hba_refuses, self.password_changed]
        self.identities = [self.another_cluster, self.swapped, self.split_brain, self.replica_sleeps, self.replay_stops]
        self.things = self.refusals + self.identities + [self.clock_steps]

    def primary_node(self):
        return self.trio[self.trio.primary]

    # --- it refuses

    def disk_full(self):
        """At a statement or at its COMMIT."""
        self.trio.sql(self.trio.primary, "UPDATE disk SET full_at = %s", (self.rng.choice(["statement", "commit"]),))
        self.some_time()
        self.trio.sql(self.trio.primary, "UPDATE disk SET full_at = ''")

    def read_only(self):
        node = self.primary_node()
        node.set(default_transaction_read_only="on")
        if self.rng.random() < 0.5:
            self.ends_backends()
        self.some_time()
        node.set(default_transaction_read_only="off")

    def out_of_connections(self):
        """Of a node: all but those of superusers are taken."""
        node, taken = self.rng.choice(self.trio.nodes), []
        self.ends_backends()
        end = self.rng.randrange(20, 60)
        while end > 0:
            try:
                taken.append(psycopg.connect(f"host=127.0.0.1 port={node.port} user=lookup dbname=app connect_timeout=5"))
            except psycopg.OperationalError:
                self.some_time(0.1)
                end -= 5
        if self.rng.random() < 0.5:
            self.ends_backends()
        self.some_time()
        for c in taken:
            c.close()

    def starts_up(self):
        """It says 57P03 for a while: recovery takes its time."""
        i = self.rng.randrange(3)
        node = self.trio[i]
        self.trio.kill(i)
        node.launch()
        wait_until(node.backends, 10, step=0)
        first = node.backends()[:1]
        for pid in first:
            os.kill(pid, signal.SIGSTOP)
        self.some_time(3)
        for pid in first:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        wait_until(node._ready, 30, "PostgreSQL accepting connections")

    def hba_refuses(self):
        node = self.rng.choice(self.trio.nodes)
        node.set_hba(REFUSED)
        self.ends_backends_of(node)
        self.some_time()
        node.set_hba(KNOWN)

    def ends_backends_of(self, node):
        if self.rng.random() < 0.7:
            for user in ["app"] + ["monitor"] * self.rng.randrange(2):
                for pid in node.pids(user, "app") + node.pids(user, "postgres"):
                    node.sql("SELECT pg_terminate_backend(%s)", (pid,))

    def password_changed(self):
        self.trio.sql(self.trio.primary, "ALTER ROLE app PASSWORD 'another'")
        self.ends_backends_of(self.rng.choice(self.trio.nodes))
        self.some_time()
        self.trio.sql(self.trio.primary, "ALTER ROLE app PASSWORD 'app-pw'")

    # --- it is another one

    def lead(self, name, port):
        """Who goes to this node's address comes to PORT from now on; those who are there already are cut off."""
        self.to_pgweir[name].target_port = port
        self.to_pgweir[name].reset_all()

    def another_cluster(self):
        node = self.rng.choice(self.trio.nodes)
        self.lead(node.name, self.stranger.port)
        self.some_time(3)
        self.lead(node.name, node.port)

    def swapped(self):
        a, b = self.rng.sample(self.trio.nodes, 2)
        self.lead(a.name, b.port)
        self.lead(b.name, a.port)
        self.some_time(3)
        self.lead(a.name, a.port)
        self.lead(b.name, b.port)

    def split_brain(self):
        """The old primary comes back, needs nobody's word to commit, and takes writes."""
        trio, old = self.trio, self.trio.primary
        trio.kill(old)
        new = trio[trio.fail_over()].name
        wait_until(lambda: [c["primary"] for c in self.weir.console("SHOW CLUSTERS")] == [new], 20, f"{new} is the primary")
        settings = dict(trio[old].settings)
        trio[old].settings["synchronous_standby_names"] = ""
        trio[old].write_settings()
        trio.restart(old)
        self.some_time(3)
        trio[old].stop()
        trio[old].settings = settings
        self.others_follow()
        for n in trio.nodes:
            n.set_hba(KNOWN)

    def replica_sleeps(self):
        i = self.a_replica()
        self.trio.stop_signal(i)
        self.some_time(8)
        self.trio.cont(i)

    # --- the time of day

    def clock_steps(self):
        for _ in range(self.rng.randrange(1, 5)):
            self.faults.step_clock(self.rng.choice([-1, 1]) * self.rng.choice([1, 60, 3600, 86400, 400 * 86400, 10 * 365 * 86400]))
            self.some_time(0.5)
        self.faults.step_clock(0)
