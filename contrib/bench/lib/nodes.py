# SPDX-License-Identifier: ISC
"""What routing costs and brings: pgweir in front of a primary with two replicas, one entry for each way to use them."""
import glob
import os
import re
import time

from .place import free_port
from .process import Process, wait_for_port
from .real import Cluster, SERVERS, pgbench, programs
from .report import least, median, most, ratio, table
from .throttle import Throttle, parent

CLIENTS = 16
# name of the entry -> what its line in [databases] says besides the cluster; "" has the primary alone, without a cluster
ENTRIES = {
    "one server": "",
    "route = primary": "cluster=main route=primary",
    "eventual": "cluster=main consistency=eventual",
    "session": "cluster=main consistency=session",
    "global": "cluster=main consistency=global",
}
READ = "\\set aid random(1, 1000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
WRITE = "\\set aid random(1, 1000000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n"
MIXES = {"reads": ["-f", "read.sql"], "80/20": ["-f", "read.sql@8", "-f", "write.sql@2"]}
MODES = {"simple": [], "extended": ["-m", "extended"], "prepared": ["-m", "prepared"]}
LOOKUP = ["-u", "bench", "-d", "bench", "-c", 16, "-q", "SELECT abalance FROM pgbench_accounts WHERE aid = 7"]


class Replica:
    def __init__(self, place, primary):
        self.port = free_port()
        self.folder = place.new_folder(f"replica-{self.port}")
        child = Process([f"{programs()}/pg_basebackup", "-D", self.folder + "/data", "-R", "-X", "stream", "-c", "fast", "--no-sync",
                         "-h", primary.folder, "-p", str(primary.port), "-U", "bench"], place.path("basebackup.log"))
        if child.process.wait(120) != 0:
            raise SystemExit("pg_basebackup: " + child.tail())
        self.process = Process([f"{programs()}/postgres", "-D", self.folder + "/data", "-p", str(self.port), "-k", self.folder],
                               self.folder + "/log")
        if not wait_for_port(self.port, 30):
            raise SystemExit("the replica did not start: " + self.process.tail())

    def stop(self):
        self.process.stop()


def start(bench, primary, replicas, entry, wrap=()):
    """pgweir with one way to use the nodes."""
    port = free_port()
    folder = bench.place.new_folder(f"run-{port}")
    nodes = "".join(f"pg{i} = cluster=main host=127.0.0.1 port={n.port}\n" for i, n in enumerate([primary, *replicas], 1))
    clusters = f"[nodes]\n{nodes}[clusters]\nmain = monitor_user=bench monitor_dbname=bench\n" if entry else ""
    with open(folder + "/pgweir.ini", "w") as f:
        f.write(f"[pgweir]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nworkers = 1\nauth_type = trust\n"
                f"auth_file = {folder}/users.txt\n"
                f"pool_mode = transaction\ndefault_pool_size = {SERVERS}\nlog_connections = 0\nlog_disconnections = 0\n"
                f"drain_delay = 0\n{clusters}[databases]\nbench = " + (entry or f"host=127.0.0.1 port={primary.port}") + "\n")
    with open(folder + "/users.txt", "w") as f:
        f.write('"bench" ""\n')
    peer = Process([*wrap, bench.place.path("bin", "pgweir"), folder + "/pgweir.ini"], folder + "/log", folder=folder)
    peer.port = port
    if not wait_for_port(port, 60):
        raise SystemExit("pgweir did not start: " + peer.tail())
    return peer


def one_run(bench, peer, mix):
    before = peer.cpu_us()
    found = pgbench(bench.place, peer.port, bench.options.seconds, MIXES[mix], "simple", CLIENTS)
    if not found:
        return {"error": ""}
    n, tps, p50, p99, errors = found
    return {"qps": tps, "p50": p50, "p99": p99, "cpu": (peer.cpu_us() - before) / n, "errors": errors}


def nodes_case(bench):
    primary = Cluster(bench.place)
    replicas, peers, runs = [], {}, {}
    try:
        for name, sql in (("read.sql", READ), ("write.sql", WRITE)):
            with open(bench.place.path(name), "w") as f:
                f.write(sql)
        replicas = [Replica(bench.place, primary) for _ in range(2)]
        peers = {name: start(bench, primary, replicas, entry) for name, entry in ENTRIES.items()}
        for _ in range(bench.options.rounds):
            for mix in MIXES:
                for name, peer in peers.items():
                    runs.setdefault((mix, name), []).append(one_run(bench, peer, mix))
    finally:
        for each in [*peers.values(), *replicas, primary]:
            each.stop()
    rows = []
    for (mix, name), found in runs.items():
        good = [run for run in found if "error" not in run]
        base = most([run for run in runs[mix, "one server"] if "error" not in run], "qps")
        rows.append([mix, name, most(good, "qps"), ratio(most(good, "qps"), base), median(good, "p50"), median(good, "p99"),
                     least(good, "cpu"), sum(run["errors"] for run in good)])
    table(f"a primary and two replicas on the cores of one machine, {CLIENTS} clients, pgbench simple protocol",
          ["load", "entry", "tps, best", "ratio", "p50 ms", "p99 ms", "CPU us/transaction", "errors"], rows, bench.options.out)


