# SPDX-License-Identifier: ISC
"""Programs in test/system/drivers, one for each driver: they read orders from a pipe and print what their driver got.

An order is a line of words between tabs: what to do, the name of a connection, and more. The answer is the lines of the
result (rows with | between values, or what the driver says of a statement without rows, or "error SQLSTATE message"), then a
line with a full stop."""
import fcntl
import glob
import os
import select
import subprocess
import sys
import time

from . import pgweir

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "drivers")
JAR = "/usr/share/java/postgresql.jar"
NODE_PATH = "/usr/share/nodejs:/usr/lib/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules"
EVERYONE = {"open", "close", "exec", "bind", "begin", "commit", "rollback", "extra"}

# What each can do besides what everyone can. Where prep is missing, bind takes its place.
DRIVERS = {
    "psycopg2": "batch copyin copyout stream cancel listen lob",
    "psycopg3": "prep binary batch copyin copyout stream cancel listen dealloc",
    "asyncpg": "prep batch copyin copyout stream cancel listen dealloc",
    "sqlalchemy": "batch stream meta",
    "django": "meta",
    "dbd_pg": "prep batch copyin copyout cancel listen dealloc lob meta",
    "pdo": "prep batch copyin copyout stream listen dealloc lob",
    "psqlodbc": "prep batch stream cancel dealloc meta",
    "ruby_pg": "prep batch copyin copyout stream cancel listen dealloc lob",
    "node_pg": "prep binary batch stream cancel listen",
    "postgres_js": "prep batch stream cancel listen",
    "jdbc": "prep batch copyin copyout stream cancel listen dealloc lob meta",
    "lib_pq": "prep copyin cancel listen dealloc",
    "pgx": "prep batch copyin copyout cancel listen dealloc lob",
}


def may(driver, order):
    if order == "kill":
        return driver != "postgres_js"  # which connects again at once, before or after the next query
    return order in EVERYONE or order in DRIVERS[driver].split() or order == "prep"


def _built(source, *command, suffix=""):
    """What a compiler makes of a source, made when it is not there or older; beside the program that is tested."""
    folder = os.path.join(os.path.dirname(pgweir.binary()), "drivers")
    os.makedirs(folder, exist_ok=True)
    source, name = os.path.join(FOLDER, source), os.path.splitext(source)[0]
    result = os.path.join(folder, name + suffix)
    with open(folder + ".lock", "w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not os.path.exists(result) or os.path.getmtime(result) < os.path.getmtime(source):
            env = {**os.environ, "GOCACHE": os.path.join(folder, "cache"), "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
            done = subprocess.run([*(w.format(folder=folder, result=result) for w in command), source], env=env, cwd=FOLDER,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            assert done.returncode == 0, done.stdout.decode()
    return folder, result


def _command(driver):
    found = glob.glob(os.path.join(FOLDER, f"with_{driver}.*"))
    if found:
        by = {".py": [sys.executable, "-B"], ".pl": ["perl"], ".php": ["php"], ".rb": ["ruby"], ".js": ["node"]}
        return [*by[os.path.splitext(found[0])[1]], found[0]]
    if driver == "jdbc":
        folder, _ = _built("Jdbc.java", "ecj", "-17", "-proc:none", "-warn:none", "-cp", JAR, "-d", "{folder}", suffix=".class")
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder}:{JAR}", "Jdbc"]
    return [_built(driver + ".go", "go", "build", "-o", "{result}")[1]]


def missing(driver):
    """Why it cannot be tested here: npm may have been asked for its drivers, or not."""
    module = {"node_pg": "pg", "postgres_js": "postgres"}.get(driver)
    if module and not any(os.path.isdir(os.path.join(p, module)) for p in NODE_PATH.split(":")):
        return f"no {module} for node: npm install -g {module}"
    return None


class Driver:
    """One program that runs."""

    def __init__(self, name):
        env = {**os.environ, "NODE_PATH": NODE_PATH, "TZ": "Europe/Vienna"}
        self.name, self.rest = name, b""
        self.process = subprocess.Popen(_command(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def order(self, *words, seconds=25):
        """The lines that come of an order."""
        assert not any("\t" in w or "\n" in w for w in words)
        if words[0] == "prep" and "prep" not in DRIVERS[self.name].split():
            words = ("bind", *words[1:])
        self.process.stdin.write(("\t".join(words) + "\n").encode())
        self.process.stdin.flush()
        end = time.monotonic() + seconds
        while not (self.rest == b".\n" or self.rest.endswith(b"\n.\n")):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            got = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not got:
                self.end(0)
                raise AssertionError(f"{self.name} {'ended at' if ready else 'gave no answer to'} {words}")
            self.rest += got
        lines, self.rest = self.rest.decode(errors="backslashreplace").splitlines()[:-1], b""
        return lines

    def end(self, seconds=5):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
