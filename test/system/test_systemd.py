# SPDX-License-Identifier: ISC
"""What pgweir tells systemd (sd_notify(3)), and the sockets that systemd gives (sd_listen_fds(3)); we play systemd."""
import fcntl
import os
import signal
import socket
import time

import pytest

from harness import place, wire
from harness.wait import wait_until


class Notify:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, folder, abstract=False):
        self.path = f"{folder}/notify"
        self.name = ("@" if abstract else "") + self.path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path if abstract else self.path)
        if not abstract:
            os.chmod(self.path, 0o777)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def get(self, seconds=10):
        """The next message as a dict, and who sent it."""
        self.socket.settimeout(seconds)
        data, extra, _, _ = self.socket.recvmsg(4096, 256)
        pid = int.from_bytes(extra[0][2][:4], "little")
        return dict(line.split("=", 1) for line in data.decode().strip().split("\n")), pid

    def until(self, key, seconds=10):
        end = time.monotonic() + seconds
        while True:
            message, pid = self.get(max(0.01, end - time.monotonic()))
            if key in message:
                return message, pid

    def close(self):
        self.socket.close()


@pytest.fixture
def notified(make_weir):
    """notified(abstract=False, env={}, **general): a started pgweir and its Notify."""
    made = []

    def make(abstract=False, env=None, **general):
        weir = make_weir(start=False, **general)
        made.append(Notify(weir.folder, abstract))
        weir.env = {"NOTIFY_SOCKET": made[-1].name, **(env or {})}
        return weir.start(), made[-1]
    yield make
    for n in made:
        n.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_when_clients_are_served(notified, abstract):
    weir, systemd = notified(abstract)
    message, pid = systemd.until("READY")
    assert message["READY"] == "1" and message["STATUS"]
    assert int(message["MAINPID"]) == pid == weir.process.pid


@pytest.mark.parametrize("good", [True, False])
def test_reloading_with_its_time_then_ready(notified, good):
    weir, systemd = notified()
    systemd.until("READY")
    if not good:
        with open(weir.ini, "a") as f:
            f.write("[nonsense]\n")
    before = time.monotonic_ns() // 1000
    weir.send_signal(signal.SIGHUP)
    message, _ = systemd.until("RELOADING")
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert "READY" in systemd.get()[0]


def test_stopping(notified):
    weir, systemd = notified()
    systemd.until("READY")
    weir.send_signal(signal.SIGTERM)
    assert systemd.until("STOPPING")[0]["STOPPING"] == "1"
    assert weir.wait() == 0
    weir.status = 0


def test_the_watchdog_is_fed_twice_as_often_as_it_must(notified):
    weir, systemd = notified(env={"WATCHDOG_USEC": "400000"}, workers=3)
    systemd.until("WATCHDOG")
    start = time.monotonic()
    for _ in range(5):
        systemd.until("WATCHDOG", 1)
    assert 0.6 < time.monotonic() - start < 2


def test_no_watchdog_when_none_is_wanted(notified):
    weir, systemd = notified()
    systemd.until("READY")
    with pytest.raises(TimeoutError):
        systemd.until("WATCHDOG", 0.5)


def test_the_old_process_names_the_new_one_as_main(notified):
    weir, systemd = notified(env={"WATCHDOG_USEC": "200000"}, drain_timeout=30)
    systemd.until("READY")
    w = weir.wire()
    w.query("BEGIN")
    weir.env = {}  # started by hand: it inherits what the old one knows
    old = weir.take_over()
    message, pid = systemd.until("MAINPID")
    assert pid == old.pid and int(message["MAINPID"]) == weir.process.pid
    message, pid = systemd.until("READY")
    assert pid == int(message["MAINPID"]) == weir.process.pid
    for _ in range(4):
        assert systemd.until("WATCHDOG")[1] == weir.process.pid
    w.query("COMMIT")
    wait_until(lambda: old.poll() is not None)
    assert old.returncode == 0


# --- socket activation

@pytest.fixture
def activated(make_weir):
    """A pgweir that is given the sockets, and its own addresses in vain."""
    made = []

    def make(sockets, **general):
        weir = make_weir(start=False, **general)
        made.extend(sockets)
        moves = " ".join(f"{i + 3}<&{s.fileno()}" for i, s in enumerate(sockets))
        weir.prefix = ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES=a:b exec "$0" "$@" {moves}']
        weir.pass_fds = [s.fileno() for s in sockets]
        weir.start(wait=False)
        weir.wait_log("process up")
        weir.prefix, weir.pass_fds = [], ()
        return weir
    yield make
    for s in made:
        s.close()


def high(s):
    """The same with a number that is not in the way of 3, 4, ..."""
    copy = socket.socket(fileno=fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50))
    s.close()
    return copy


@pytest.mark.parametrize("workers", [1, 3])
def test_sockets_from_systemd_are_listened_on(activated, workers):
    tcp = high(socket.create_server(("127.0.0.1", 0)))
    port = tcp.getsockname()[1]
    folder = place.new_folder("activated")
    path = f"{folder}/.s.PGSQL.{port}"
    local = socket.socket(socket.AF_UNIX)
    local.bind(path)
    os.chmod(path, 0o777)
    local.listen()
    weir = activated([tcp, high(local)], workers=workers)
    try:
        for host in ["127.0.0.1", folder] * 6:
            with wire.Wire(host, port) as w:
                assert w.login().value("SELECT 1") == "1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", weir.port), 1)
        with wire.Wire("127.0.0.1", port) as w:
            w.login()
            weir.take_over()
            assert w.value("SELECT 'moved'") == "moved"
            with wire.Wire(folder, port) as other:
                assert other.login().value("SELECT 2") == "2"
        weir.stop()
        weir.status = 0
        assert os.path.exists(path), "it is systemd's"
    finally:
        os.unlink(path)
        os.rmdir(folder)


def test_what_is_no_listening_socket_is_refused(make_weir):
    weir = make_weir(start=False)
    weir.prefix = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3</dev/null']
    weir.start(wait=False)
    assert weir.process.wait(10) == 1
    assert "descriptor 3 from systemd" in weir.log()
    weir.process = None
