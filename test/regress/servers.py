# SPDX-License-Identifier: ISC
"""A private PostgreSQL as the tests want it, and pgweir in front of it."""
import contextlib
import io
import os
import shutil
import subprocess

from harness import place
from harness.cluster import programs
from harness.pgweir import Pgweir
from harness.wait import wait_until

SETTINGS = """
fsync = off
max_prepared_transactions = 64
max_connections = 200
log_min_messages = warning
log_line_prefix = '%m %b[%p] %q%a '
"""

# Folders that PostgreSQL writes.
CLUSTERS = {"data", "pgdata"}

QUIET = {"query_wait_timeout": 0, "pin_notice": 0}

# Options of pgweir; None: nothing stands between the tests and the server. Servers of session mode are used once: some tests see
# libraries and temporary schemas that DISCARD ALL leaves.
WAYS = {
    "direct": None,
    "session": {**QUIET, "pool_mode": "session", "default_pool_size": 150, "server_lifetime": 0},
    "transaction": {**QUIET, "pool_mode": "transaction", "default_pool_size": 4},
}

# Roles that the tests make may log in, with any password.
EVERYBODY = "SELECT rolname, '-' FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"


def lines(options):
    """Options as lines of a configuration."""
    return "".join(f"{name} = {value}\n" for name, value in options.items())


class Server:
    def __init__(self, folder, settings):
        self.data, self.port, self.log = os.path.join(folder, "data"), place.free_port(), os.path.join(folder, "postgresql.log")
        place.run(f"{programs()}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(SETTINGS + settings)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(place.command(f"{programs()}/postgres", "-D", self.data, "-p", self.port), cwd=folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "PGUSER": "postgres"})  # dblink and its like connect to it
        ready = [f"{programs()}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, 30, "PostgreSQL accepting connections")

    def stop(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.send_signal(3)
            self.process.wait(20)


@contextlib.contextmanager
def kept_folder(out):
    """A folder where servers and tests may write; what they leave there, but for clusters, is kept in OUT."""
    place.raise_file_limit()
    folder = place.new_folder("regress")
    try:
        yield folder
    finally:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder, out, symlinks=True, ignore=lambda where, names: [n for n in names if n in CLUSTERS or n.startswith(".s.")])
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def start(way, out, settings=""):
    """The port to connect to, and a folder as above."""
    with kept_folder(out) as folder, contextlib.ExitStack() as stack:
        server = Server(folder, settings)
        stack.callback(server.stop)
        port = server.port
        if way is not None:
            weir = Pgweir(folder, databases={"*": {"host": "127.0.0.1", "port": server.port}}, auth_type="trust",
                          userlist={"postgres": "-"}, auth_user="postgres", auth_query=EVERYBODY, **way).start()
            weir.wanted_status = (0, 4)
            stack.callback(_finish, weir)
            port = weir.port
        yield port, folder


def _finish(weir):
    with contextlib.redirect_stdout(io.StringIO()):
        weir.finish()
