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
unix_socket_directories = ''
"""

# Options of pgweir; None: nothing stands between the tests and the server. Servers of session mode are used once: some tests see
# libraries and temporary schemas that DISCARD ALL leaves.
WAYS = {
    "direct": None,
    "session": {"pool_mode": "session", "default_pool_size": 150, "server_lifetime": 0},
    "transaction": {"pool_mode": "transaction", "default_pool_size": 4},
}


# Roles that the tests make may log in, with any password.
EVERYBODY = "SELECT rolname, '-' FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"


class Server:
    def __init__(self, folder):
        self.data, self.port, self.log = os.path.join(folder, "data"), place.free_port(), os.path.join(folder, "postgresql.log")
        place.run(f"{programs()}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(SETTINGS)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(place.command(f"{programs()}/postgres", "-D", self.data, "-p", self.port), cwd=folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
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
def start(way, out):
    """The port to connect to, and a folder where servers and tests may write; its logs are kept in OUT."""
    place.raise_file_limit()
    folder = place.new_folder("regress")
    weir = None
    server = Server(folder)
    try:
        port = server.port
        if way is not None:
            weir = Pgweir(folder, databases={"*": {"host": "127.0.0.1", "port": server.port}}, auth_type="trust",
                          userlist={"postgres": "-"}, auth_user="postgres", auth_query=EVERYBODY, query_wait_timeout=0, pin_notice=0,
                          **way).start()
            port = weir.port
        yield port, folder
    finally:
        if weir is not None:
            weir.wanted_status = (0, 4)
            with contextlib.redirect_stdout(io.StringIO()):
                weir.finish()
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder, out, ignore=lambda where, names: [n for n in names if n.startswith(".s.")])
        shutil.rmtree(folder, ignore_errors=True)
