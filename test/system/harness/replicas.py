# SPDX-License-Identifier: ISC
"""A primary and two streaming replicas that a test may kill, freeze, hold back and promote; and pgweir in front of them."""
import os
import shutil
import signal
import subprocess

from . import place
from .cluster import Cluster, _is_postgres, _signal, programs
from .wait import wait_until

# A standby follows whoever is promoted without a restart, and asks again soon after it lost its source. Unlike the
# cluster of other tests, what was acknowledged survives kill -9.
SETTINGS = {
    "synchronous_commit": "on",
    "wal_level": "replica",
    "wal_keep_size": "128MB",
    "wal_retrieve_retry_interval": "50ms",
    "wal_receiver_status_interval": "1s",
    "max_standby_streaming_delay": "5s",
    "checkpoint_timeout": "1h",
    "hot_standby": "on",
    "dynamic_shared_memory_type": "mmap",  # files in the data folder: nothing of a killed server stays in memory
    "recovery_min_apply_delay": "0",
    "synchronous_standby_names": "",
}

# Made before anything of pgweir looks, so that every node and every catalog knows them.
SCHEMA = """
CREATE TABLE register (k int PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 20);
INSERT INTO register SELECT i, 0 FROM generate_series(1, 64) i;
CREATE TABLE once (id bigint NOT NULL, node text DEFAULT current_setting('cluster_name'));
CREATE TABLE held (i int);
CREATE TABLE notes (i int, t text);
INSERT INTO notes VALUES (1, 'one');
CREATE SEQUENCE counter;
CREATE FUNCTION twice(i int) RETURNS int STABLE LANGUAGE sql AS 'SELECT i * 2';
CREATE FUNCTION writes(n int) RETURNS text VOLATILE LANGUAGE sql AS
    'INSERT INTO notes VALUES (n, ''from writes''); SELECT current_setting(''cluster_name'')';
CREATE FUNCTION liar() RETURNS text STABLE LANGUAGE sql AS
    'SELECT nextval(''counter'')::text || '' '' || current_setting(''cluster_name'')';
GRANT ALL ON ALL TABLES IN SCHEMA public TO app, app2;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app, app2;
GRANT EXECUTE ON FUNCTION pg_switch_wal TO app;
"""

