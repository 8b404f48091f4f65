# SPDX-License-Identifier: ISC
"""Processes that the benchmark starts, each in a session of its own: their CPU, memory and end."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

from . import place

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def cpu_us(pids):
    """CPU time that processes have used, all their threads, ended ones too: from their CPU clocks, in nanoseconds' steps."""
    total = 0
    for pid in pids:
        clock = ctypes.c_int()
        if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
            total += time.clock_gettime_ns(clock.value)
    return total / 1e3


def pids_of_session(leader):
    """The leader and every process that is still in its session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(name))
    return sorted(found)


def wait_for_port(port, seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


class Process:
    def __init__(self, words, log, env=None, cpus=None, folder="/"):
        who = place.plain_user()

        def before_exec():
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            place.raise_file_limit()
            if cpus:
                os.sched_setaffinity(0, cpus)
            if who:
                os.setgroups([])
                os.setgid(who[1])
                os.setuid(who[0])
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with open(log, "w") as out:
            self.process = subprocess.Popen(words, env=env, preexec_fn=before_exec, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, cwd=folder)
        self.log, self.port = log, None

    def pids(self):
        return pids_of_session(self.process.pid)

    def cpu_us(self):
        return cpu_us(self.pids())

    def pss_kib(self):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
            except OSError:
                pass
        return total

    def tail(self):
        with open(self.log, errors="replace") as f:
            return f.read()[-500:]

    def stop(self):
        """SIGINT first, so that callgrind writes its file; whoever does not listen is killed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            end = time.time() + 2
            while time.time() < end:
                self.process.poll()
                if not self.pids():
                    return
                time.sleep(0.02)
