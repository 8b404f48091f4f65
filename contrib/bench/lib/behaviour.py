# SPDX-License-Identifier: ISC
"""Cases that look at the whole process: idle clients, more workers, limits, fairness, system calls, instructions."""
import glob
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from .peers import DIRECT, FLOOR, Field, Holder
from .place import say
from .report import budget, least, median, most, table

MODES = {"simple": [], "extended": ["-m", "extended"], "prepared": ["-m", "prepared"]}


def poolers(bench):
    return [name for name in bench.options.peers if name not in (DIRECT, FLOOR, "fwd")]


# --- idle clients

def idle_one(bench, name, n):
    null, peer = bench.start_null(), None
    try:
        peer = bench.start_peer(name, null.port)
        if not peer:
            return [name, n, "n/a"]
        bench.load(peer.port, "-c", 32, "-n", 2000)
        time.sleep(0.5)
        before, cpu_before = peer.pss_kib(), peer.cpu_us()
        holder = Holder(bench, peer.port, n)
        cpu_connect = peer.cpu_us() - cpu_before
        time.sleep(1)
        after, cpu_1 = peer.pss_kib(), peer.cpu_us()
        time.sleep(3)
        idle_ms = (peer.cpu_us() - cpu_1) / 1000 / 3
        words = ["-c", 32, "-w", 2000, "-s", bench.options.seconds]
        active = [bench.load(peer.port, *words, processes=[("proxy", peer)]) for _ in range(bench.options.rounds)]
        active = [run for run in active if "error" not in run and not run["errors"]]
        held = holder.held
        holder.end()
        return [name, n, held, (after - before) / held if held else "", cpu_connect / held if held else "", idle_ms, least(active, "cpu_proxy"),
                most(active, "qps"), median(active, "p99")]
    finally:
        if peer:
            peer.stop()
        null.stop()


def idle(bench):
    rows = [idle_one(bench, name, n) for name in bench.options.peers if name not in (DIRECT, "fwd")
            for n in (0, *bench.options.idle)]
    kib, cpu = budget("idle_kib"), budget("idle_cpu")
    rows.append(["budget", "", "", f"{kib[0]} / {kib[1]}", "", f"{cpu[0]} / {cpu[1]}"])
    table("idle clients, and 32 active ones beside them", ["peer", "idle", "connected", "KiB/client", "CPU us/connect", "idle CPU ms/s",
          "CPU us/query", "queries/s best", "p99 us"], [row + [""] * (9 - len(row)) for row in rows], bench.options.out)


# --- workers

def servers_seen(port):
    """Established connections to the stand-in: lines of /proc/net/tcp whose remote port it is."""
    with open("/proc/net/tcp") as f:
        lines = [line.split() for line in f.readlines()[1:]]
    return sum(1 for words in lines if words[3] == "01" and int(words[2].split(":")[1], 16) == port)