# What a failed test left: its own connections with their locks, statements that still run. Not what a living pgweir holds.
LEFT_BEHIND = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND usename <> 'monitor' AND (usename = 'postgres' OR state <> 'idle')"""

WHERE = "current_setting('cluster_name')"  # the name of the node that ran a statement


def node_of(w):
    """The node that a plain read of this session goes to now."""
    return w.value(f"SELECT {WHERE}")


def reason(w):
    """Why the last statement went where it went."""
    return w.value("SHOW pgweir.last_route_reason")


def bound_to_primary(why):
    """Which replica holds what the session has written or read is not known yet: a matter of milliseconds on a quiet machine."""
    return why in ("no replica holds what the session has seen yet", "replicas are not known to hold the session's last write yet",
                   "replicas are not known to hold what the session has read yet")


class Node(Cluster):
    """One of a trio. Its settings live in postgresql.auto.conf, so that they can change while it is down too."""

    def __init__(self, folder, certs, name):
        super().__init__(folder, certs)
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        place.give(folder)
        self.name, self.orphans = name, []
        self.way = (folder, self.port)  # on which the others find it
        self.settings = {**SETTINGS, "cluster_name": name}

    def write_settings(self):
        text = "".join(f"{k} = '" + str(v).replace("'", "''") + "'\n" for k, v in self.settings.items())
        place.write(os.path.join(self.data, "postgresql.auto.conf"), text)

    def set(self, **settings):
        """Change settings; in force when this returns, if the node runs."""
        if all(self.settings.get(k) == v for k, v in settings.items()):
            return
        self.settings.update(settings)
        before = self._loaded() if self.process else None
        self.write_settings()
        if self.process:
            self.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self._loaded() > before, 10, "reload of PostgreSQL")

    def be_standby(self, yes=True):
        """For the next start."""
        path = os.path.join(self.data, "standby.signal")
        if yes:
            place.write(path, "")
        elif os.path.exists(path):
            os.unlink(path)

    def source(self, other):
        """The primary_conninfo that follows OTHER, or nobody."""
        host, port = other.way if other else (self.folder, 1)
        return f"host={host} port={port} user=postgres application_name={self.name} connect_timeout=2"

    def running(self):
        return self.process is not None and self.process.poll() is None

    def in_recovery(self):
        return self.value("SELECT pg_is_in_recovery()")

    def timeline(self):
        return self.value("SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver) "
                          "ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END")

    def insert_lsn(self):
        return self.value("SELECT pg_current_wal_insert_lsn()::text")

    def kill_postmaster(self):
        """kill -9 of the postmaster alone: its busy back ends go on until their statement ends. reap() ends them."""
        self._forget_direct()
        self.orphans = self.backends()
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def reap(self):
        for pid in self.orphans:
            if _is_postgres(pid):
                _signal(pid, signal.SIGKILL)
        wait_until(lambda: not any(_is_postgres(pid) for pid in self.orphans), 10, "end of the orphans")
        self.orphans = []

    def launch(self):
        self.reap()
        super().launch()

    def erase(self):
        """The data of a node that is down; with the one thing that a killed server leaves in the machine."""
        self.reap()
        try:
            with open(os.path.join(self.data, "postmaster.pid")) as f:
                memory = f.read().split("\n")[6].split()[1]
        except (FileNotFoundError, IndexError):
            pass  # it was shut down
        else:
            subprocess.run(["ipcrm", "-m", memory], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.data, ignore_errors=True)

    def remove(self):
        if self.running():
            self.thaw()
            self.stop(signal.SIGQUIT)
        self.erase()
        shutil.rmtree(self.folder, ignore_errors=True)


class Trio:
    """nodes[0] (pg1) starts as the primary; pg2 and pg3 follow it. primary is the index of who is meant to be it."""

    def __init__(self, folder, certs, template, **settings):
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        place.give(folder)
        self.folder, self.primary = folder, 0
        self.nodes = [Node(os.path.join(folder, name), certs, name) for name in ("pg1", "pg2", "pg3")]
        for i, node in enumerate(self.nodes):
            # A copy of a primary that was shut down is a base backup: all it lacks is whom to follow.
            place.run("cp", "-a", template.data, node.data)
            node.settings.update(settings, primary_conninfo=node.source(self.nodes[0]) if i else "")
            node.be_standby(i > 0)
            node.write_settings()
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            wait_until(node._ready, 30, f"{node.name} accepting connections")
        self.nodes[0].sql(SCHEMA)
        self.wait_caught_up()
        self.basis = [dict(node.settings) for node in self.nodes]

    def __getitem__(self, i):
        return self.nodes[i]

    def named(self, name):
        return next(node for node in self.nodes if node.name == name)

    def index(self, name):
        return self.nodes.index(self.named(name))

    def sql(self, i, statement, params=None):
        return self.nodes[i].sql(statement, params)

    def value(self, statement, params=None):
        """From the primary."""
        return self.nodes[self.primary].value(statement, params)

    def replicas(self):
        """Indexes of the running nodes that are not the primary."""
        return [i for i, node in enumerate(self.nodes) if i != self.primary and node.running()]

    # --- faults

    def kill(self, i):
        self.nodes[i].kill()

    def kill_postmaster(self, i):
        self.nodes[i].kill_postmaster()

    def stop_signal(self, i):
        """SIGSTOP of all its processes."""
        self.nodes[i].freeze()

    def cont(self, i):
        self.nodes[i].thaw()

    def restart(self, i):
        if self.nodes[i].running():
            self.nodes[i].stop()
        self.nodes[i].start()

    def pause_replay(self, i):
        self.sql(i, "SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.nodes[i].value("SELECT pg_get_wal_replay_pause_state()") == "paused", 10, "paused replay")

    def resume_replay(self, i):
        self.sql(i, "SELECT pg_wal_replay_resume()")

    def delay_replay(self, i, delay):
        """Commits become visible on this replica only DELAY ('500ms', '0') after they were made."""
        self.nodes[i].set(recovery_min_apply_delay=delay)

    def stop_walreceiver(self, i):
        self.nodes[i].set(primary_conninfo=self.nodes[i].source(None))
        wait_until(lambda: self.nodes[i].value("SELECT count(*) FROM pg_stat_wal_receiver") == 0, 10, "walreceiver gone")

    def start_walreceiver(self, i):
        self.follow(i, self.primary)

    # --- roles

    def promote(self, i):
        """When this returns, node I takes writes. Others follow it only when they are told."""
        self.nodes[i].sql("SELECT pg_promote(false)")  # one that waits may hold up the replay that it waits for
        wait_until(lambda: not self.nodes[i].in_recovery(), 20, "promotion")
        self.primary = i

    def follow(self, i, primary):
        self.nodes[i].set(primary_conninfo=self.nodes[i].source(self.nodes[primary]))

    def most_advanced(self):
        """The running replica that has received most: the one to promote when nothing may be lost."""
        received = "SELECT pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')"
        return max(self.replicas(), key=lambda i: self.nodes[i].value(received))

    def fail_over(self):
        """Promote the most advanced replica, let the other follow it. Who was the primary is told nothing."""
        replicas, i = self.replicas(), self.most_advanced()
        self.promote(i)
        for other in replicas:
            if other != i:
                self.follow(other, i)
        return i

    def rebuild(self, i):
        """A dead node comes back as a replica of the primary, from a new base backup."""
        node, primary = self.nodes[i], self.nodes[self.primary]
        node.erase()
        place.run(f"{programs()}/pg_basebackup", "-D", node.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                  "-h", primary.folder, "-p", primary.port, "-U", "postgres")
        node.settings["primary_conninfo"] = node.source(primary)
        node.write_settings()
        node.start()

    def flush(self):
        """What was logged so far goes to the replicas now: a lock alone stays in the buffers until somebody commits."""
        self.sql(self.primary, "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, '', '');"
                               "COMMIT")

    def wait_caught_up(self, *which):
        """The replicas (all that run) have replayed what the primary has written."""
        self.flush()
        lsn = self.nodes[self.primary].insert_lsn()
        for i in which or self.replicas():
            # A position at the start of a page is reported past its header: no record ends inside that.
            done = "SELECT pg_wal_lsn_diff(%s, pg_last_wal_replay_lsn()) <= 40"
            wait_until(lambda: self.nodes[i].value(done, (lsn,)), 20, f"{self.nodes[i].name} caught up")

    # --- life

    def mend(self):
        """As new, after the faults that leave no mark; False when it must be thrown away."""
        if self.primary != 0:
            return False
        for node, settings in zip(self.nodes, self.basis):
            node.reap()
            if node.running():
                node.thaw()
                node.set(**settings)
            else:
                node.process = None
                node.settings = dict(settings)
                node.write_settings()
                node.start()
        if self.nodes[0].in_recovery() or self.nodes[0].timeline() != 1:
            return False
        for i in (1, 2):
            if not self.nodes[i].in_recovery():
                return False
            self.resume_replay(i)
        for node in self.nodes:
            node.sql(LEFT_BEHIND)
        self.wait_caught_up()
        return True

    def remove(self):
        for node in self.nodes:
            node.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def settings_of(trio, nodes=None, cluster=None, databases=None):
    """The sections of pgweir's configuration that name all nodes of TRIO as the cluster main. NODES and CLUSTER: more
    options of each."""
    extra = nodes or {}
    return {
        "nodes": {n.name: {"cluster": "main", "host": "127.0.0.1", "port": n.port, **extra.get(n.name, {})}
                  for n in trio.nodes},
        "clusters": {"main": {"check_interval": "100ms", "check_interval_fast": "20ms", "check_timeout": "1s",
                              "monitor_user": "monitor", **(cluster or {})}},
        "databases": databases or {"app": {"cluster": "main"}},
    }


def wait_nodes_up(weir, seconds=20):
    """pgweir has found out what each node is."""
    def up():
        rows = weir.console("SHOW NODES")
        return rows and all(r["state"] == "up" and r["role"] != "unknown" for r in rows) and rows
    return wait_until(up, seconds, "all nodes up")


def wait_reads_spread(weir, trio, seconds=20):
    """A new session's read goes to a replica: pgweir knows the nodes' lag and the database's functions."""
    primary = trio.nodes[trio.primary].name
    w = weir.wire()
    wait_until(lambda: node_of(w) != primary, seconds, "reads on a replica")
    w.close()


def primary_of(weir):
    """Of the only cluster, as pgweir sees it."""
    return weir.console("SHOW CLUSTERS")[0]["primary"]


def state_of(weir, node):
    """The row of SHOW NODES of a node, once nodes are known: just after the start none is."""
    return wait_until(lambda: next((r for r in weir.console("SHOW NODES") if r["node"] == node), None), 10, f"a row of {node}")


def wait_state(weir, node, state, seconds=10):
    """States that NODE may be in, separated by spaces."""
    return wait_until(lambda: state_of(weir, node)["state"] in state.split(), seconds, f"{node} {state}")
