# SPDX-License-Identifier: ISC
"""A share of a core for one server and all its children (control groups, version 1 or 2): several small machines in one."""
import os

from .process import cpu_us

QUOTA_US = 1000  # the least there is: a server that has used it up stands still for as short as can be


def parent():
    """The folder in which groups with a limit of CPU can be made, or None: that takes root."""
    for folder, limit in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"), ("/sys/fs/cgroup", "cgroup.subtree_control")):
        if os.access(folder, os.W_OK) and os.path.exists(f"{folder}/{limit}"):
            return folder
    return None


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [found for child in f.read().split() for found in family(int(child))]


class Throttle:
    """All on one CPU: what a group may use is dealt out to CPUs by 5 ms, so that one would get all of it and the server's
    processes on another one stand still with most of it unused."""

    def __init__(self, name, pid, share, cpu):
        period_us = round(QUOTA_US / share)
        self.folder = f"{parent()}/pgweir-bench-{os.getpid()}-{name}"
        if not os.path.exists(parent() + "/cpu.cfs_quota_us"):
            self.write(parent() + "/cgroup.subtree_control", "+cpu")
        os.mkdir(self.folder)
        if os.path.exists(self.folder + "/cpu.cfs_quota_us"):
            self.write(self.folder + "/cpu.cfs_period_us", period_us)
            self.write(self.folder + "/cpu.cfs_quota_us", QUOTA_US)
        else:
            self.write(self.folder + "/cpu.max", f"{QUOTA_US} {period_us}")
        for each in family(pid):
            self.write(self.folder + "/cgroup.procs", each)
            os.sched_setaffinity(each, {cpu})

    @staticmethod
    def write(path, value):
        with open(path, "w") as f:
            f.write(str(value))

    def cpu_us(self):
        """What each of its processes has used."""
        with open(self.folder + "/cgroup.procs") as f:
            return {int(pid): cpu_us([int(pid)]) for pid in f}

    def stop(self):
        """After the server has ended."""
        os.rmdir(self.folder)
