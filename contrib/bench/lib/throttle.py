# SPDX-License-Identifier: ISC
"""A share of a core for one server and all its children (control groups, version 1 or 2): several small machines in one."""
import os

PERIOD_US = 10000


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
    def __init__(self, name, pid, share):
        self.folder = f"{parent()}/pgweir-bench-{os.getpid()}-{name}"
        if not os.path.exists(parent() + "/cpu.cfs_quota_us"):
            self.write(parent() + "/cgroup.subtree_control", "+cpu")
        os.mkdir(self.folder)
        quota = round(PERIOD_US * share)
        if os.path.exists(self.folder + "/cpu.cfs_quota_us"):
            self.write(self.folder + "/cpu.cfs_period_us", PERIOD_US)
            self.write(self.folder + "/cpu.cfs_quota_us", quota)
        else:
            self.write(self.folder + "/cpu.max", f"{quota} {PERIOD_US}")
        for each in family(pid):
            self.write(self.folder + "/cgroup.procs", each)

    @staticmethod
    def write(path, value):
        with open(path, "w") as f:
            f.write(str(value))

    def stop(self):
        """After the server has ended."""
        os.rmdir(self.folder)
