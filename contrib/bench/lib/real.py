# SPDX-License-Identifier: ISC
"""Cases against a real PostgreSQL: pgbench through each peer in transaction mode, and directly."""
import glob
import os
import re
import subprocess

from .peers import DIRECT
from .place import free_port, say
from .process import Process, wait_for_port
from .report import ratio, table

SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 256MB
fsync = off
synchronous_commit = off
autovacuum = off
"""
# Not -N with -M prepared: pgbench prepares inside its transaction with blocking calls, and with more clients than
# servers it then waits for itself behind any pooler.
RUNS = [("-S", "simple"), ("-S", "extended"), ("-S", "prepared"), ("-N", "simple"), ("-N", "extended")]
CLIENTS, SERVERS = 64, 8


def programs():
    return sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: float(p.split("/")[4]))[-1]


class Cluster:
    """A private PostgreSQL with pgbench's tables, ended with everything in it."""

    def __init__(self, place):
        self.folder, self.port = place.new_folder("pg"), free_port()
        self._run(place, f"{programs()}/initdb", "-D", self.folder + "/data", "-U", "bench", "-A", "trust", "--no-sync",
                  "-E", "UTF8", "--locale=C")
        with open(self.folder + "/data/postgresql.conf", "a") as f:
            f.write(SETTINGS)
        self.process = Process([f"{programs()}/postgres", "-D", self.folder + "/data", "-p", str(self.port), "-k", self.folder],
                               self.folder + "/log")
        if not wait_for_port(self.port, 30):
            raise SystemExit("PostgreSQL did not start: " + self.process.tail())
        to = ["-h", self.folder, "-p", str(self.port), "-U", "bench"]
        self._run(place, "sh", "-c", 'until "$@"; do sleep 0.1; done', "sh", f"{programs()}/createdb", *to, "bench")
        self._run(place, f"{programs()}/pgbench", *to, "-i", "-q", "-s", "10", "bench")

    def _run(self, place, *words):
        child = Process(list(words), place.path("pg.log"))
        if child.process.wait(120) != 0:
            raise SystemExit(f"{words[0]}: {child.tail()}")

    def stop(self):
        self.process.stop()


def pgbench(place, port, seconds, script, protocol, clients=CLIENTS):
    """(transactions, tps, median and p99 in ms, errors)."""
    prefix = place.new_folder("pgbench") + "/log"
    words = [f"{programs()}/pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-n", "-c", str(clients), "-j", "1",
             "-T", str(max(1, round(seconds))), "-M", protocol, *script, "-l", "--log-prefix", prefix, "bench"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place.home,
                          env={**os.environ, "PGSSLMODE": "disable"})
    latencies = []
    for path in glob.glob(prefix + "*"):
        with open(path) as f:
            latencies += [int(line.split()[2]) for line in f if len(line.split()) > 5]
        os.unlink(path)
    latencies.sort()
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.M)
    aborted = len(re.findall(r"aborted in", done.stderr))
    if not tps or not latencies:
        say(f"pgbench {script} {protocol}: {done.stderr[-200:]}")
        return None
    return len(latencies), float(tps.group(1)), latencies[len(latencies) // 2] / 1e3, latencies[len(latencies) * 99 // 100] / 1e3, \
        int(failed.group(1) if failed else 0) + aborted


def run_all(bench, cluster, peers):
    rows = []
    for script, protocol in RUNS:
        base = None
        for name, peer in peers.items():
            before = peer.cpu_us() if peer else 0
            found = pgbench(bench.place, peer.port if peer else cluster.port, bench.options.pgbench_seconds, [script], protocol)
            if not found:
                rows.append([script, protocol, name, "n/a"] + [""] * 5)
                continue
            n, tps, p50, p99, errors = found
            base = tps if name == DIRECT else base
            cpu = (peer.cpu_us() - before) / n if peer else ""
            rows.append([script, protocol, name, tps, ratio(tps, base), p50, p99, cpu, errors])
    return rows


def pgbench_case(bench):
    names = [DIRECT, *(name for name in bench.options.peers if name not in (DIRECT, "fwd", "fwdpool"))]
    peers, cluster = {}, Cluster(bench.place)
    try:
        for name in names:
            peer = None if name == DIRECT else bench.start_peer(name, cluster.port, pool=SERVERS, pinned=False)
            if peer or name == DIRECT:
                peers[name] = peer
        rows = run_all(bench, cluster, peers)
    finally:
        for peer in peers.values():
            if peer:
                peer.stop()
        cluster.stop()
    table(f"pgbench, {CLIENTS} clients on {SERVERS} servers ({DIRECT}: on {CLIENTS}), {bench.options.pgbench_seconds} s each",
          ["script", "protocol", "peer", "tps", "ratio to direct", "p50 ms", "p99 ms", "CPU us/transaction", "errors"], rows,
          bench.options.out)


CASES = {"pgbench": pgbench_case}
