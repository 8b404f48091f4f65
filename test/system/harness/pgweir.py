# SPDX-License-Identifier: ISC
"""One pgweir process: its files, its life, its log, and the connections a test makes through it."""
import copy
import os
import re
import signal
import socket
import subprocess

import psycopg
import psycopg2

from . import place, wire
from .wait import wait_until

FINDINGS = re.compile(r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed|"
                      r"UndefinedBehaviorSanitizer|AddressSanitizer:DEADLYSIGNAL")

# Short enough that no test waits for a default, long enough for a slow machine.
GENERAL = {
    "listen_addr": "127.0.0.1",
    "auth_type": "trust",
    "admin_users": "admin",
    "stats_users": "viewer",
    "pool_mode": "transaction",
    "workers": 2,
    "server_tls_sslmode": "disable",
    "drain_delay": 0,
    "drain_timeout": 3,
    "log_stats": 0,
}

# Every role of harness.cluster, with the password PostgreSQL knows.
USERS = {name: name + "-pw" for name in
         ["app", "app2", "lookup", "in_trust", "in_password", "in_md5", "in_scram", "in_tls", "admin", "viewer"]}


def binary():
    path = os.environ.get("PGWEIR")
    if not path:
        here = os.path.dirname(os.path.abspath(__file__))
        path = os.path.normpath(os.path.join(here, "..", "..", "..", "build", "pgweir"))
    return path


LEAKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks.txt")


def environment():
    """Findings of a sanitizer make the process end with a status of its own, and stand in the log."""
    env = dict(os.environ)
    for name, ours in [("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:detect_stack_use_after_return=0:handle_abort=1:"
                                        "verify_asan_link_order=0"),
                       ("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1:exitcode=98"),
                       ("LSAN_OPTIONS", f"exitcode=97:suppressions={LEAKS}:print_suppressions=0"),
                       ("TSAN_OPTIONS", "exitcode=96:halt_on_error=0:second_deadlock_stack=1")]:
        env[name] = ours + (":" + env[name] if env.get(name) else "")
    return env


def quote(value):
    """A value for a key=value list of [databases] or [users]."""
    text = str(value)
    return "'" + text.replace("'", "''") + "'" if text == "" or re.search(r"[\s'=]", text) else text