# --- what the choice itself costs

def instructions(bench, primary, replicas, entry, words, n):
    """thread -> all its instructions while N queries run, under callgrind."""
    folder = bench.place.new_folder("callgrind")
    peer = start(bench, primary, replicas, entry, ["valgrind", "--tool=callgrind", "--separate-threads=yes",
                                                   f"--callgrind-out-file={folder}/out"])
    run = bench.load(peer.port, *LOOKUP, "-w", 2000, "-n", n, *words)
    peer.stop()
    if "error" in run or run["errors"]:
        raise SystemExit(f"the load found {run}")
    totals = {}
    for path in glob.glob(folder + "/out-*"):
        with open(path, errors="replace") as f:
            found = re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M)
        totals[path] = int(found.group(1)) if found else 0
    return totals


def per_query(bench, primary, replicas, entry, words):
    """Of the worker, which is the thread that works most for more queries."""
    few, many = (instructions(bench, primary, replicas, entry, words, n) for n in (4000, 24000))
    return max((many[path] - few.get(path, 0)) / 20000 for path in many)


def routing_case(bench):
    """User-mode instructions and CPU per read with one server, and with a cluster: the difference is the choice."""
    primary = Cluster(bench.place)
    replicas, peers, runs, counts = [], {}, {}, {}
    entries = {name: ENTRIES[name] for name in ("one server", "eventual", "session")}
    try:
        replicas = [Replica(bench.place, primary) for _ in range(2)]
        for mode, words in MODES.items():
            for name, entry in entries.items():
                counts[mode, name] = per_query(bench, primary, replicas, entry, words)
        peers = {name: start(bench, primary, replicas, entry) for name, entry in entries.items()}
        for _ in range(bench.options.rounds):
            for mode, words in MODES.items():
                for name, peer in peers.items():
                    runs.setdefault((mode, name), []).append(bench.load(peer.port, *LOOKUP, "-w", 2000, "-s", bench.options.seconds,
                                                                        *words, processes=[("proxy", peer)]))
    finally:
        for each in [*peers.values(), *replicas, primary]:
            each.stop()
    rows = [[mode, name, counts[mode, name], counts[mode, name] - counts[mode, "one server"], least(found, "cpu_proxy"),
             least(found, "cpu_proxy") - least(runs[mode, "one server"], "cpu_proxy")] for (mode, name), found in runs.items()]
    table("what a read costs with a cluster of three nodes", ["query", "entry", "instructions", "more", "CPU us", "more"], rows,
          bench.options.out)


# --- what more machines bring

SHARE = 0.15  # of a core for each node: small enough that three of them, pgweir and the load have room on two cores


def throttled_run(bench, peer, throttles):
    """With what each node has used of what it may."""
    began, before = time.monotonic(), [t.cpu_us() for t in throttles]
    run = one_run(bench, peer, "reads")
    may_us = (time.monotonic() - began) * 1e6 * SHARE
    run["used"] = [sum(us - b.get(pid, 0) for pid, us in t.cpu_us().items()) / may_us for t, b in zip(throttles, before)]
    return run


def used(runs):
    """In the best run, as the table has it."""
    best = max(runs, key=lambda run: run.get("qps", 0))["used"]
    return f"{best[0]:.0%}", " ".join(f"{share:.0%}" for share in best[1:])


def scale_case(bench):
    """Reads on one server, and with two replicas that take them all: each has the same small share of a core."""
    if parent() is None:
        raise SystemExit("scale: needs root and control groups with a limit of CPU")
    primary = Cluster(bench.place)
    replicas, throttles, peers, runs = [], [], {}, {}
    entries = {name: ENTRIES[name] for name in ("one server", "eventual", "session", "global")}
    try:
        with open(bench.place.path("read.sql"), "w") as f:
            f.write(READ)
        replicas = [Replica(bench.place, primary) for _ in range(2)]
        cpus = sorted(os.sched_getaffinity(0))
        throttles = [Throttle(f"pg{i}", node.process.process.pid, SHARE, cpus[i % len(cpus)])
                     for i, node in enumerate([primary, *replicas], 1)]
        peers = {name: start(bench, primary, replicas, entry) for name, entry in entries.items()}
        for peer in peers.values():  # the connections are there, and the roles known
            one_run(bench, peer, "reads")
        for _ in range(bench.options.rounds):
            for name, peer in peers.items():
                runs.setdefault(name, []).append(throttled_run(bench, peer, throttles))
    finally:
        for each in [*peers.values(), *replicas, primary, *throttles]:
            each.stop()
    base = most(runs["one server"], "qps")
    table(f"reads, each node on {SHARE:.0%} of a core, {CLIENTS} clients, pgbench simple protocol",
          ["entry", "tps, best", "ratio", "p50 ms", "p99 ms", "errors", "used of its share: primary", "replicas"],
          [[name, most(found, "qps"), ratio(most(found, "qps"), base), median(found, "p50"), median(found, "p99"),
            sum(run["errors"] for run in found), *used(found)] for name, found in runs.items()], bench.options.out)


CASES = {"nodes": nodes_case, "routing": routing_case, "scale": scale_case}