class Watch(threading.Thread):
    """The most servers that were ever seen at once."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.most, self.over = port, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, servers_seen(self.port))

    def end(self):
        self.over.set()
        self.join()
        return self.most


def with_workers(bench, name, workers, pool, words):
    """(good runs, most servers seen) of NAME with so many workers; nothing is pinned."""
    null, peer = bench.start_null(2, pinned=False), None
    try:
        peer = bench.start_peer(name, null.port, pool=pool, workers=workers, pinned=False)
        if not peer:
            return [], 0
        watch = Watch(null.port)
        watch.start()
        runs = [bench.load(peer.port, *words, pinned=False, processes=[("proxy", peer)]) for _ in range(bench.options.rounds)]
        return [run for run in runs if "error" not in run and not run["errors"]], watch.end()
    finally:
        if peer:
            peer.stop()
        null.stop()


def scaling(bench):
    rows = []
    for name in poolers(bench):
        for workers in (1, 2):
            runs, servers = with_workers(bench, name, workers, 8, ["-c", 64, "-w", 3000, "-s", bench.options.seconds])
            rows.append([name, workers, most(runs, "qps"), least(runs, "cpu_proxy"), median(runs, "cpu_proxy"), servers])
    table("one and two workers, 64 clients, pool_size 8 (load and stand-in share the same cores)",
          ["peer", "workers", "queries/s best", "CPU us/query", "median", "servers at most"], rows, bench.options.out)


def fairness(bench):
    rows = []
    for name in poolers(bench):
        for workers in (1, 2):
            runs, servers = with_workers(bench, name, workers, 1, ["-c", 32, "-w", 3000, "-s", bench.options.seconds])
            shares = [{"share": run["least"] / max(run["most"], 1)} for run in runs]
            rows.append([name, workers, most(runs, "qps"), least(runs, "least"), most(runs, "most"), least(shares, "share"), servers])
    table("32 clients share a pool of one server (1.00: all got the same)",
          ["peer", "workers", "queries/s best", "least of a client", "most", "worst share", "servers at most"], rows, bench.options.out)


# --- system calls and instructions

def count_calls(field, name, words):
    """perf's counts by event while 60,000 queries run; empty when perf may not."""
    peer = field.peers[name]
    events = ["raw_syscalls:sys_enter", "context-switches"]
    perf = subprocess.Popen(["perf", "stat", "-x,", "-e", ",".join(events), "-p", ",".join(map(str, peer.pids()))],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(0.7)
    run = field.run(name, ["-c", 32, "-w", 1, "-n", 60000, *words])
    perf.send_signal(signal.SIGINT)
    lines = [line.split(",") for line in perf.communicate()[1].splitlines()]
    counts = {words[2]: float(words[0]) for words in lines if len(words) > 2 and re.fullmatch(r"[\d.]+", words[0])}
    if "error" in run or run["errors"] or not counts:
        return None
    return [counts.get(event, 0) / run["n"] for event in events]


def syscalls(bench):
    if not shutil.which("perf") or os.getuid() != 0:
        say("syscalls: needs perf and root")
        return
    rows = []
    for mode, words in MODES.items():
        with Field(bench, [name for name in bench.options.peers if name != DIRECT]) as field:
            for name in field.peers:
                own = budget("syscalls") if name == "pgweir" and mode == "simple" else ("", "")
                # The floor knows no statements: it needs luck, until each server has them all.
                counts = count_calls(field, name, words) or count_calls(field, name, words) or ["n/a", ""]
                rows.append([mode, name, *counts, *own])
    table("system calls per query", ["query", "peer", "system calls", "context switches", "must", "aim"], rows, bench.options.out)


def instructions(bench, name, words, n):
    """All instructions of a run of N queries under callgrind."""
    folder = bench.place.new_folder("callgrind")
    null, peer = bench.start_null(), None
    try:
        peer = bench.start_peer(name, null.port, wrap=f"valgrind --tool=callgrind --callgrind-out-file={folder}/out.%p")
        run = bench.load(peer.port, "-c", 32, "-w", 1, "-n", n, *words) if peer else {"error": ""}
    finally:
        if peer:
            peer.stop()
        null.stop()
    totals = [0]
    for path in glob.glob(folder + "/out.*"):
        with open(path, errors="replace") as f:
            found = re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M)
        totals.append(int(found.group(1)) if found else 0)
    return 0 if "error" in run or run["errors"] else max(totals)


def callgrind(bench):
    """Of the difference of a long and a short run, so that start and end do not count."""
    rows = []
    for name in bench.options.peers:
        if name == DIRECT:
            continue
        row = [name]
        for words in MODES.values():
            few, many = (instructions(bench, name, words, n) for n in (4000, 24000))
            row.append((many - few) / 20000 if few and many else "n/a")
        rows.append(row + list(budget("callgrind") if name == "pgweir" else ("", "")))
    table("user-mode instructions per query", ["peer", *MODES, "must (simple)", "aim"], rows, bench.options.out)


# --- settings of sessions

def settings(bench):
    """32 clients on 8 servers: nearly each query finds a server that another session had."""
    rows = []
    for title, n in (("none", 0), ("1", 1), ("5", 5), ("5, the same for all", -5)):
        words = ["-O", n]
        with Field(bench, ["pgweir"]) as field:
            runs = field.rounds(["-c", 32, "-w", 3000, "-s", bench.options.seconds, *words])[0].get("pgweir", [])
        few, many = (instructions(bench, "pgweir", words, n) for n in (4000, 24000))
        rows.append([title, least(runs, "cpu_proxy"), median(runs, "cpu_proxy"), (many - few) / 20000 if few and many else "n/a",
                     median(runs, "qps")])
    table("settings of its own in each session, simple query", ["settings", "CPU us/query", "median", "instructions", "a second"], rows,
          bench.options.out)


CASES = {each.__name__: each for each in (idle, scaling, fairness, syscalls, callgrind, settings)}