class Pgweir:
    def __init__(self, folder, cluster=None, databases=None, users=None, userlist=None, section="pgweir",
                 nodes=None, clusters=None, rules=None, peers=None, **general):
        self.folder, self.cluster, self.section = folder, cluster, section
        self.port = place.free_port()
        self.ini, self.userlist_path = os.path.join(folder, "pgweir.ini"), os.path.join(folder, "userlist.txt")
        self.log_path = os.path.join(folder, "log")
        self.process, self.status, self.wanted_status = None, None, (0,)
        self.general = {**copy.deepcopy(GENERAL), "listen_port": self.port, "unix_socket_dir": folder,
                        "auth_file": self.userlist_path, **general}
        if databases is None:
            databases = {"app": {}, "app2": {}}
        self.databases = {name: self._database(entry) for name, entry in databases.items()}
        self.users, self.nodes, self.clusters, self.rules = users or {}, nodes or {}, clusters or {}, rules or {}
        self.peers = peers or {}
        self.userlist = dict(USERS) if userlist is None else dict(userlist)
        self._open, self.olds = [], []
        self.env, self.outer, self.prefix, self.pass_fds = {}, [], [], ()  # of processes started from now on; outer runs as we do
        self.write()

    def _database(self, entry):
        if self.cluster is None or "cluster" in entry:
            return dict(entry)
        return {"host": "127.0.0.1", "port": self.cluster.port, **entry}

    # --- files

    def write(self):
        """Both files from the attributes; call reload() after a change."""
        lines = [f"[{self.section}]"] + [f"{k} = {v}" for k, v in self.general.items() if v is not None]
        sections = [("nodes", self.nodes), ("clusters", self.clusters), ("databases", self.databases), ("users", self.users),
                    ("rules", self.rules), ("peers", self.peers)]
        for section, entries in sections:
            if not entries and section in ("nodes", "clusters", "rules", "peers"):
                continue
            lines.append(f"[{section}]")
            for name, entry in entries.items():
                lines.append(f"{name} = " + " ".join(f"{k}={quote(v)}" for k, v in entry.items()))
        place.replace(self.ini, "\n".join(lines) + "\n")
        place.replace(self.userlist_path, "".join('"%s" "%s"\n' % (n.replace('"', '""'), s.replace('"', '""'))
                                                  for n, s in self.userlist.items()))

    # --- life

    def start(self, *flags, wait=True):
        assert self.process is None
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*self.outer, *place.command(*self.prefix, binary(), *flags, self.ini)], stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, cwd=self.folder, env={**environment(), **self.env}, pass_fds=self.pass_fds)
        log.close()
        if wait:
            wait_until(self._accepts, 20, "pgweir accepting connections", step=0.005)
        return self

    def take_over(self, *flags, wait=True):
        """Start the next process with -R; the one before goes to olds. Returns that."""
        old, self.process = self.process, None
        done = self.log().count("took over from the process that ran")
        self.start("-R", *flags, wait=False)
        self.olds.append(old)
        if wait:
            wait_until(lambda: self.log().count("took over from the process that ran") > done or self._must_run(), 20, "the take-over", step=0.005)
        return old

    def _must_run(self):
        assert self.process.poll() is None, f"pgweir ended with {self.process.returncode}:\n{self.log()[-3000:]}"

    def _accepts(self):
        assert self.process.poll() is None, f"pgweir ended with {self.process.returncode}:\n{self.log()}"
        try:
            if self.general["listen_addr"]:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            if self.general["unix_socket_dir"] == self.folder:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(f"{self.folder}/.s.PGSQL.{self.port}")
        except OSError:
            return False
        return True

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=15):
        """The exit status; negative is a signal."""
        try:
            self.status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"pgweir did not end within {seconds} s:\n{self.log()[-3000:]}")
        return self.status

    def stop(self, how=signal.SIGTERM, seconds=15):
        self.send_signal(how)
        return self.wait(seconds)

    def finish(self):
        """End of a test: everybody leaves, pgweir ends well, the log holds no finding."""
        for connection in self._open:
            try:
                connection.close()
            except Exception:
                pass
        for old in self.olds:
            try:
                old.wait(15)
            finally:
                if old.poll() is None:
                    old.send_signal(signal.SIGABRT)
                    old.wait(10)
                    print(f"an old process did not end:\n{self.log()[-6000:]}")
        if self.process is None:
            return
        ended_before = self.status is None and self.process.poll() is not None
        if self.status is None:
            self.status = self.process.returncode if ended_before else self.stop()
        log = self.log()
        print(f"--- log of pgweir (status {self.status}) ---\n{log[-6000:]}")
        found = FINDINGS.search(log)
        assert not found, f"finding in the log:\n{log[max(0, found.start() - 200):found.start() + 4000]}"
        assert not ended_before, f"pgweir ended by itself with {self.status}"
        assert self.status in self.wanted_status, f"exit status {self.status}"
        assert all(old.returncode in (0, -signal.SIGKILL) for old in self.olds), [old.returncode for old in self.olds]

    # --- log

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, seconds=10):
        return wait_until(lambda: re.search(pattern, self.log()), seconds, f"{pattern!r} in the log")

    # --- through it

    def dsn(self, **kwargs):
        words = {"host": "127.0.0.1", "port": self.port, "user": "app", "dbname": "app", "sslmode": "disable",
                 "gssencmode": "disable", "connect_timeout": 10, **kwargs}
        return " ".join(f"{k}='" + str(v).replace("\\", "\\\\").replace("'", "\\'") + "'" for k, v in words.items() if v is not None)

    def keep(self, connection):
        """Close it when the test ends, before pgweir is asked to."""
        self._open.append(connection)
        return connection

    def connect(self, autocommit=True, prepare_threshold=5, **kwargs):
        """psycopg 3."""
        return self.keep(psycopg.connect(self.dsn(**kwargs), autocommit=autocommit, prepare_threshold=prepare_threshold))

    def connect2(self, **kwargs):
        """psycopg2: the simple protocol only."""
        c = self.keep(psycopg2.connect(self.dsn(**kwargs)))
        c.autocommit = True
        return c

    def raw(self, seconds=10.0, host="127.0.0.1", **kwargs):
        """A socket on which nothing was said yet."""
        return self.keep(wire.Wire(host, self.port, seconds, **kwargs))

    def wire(self, user="app", database="app", password=None, seconds=10.0, **params):
        """A raw connection that is logged in."""
        return self.raw(seconds).login(user, database, password, **params)

    def console(self, command, user="admin", database="pgbouncer"):
        """Rows of a console command as dicts, by the simple protocol, on a connection of its own."""
        with wire.Wire("127.0.0.1", self.port) as w:
            w.login(user, database, self.userlist.get(user))
            w.send(wire.query(command))
            names, rows, error = [], [], None
            for m in w.until("Z"):
                if m.kind == "T":
                    names = [c[0] for c in m.columns()]
                elif m.kind == "D":
                    rows.append(dict(zip(names, [None if v is None else v.decode() for v in m.row()])))
                elif m.kind == "E":
                    error = wire.ServerError(m.fields())
            if error:
                raise error
            return rows

    def pool(self, database="app", user="app"):
        """The row of SHOW POOLS, or None."""
        return next((r for r in self.console("SHOW POOLS") if r["database"] == database and r["user"] == user), None)

    def config(self, key):
        """The value of an option that SHOW CONFIG tells."""
        return next(r["value"] for r in self.console("SHOW CONFIG") if r["key"] == key)

    def reload(self, **general):
        """Change general options (None removes one), write, RELOAD on the console."""
        self.general.update(general)
        self.write()
        return self.console("RELOAD")
