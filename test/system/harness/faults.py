# SPDX-License-Identifier: ISC
"""System calls of a pgweir that fail, or do less than was asked, as they may: the other side of test/tools/faults.c."""
import mmap
import os
import struct

from . import place
from .pgweir import binary

# The order is that of test/tools/faults.c.
KINDS = ["recv_short", "recv_eintr", "recv_eagain", "send_short", "send_eintr", "send_eagain", "epoll_one", "epoll_eintr",
         "accept_eagain", "accept_aborted", "accept_emfile", "socket_emfile", "connect_refused", "connect_unreachable",
         "dial_timeout", "client_reset", "server_reset", "client_epipe", "server_epipe", "client_enobufs", "server_enobufs",
         "lookup_again", "lookup_slow", "log_slow", "log_full", "open_emfile", "thread_eagain"]
HARMLESS = ["recv_short", "recv_eintr", "recv_eagain", "send_short", "send_eintr", "send_eagain", "epoll_one", "epoll_eintr",
            "accept_eagain", "log_slow", "log_full"]
MOST = 32
RATE, ARM, COUNT, STEP = 0, 4 * MOST, 8 * MOST, 12 * MOST


class Faults:
    """Of the process that WEIR starts next. None happens before it is asked for."""

    def __init__(self, weir, seed=1):
        path = place.write(os.path.join(weir.folder, "faults"), bytes(STEP + 4))
        with open(path, "r+b") as f:
            self._plan = mmap.mmap(f.fileno(), STEP + 4)
        library = os.environ.get("PGWEIR_FAULTS") or os.path.join(os.path.dirname(binary()), "libfaults.so")
        weir.env.update(WEIR_FAULTS=path, WEIR_FAULTS_SEED=str(seed))
        weir.prefix = ["env", f"LD_PRELOAD={library}"]

    def _put(self, at, kind, value):
        struct.pack_into("=I", self._plan, at + 4 * KINDS.index(kind), value)

    def often(self, **chances):
        """From now on each such call fails with this chance."""
        for kind, chance in chances.items():
            self._put(RATE, kind, int(chance * 65536))

    def once(self, kind, nth=1):
        """The NTH such call from now on fails."""
        self._put(ARM, kind, nth)

    def count(self, kind):
        """How many did."""
        return struct.unpack_from("=I", self._plan, COUNT + 4 * KINDS.index(kind))[0]

    def step_clock(self, seconds):
        """The time of day is this far off."""
        struct.pack_into("=i", self._plan, STEP, seconds)

    def stop(self):
        for kind in KINDS:
            self._put(RATE, kind, 0)
            self._put(ARM, kind, 0)
