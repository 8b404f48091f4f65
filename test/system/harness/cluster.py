# SPDX-License-Identifier: ISC
"""Private PostgreSQL clusters: made once per test process, copied, started, stopped, killed; all by process id."""
import glob
import os
import shutil
import signal
import subprocess

import psycopg

from . import place
from .wait import wait_until

SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 200
superuser_reserved_connections = 10
max_wal_senders = 8
max_replication_slots = 8
max_prepared_transactions = 8
wal_level = logical
min_wal_size = 32MB
shared_buffers = 32MB
autovacuum = off
jit = off
log_min_messages = warning
log_error_verbosity = verbose
unix_socket_permissions = 0777
listen_addresses = '127.0.0.1, 127.0.0.2, ::1'
password_encryption = 'scram-sha-256'
"""

# The role decides how the server asks for a password: no test needs to change the file for that.
HBA = """
local all,replication all trust
host  all,replication postgres,app,app2,lookup,expired,nologin,monitor all trust
hostssl   all in_tls all trust
hostnossl all in_tls all reject
host  all in_trust all trust
host  all in_password all password
host  all in_md5 all md5
host  all in_scram all scram-sha-256
host  all all all reject
"""

ROLES = [
    "CREATE ROLE app LOGIN PASSWORD 'app-pw'",
    "CREATE ROLE app2 LOGIN PASSWORD 'app2-pw'",
    "CREATE ROLE lookup LOGIN PASSWORD 'lookup-pw'",
    "CREATE ROLE in_trust LOGIN PASSWORD 'in_trust-pw'",
    "CREATE ROLE in_password LOGIN PASSWORD 'in_password-pw'",
    "CREATE ROLE in_scram LOGIN PASSWORD 'in_scram-pw'",
    "CREATE ROLE in_tls LOGIN PASSWORD 'in_tls-pw'",
    "CREATE ROLE expired LOGIN PASSWORD 'expired-pw' VALID UNTIL '2020-01-01'",
    "CREATE ROLE nologin NOLOGIN PASSWORD 'nologin-pw'",
    "SET password_encryption = 'md5'",
    "CREATE ROLE in_md5 LOGIN PASSWORD 'in_md5-pw'",
    "RESET password_encryption",
    "ALTER ROLE app REPLICATION",
    "GRANT pg_signal_backend, pg_read_all_stats TO app",
    "GRANT SELECT ON pg_catalog.pg_authid TO lookup",
    "CREATE ROLE monitor LOGIN PASSWORD 'monitor-pw' IN ROLE pg_monitor",
    "GRANT ALL ON SCHEMA public TO PUBLIC",
    "CREATE DATABASE app",
    "CREATE DATABASE app2",
]


def programs():
    """The folder of initdb and postgres: PG_BIN, or the newest that is installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: float(p.split("/")[4]))
    return os.environ.get("PG_BIN") or found[-1]


