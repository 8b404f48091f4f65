# SPDX-License-Identifier: ISC
"""The programs that are compared, the stand-in for PostgreSQL behind them, and the load in front of them."""
import json
import os
import select
import subprocess

from .place import free_port, say
from .process import Process, wait_for_port

FLOOR = "fwdpool"
DIRECT = "direct"


class Bench:
    """What all cases share: the place, what was asked for, and the pinning."""

    def __init__(self, place, options):
        self.place, self.options = place, options
        cpus = sorted(os.sched_getaffinity(0))
        pin = options.pin and len(cpus) > 1
        self.proxy_cpus, self.load_cpus = ({cpus[0]}, {cpus[1]}) if pin else (None, None)

    def start_null(self, threads=1, pinned=True):
        port = free_port()
        null = Process([self.place.path("bin", "nullpg"), "-p", str(port), "-t", str(threads)],
                       self.place.path("nullpg.log"), cpus=self.load_cpus if pinned else None)
        null.port = port
        if not wait_for_port(port):
            raise SystemExit("nullpg did not start: " + null.tail())
        return null

    def start_peer(self, name, server_port, pool=8, workers=1, auth="trust", tls=False, pinned=True, wrap=""):
        """The peer NAME in front of SERVER_PORT, or None when it does not open its port."""
        port = free_port()
        folder = self.place.new_folder(f"run-{name}-{workers}")
        env = {**os.environ, "BENCH_HOME": self.place.home, "BENCH_DIR": folder, "BENCH_PORT": str(port),
               "BENCH_BPORT": str(server_port), "BENCH_POOL": str(pool), "BENCH_WORKERS": str(workers), "BENCH_AUTH": auth,
               "BENCH_TLS": str(int(tls)), "BENCH_KEY": self.place.key, "BENCH_CERT": self.place.cert,
               "BENCH_SECRET": self.place.secret, "BENCH_WRAP": wrap, "PGWEIR": self.place.path("bin", "pgweir")}
        peer = Process([self.place.path("peers", name)], self.place.path(f"{name}-{workers}.log"), env,
                       self.proxy_cpus if pinned else None, folder)
        peer.port = port
        if wait_for_port(port, 60 if wrap else 15):
            return peer
        say(f"{name} did not open its port: {peer.tail()}")
        peer.stop()
        return None

    def load(self, port, *words, pinned=True, processes=(), seconds=120):
        """What bin/load printed; {"error": ...} when it could not work. PROCESSES: (label, Process) whose CPU counts."""
        command = [self.place.path("bin", "load"), "-p", str(port), *map(str, words)]
        for label, process in processes:
            command += ["-G", label + "=" + ",".join(map(str, process.pids()))]
        if pinned and self.load_cpus:
            command = ["taskset", "-c", ",".join(map(str, self.load_cpus)), *command]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds)
            return json.loads(done.stdout.strip().split("\n")[-1])
        except subprocess.TimeoutExpired:
            return {"error": "no end after %d s" % seconds}
        except ValueError:
            return {"error": (done.stderr or done.stdout or "no output")[-200:]}


class Field:
    """All peers up at once in front of one nullpg, for interleaved runs."""

    def __init__(self, bench, peers, **how):
        self.bench = bench
        self.null = bench.start_null()
        self.peers = {}
        for name in peers:
            # The floor speaks neither TLS nor SCRAM: it is measured without, as what they are compared with.
            plain = {} if name == FLOOR else how
            peer = None if name == DIRECT else bench.start_peer(name, self.null.port, **plain)
            if peer or name == DIRECT:
                self.peers[name] = peer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for peer in self.peers.values():
            if peer:
                peer.stop()
        self.null.stop()

    def run(self, name, words, floor_words=None):
        peer = self.peers[name]
        words = floor_words if floor_words is not None and name in (FLOOR, DIRECT) else words
        return self.bench.load(peer.port if peer else self.null.port, *words, processes=[("proxy", peer)] if peer else [])

    def rounds(self, words, floor_words=None):
        """name -> the good runs; two runs with errors put a peer out, as "n/a" with its first error text."""
        results, faults = {name: [] for name in self.peers}, {}
        for _ in range(self.bench.options.rounds):
            for name in self.peers:
                if len(faults.get(name, [])) >= 2:
                    continue
                run = self.run(name, words, floor_words)
                if "error" in run or run.get("errors") or not run.get("n"):
                    faults.setdefault(name, []).append(run.get("error") or run.get("err") or "no answer")
                else:
                    results[name].append(run)
        for name, texts in faults.items():
            say(f"{name}: {texts[0]}")
        return results, {name: texts[0] for name, texts in faults.items()}


class Holder:
    """N idle sessions, held until the end."""

    def __init__(self, bench, port, n):
        self.process = subprocess.Popen([bench.place.path("bin", "load"), "-p", str(port), "-I", str(n), "-a", "40"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = select.select([self.process.stdout], [], [], 320)[0]
        line = self.process.stdout.readline() if ready else ""
        self.held = json.loads(line).get("idle", 0) if line else 0

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
