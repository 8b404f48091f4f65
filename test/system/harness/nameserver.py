# SPDX-License-Identifier: ISC
"""A DNS server of the test's own: UDP on port 53 of some address of the loopback, because a resolv.conf cannot name a port."""
import random
import socket
import struct
import threading

import pytest

A, SOA, AAAA, SRV = 1, 6, 28, 33
NXDOMAIN = 3


def encoded(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


class NameServer:
    """hosts: name -> addresses; serials: zone -> serial; services: name -> (port, host). mode: answer, silent, garbage."""

    def __init__(self):
        self.hosts, self.serials, self.services, self.mode, self.asked = {}, {}, {}, "answer", []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        try:
            self._socket.bind((self.address, 53))
        except PermissionError:
            self._socket.close()
            pytest.skip("port 53 is for root")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self):
        self.mode = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", (self.address, 53))
        self._thread.join(10)
        self._socket.close()

    def n_asked(self, name, kind):
        return self.asked.count((name, kind))

    def _serve(self):
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if self.mode is None:
                return
            answer = self._answer(packet)
            if answer is not None:
                self._socket.sendto(answer, sender)

    def _records(self, name, kind):
        """Bodies of the answer; None: there is no such name."""
        if kind == SOA and name in self.serials:
            return [encoded("ns." + name) + encoded("root." + name) + struct.pack("!5I", self.serials[name], 60, 60, 60, 60)]
        if kind == SRV and name in self.services:
            port, host = self.services[name]
            return [struct.pack("!3H", 0, 0, port) + encoded(host)]
        if name in self.hosts:
            family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
            return [socket.inet_pton(family, a) for a in self.hosts[name] if family and (":" in a) == (kind == AAAA)]
        return [] if name in self.serials else None

    def _answer(self, packet):
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
        name, question = ".".join(labels).lower(), packet[12:at + 5]
        self.asked.append((name, kind))
        if self.mode == "silent":
            return None
        records = self._records(name, kind)
        if self.mode == "garbage":  # a count of answers, and bytes that are none
            return packet[:2] + struct.pack("!5H", 0x8180, 1, 9, 0, 0) + question + b"\xc0\x0c\x00\x06\x00\x01" + bytes(7) + b"\xff\xc1"
        head = packet[:2] + struct.pack("!5H", 0x8180 | (NXDOMAIN if records is None else 0), 1, len(records or []), 0, 0)
        bodies = (b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(r)) + r for r in records or [])
        return head + question + b"".join(bodies)