class Cluster:
    """One PostgreSQL server, on 127.0.0.1, 127.0.0.2 (not in its certificate), ::1 and a Unix socket in folder."""

    def __init__(self, folder, certs):
        self.folder, self.certs = folder, certs
        self.data = os.path.join(folder, "data")
        self.port = place.free_port()
        self.process = None
        self._direct = None

    # --- making

    @classmethod
    def make(cls, folder, certs, template=None):
        """A stopped cluster in a new FOLDER; a copy of TEMPLATE (a stopped cluster) when there is one."""
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        place.give(folder)
        self = cls(folder, certs)
        if template is None:
            place.run(f"{programs()}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync",
                      "-E", "UTF8", "--locale=C")
            self._configure()
            self._populate()
        else:
            place.run("cp", "-a", template.data, self.data)
        return self

    def _configure(self):
        tls = f"ssl = on\nssl_cert_file = '{self.certs.server_cert}'\nssl_key_file = '{self.certs.server_key}'\n" \
              f"ssl_ca_file = '{self.certs.ca}'\n"
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(SETTINGS + tls)
        place.write(os.path.join(self.data, "pg_hba.conf"), HBA)

    def _populate(self):
        self.start()
        with psycopg.connect(self.dsn(dbname="template1"), autocommit=True) as c:
            for statement in ROLES[:-2]:
                c.execute(statement)
        with psycopg.connect(self.dsn(dbname="postgres"), autocommit=True) as c:
            for statement in ROLES[-2:]:
                c.execute(statement)
        self.stop()

    def make_replica(self, folder):
        """A started streaming replica of this running cluster."""
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        place.give(folder)
        replica = Cluster(folder, self.certs)
        place.run(f"{programs()}/pg_basebackup", "-D", replica.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                  "-h", self.folder, "-p", self.port, "-U", "postgres")
        return replica.start()

    # --- life

    def launch(self):
        """start() without waiting. Never in a thread: a server dies with the thread that made it (place.command)."""
        assert self.process is None
        self.log_path = os.path.join(self.folder, "log")
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            place.command(f"{programs()}/postgres", "-D", self.data, "-p", self.port, "-k", self.folder),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        log.close()

    def start(self):
        self.launch()
        wait_until(self._ready, 30, "PostgreSQL accepting connections")
        return self

    def _ready(self):
        assert self.process.poll() is None, f"PostgreSQL ended:\n{self.log()}"
        try:
            with open(os.path.join(self.data, "postmaster.pid")) as f:
                lines = f.read().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, how=signal.SIGINT, seconds=30):
        """SIGINT is a fast shutdown, SIGTERM a smart one, SIGQUIT immediate."""
        if self.process is None:
            return
        self._forget_direct()
        self.process.send_signal(how)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self):
        """kill -9 of the whole server, back ends first so that none outlives the postmaster."""
        self._forget_direct()
        self.freeze()
        backends = self.backends()
        for pid in [self.process.pid, *backends]:
            _signal(pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None
        wait_until(lambda: not any(map(_is_postgres, backends)), 10, "end of the back ends: a new server would find their memory")

    def backends(self):
        """Process ids of all children of the postmaster."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [int(word) for word in f.read().split()]

    def freeze(self):
        """SIGSTOP the postmaster, then its children: connections are accepted by the kernel and answered by nobody."""
        _signal(self.process.pid, signal.SIGSTOP)
        for pid in self.backends():
            _signal(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in [*self.backends(), self.process.pid]:
            _signal(pid, signal.SIGCONT)

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        return self.start()

    def ensure_running(self):
        if self.process is not None and self.process.poll() is not None:
            self._forget_direct()
            self.process = None
        if self.process is None:
            self.start()
        self.sql("SELECT 1")

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- talking to it without pgweir

    def dsn(self, dbname="app", user="postgres"):
        return f"host={self.folder} port={self.port} user={user} dbname={dbname} connect_timeout=10"

    def connect(self, dbname="app", user="postgres", **kwargs):
        kwargs.setdefault("autocommit", True)
        return psycopg.connect(self.dsn(dbname, user), **kwargs)

    def sql(self, statement, params=None):
        """Rows (or None) of a statement run as superuser in database app, on a connection of our own; after a crash of
        PostgreSQL on a new one, as soon as it accepts."""
        def attempt():
            try:
                if self._direct is None:
                    self._direct = self.connect(prepare_threshold=None)
                cursor = self._direct.execute(statement, params)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self._forget_direct()
                return None
            return [cursor.fetchall() if cursor.description else None]
        return wait_until(attempt, 20, "PostgreSQL answering")[0]

    def value(self, statement, params=None):
        return self.sql(statement, params)[0][0]

    def pids(self, user="app", dbname="app"):
        """Process ids of the back ends of USER in DBNAME."""
        return [r[0] for r in self.sql("SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = %s ORDER BY pid",
                                       (user, dbname))]

    def at_work(self, marker):
        """How many back ends run a statement with MARKER in it."""
        return self.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()",
                          (f"%{marker}%",))

    def terminate(self, pid):
        self.sql("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def sweep(self):
        """End what an earlier test left behind: back ends of all roles but ours."""
        self.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                 "WHERE backend_type IN ('client backend', 'walsender') AND usename <> 'postgres'")

    def _forget_direct(self):
        if self._direct is not None:
            self._direct.close()
        self._direct = None

    def set_hba(self, text=HBA):
        """Rewrite pg_hba.conf; done when new logins see it."""
        before = self._loaded()
        place.write(os.path.join(self.data, "pg_hba.conf"), "local all all trust\n" + text)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._loaded() > before, 10, "reload of PostgreSQL")

    def _loaded(self):
        with self.connect() as c:
            return c.execute("SELECT pg_conf_load_time()").fetchone()[0]


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _is_postgres(pid):
    """It lives, and is no other program that got the number since."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            comm, state = f.read().split("(", 1)[1].rsplit(")", 1)
    except OSError:
        return False
    return comm == "postgres" and state.split()[0] != "Z"
