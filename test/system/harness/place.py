# SPDX-License-Identifier: ISC
"""Where tests run and as whom: a private folder, free ports, a plain user when we are root."""
import fcntl
import functools
import os
import pwd
import random
import resource
import shutil
import socket
import subprocess
import tempfile

USER = "pgweir-test"
_reserved = []  # abstract sockets: each holds a port number for this process among all test processes


def raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = hard if hard != resource.RLIM_INFINITY else 20000
    if soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(want, 20000) if hard > 20000 else want, hard))


@functools.cache
def plain_user():
    """(uid, gid) to run servers as, or None when we are a plain user ourselves."""
    if os.getuid() != 0:
        return None
    with open(__file__) as one_at_a_time:  # of all test processes: useradd is no atomic step
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        try:
            entry = pwd.getpwnam(USER)
        except KeyError:
            subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            entry = pwd.getpwnam(USER)
    return entry.pw_uid, entry.pw_gid


def command(*words):
    """The words as a command that runs as the plain user and dies with us."""
    who = plain_user()
    change = ["--reuid", str(who[0]), "--regid", str(who[1]), "--clear-groups"] if who else []
    return ["setpriv", *change, "--pdeathsig", "QUIT", *map(str, words)]


def run(*words, **kwargs):
    """Run to the end as the plain user; its output is in the exception when it fails."""
    kwargs.setdefault("timeout", 60)
    done = subprocess.run(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", **kwargs)
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}:\n{done.stdout.decode(errors='replace')}"
    return done.stdout.decode(errors="replace")


def give(path):
    """Let the plain user own PATH."""
    who = plain_user()
    if who:
        os.chown(path, *who)
    return path


def write(path, text, mode=0o600):
    with open(path, "w" if isinstance(text, str) else "wb") as f:
        f.write(text)
    os.chmod(path, mode)
    return give(path)


def replace(path, text):
    """As write(), but who reads it meanwhile finds the old text or the new."""
    write(path + ".new", text)
    os.replace(path + ".new", path)


def new_folder(name="t"):
    """A short path (Unix sockets allow 107 bytes), in memory when there is room."""
    root = os.environ.get("PGWEIR_TEST_DIR")
    if not root:
        root = tempfile.gettempdir()
        if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 << 30 and os.access("/dev/shm", os.W_OK):
            root = "/dev/shm"
    path = tempfile.mkdtemp(prefix=f"pgweir-{name}-", dir=root)
    os.chmod(path, 0o755)
    return give(path)


def free_port():
    """A TCP port nobody listens on, and that no other test process will get."""
    while True:
        port = random.randint(11000, 31999)  # below the range of outgoing connections
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0pgweir-test-port-{port}")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
                s.bind(("", port))
        except OSError:
            lock.close()
            continue
        _reserved.append(lock)
        return port
