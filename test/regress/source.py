# SPDX-License-Identifier: ISC
"""PostgreSQL's source as Debian ships it, built with all its modules and their tests."""
import glob
import os
import re
import subprocess

PACKAGE = "postgresql-15"
REPOSITORIES = "".join(f"""Types: deb-src
URIs: http://deb.debian.org/{archive}
Suites: {names}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

""" for archive, names in [("debian", "bookworm bookworm-updates"), ("debian-security", "bookworm-security")])


# The isolation tester asks which sessions wait for each other, by the process id that it was told at login. Through a pooler that
# is no server's: it asks by application name, of which each session has one of its own.
BY_NAME = [
    ("""conns[i].backend_pid_str = psprintf("%d", conns[i].backend_pid);""",
     """conns[i].backend_pid_str = pg_strdup(PQparameterStatus(conns[i].conn, "application_name"));"""),
    ("""\tappendPQExpBufferStr(&wait_query, conns[1].backend_pid_str);
\tfor (i = 2; i < nconns; i++)
\t\tappendPQExpBuffer(&wait_query, ",%s", conns[i].backend_pid_str);
\tappendPQExpBufferStr(&wait_query, "}')");
""", ""),
    ("""SELECT pg_catalog.pg_isolation_test_session_is_blocked($1, '{""",
     """SELECT coalesce(pg_catalog.bool_or(pg_catalog.pg_isolation_test_session_is_blocked(a.pid, (SELECT pg_catalog.array_agg(b.pid)"""
     """ FROM pg_catalog.pg_stat_activity b WHERE b.application_name LIKE 'isolation/%'"""
     """ AND b.pid <> pg_catalog.pg_backend_pid()))), false) FROM pg_catalog.pg_stat_activity a"""
     """ WHERE a.application_name = $1 AND a.state <> 'idle'"""),
]


# Everything that has tests. With -O1 it is built in half the time.
CONFIGURE = ["CFLAGS=-O1", "--with-perl", "--with-python", "--with-tcl", "--with-libxml", "--with-libxslt", "--with-openssl",
             "--with-uuid=e2fs", "--with-icu", "PYTHON=/usr/bin/python3"]


class Programs:
    def __init__(self, top):
        self.top = top
        self.bin = os.path.join(os.path.dirname(top), "pg", "bin")
        self.regress, self.isolation = os.path.join(top, "src/test/regress"), os.path.join(top, "src/test/isolation")
        self.pg_regress = os.path.join(self.regress, "pg_regress")
        self.pg_isolation_regress = os.path.join(self.isolation, "pg_isolation_regress")
        self.pipeline = os.path.join(top, "src/test/modules/libpq_pipeline/libpq_pipeline")


def _run(*words, cwd, quiet=True):
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def _apt(folder):
    """apt-get and apt-cache with lists of our own: the machine's are not touched."""
    for name in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    with open(os.path.join(folder, "source.sources"), "w") as f:
        f.write(REPOSITORIES)
    return ["-q", "-o", f"Dir::Etc::SourceList={folder}/source.sources", "-o", "Dir::Etc::SourceParts=-",
            "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}", "-o", "APT::Sandbox::User=root"]


def _download(cache):
    """The newest version that can be had: one that is listed may be gone."""
    options = _apt(os.path.join(cache, "apt"))
    _run("apt-get", *options, "update", cwd=cache)
    listed = _run("apt-cache", *options, "showsrc", PACKAGE, cwd=cache)
    versions = sorted(set(re.findall(r"^Version: (15\.(\d+)\S*)$", listed, re.M)), key=lambda v: -int(v[1]))
    for version, _ in versions:
        words = ["apt-get", *options, "source", "--download-only", f"{PACKAGE}={version}"]
        if subprocess.run(words, cwd=cache, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return
    raise SystemExit(f"no source package of {PACKAGE} can be downloaded")


def _top(cache):
    found = glob.glob(os.path.join(cache, "postgresql-15.*/configure"))
    return os.path.dirname(max(found, key=lambda p: int(re.search(r"-15\.(\d+)/", p).group(1)))) if found else None


def _ask_by_name(programs):
    path = os.path.join(programs.isolation, "isolationtester.c")
    with open(path) as f:
        text = f.read()
    for old, new in BY_NAME:
        assert old in text
        text = text.replace(old, new)
    with open(path, "w") as f:
        f.write(text)


def _build(programs):
    """Servers run as another user, who reads all this."""
    _run("./configure", "-q", f"--prefix={os.path.dirname(programs.bin)}", *CONFIGURE, cwd=programs.top)
    for folder, target in [(".", "world-bin"), ("src/test", "all"), ("src/interfaces/ecpg/test", "all"), ("src/test/modules", "install"),
                           (".", "install-world-bin")]:
        _run("make", "-s", "-j2", "-C", folder, target, cwd=programs.top)
    _run("chmod", "-R", "a+rX", programs.top, os.path.dirname(programs.bin), cwd=programs.top)


def prepare(cache):
    os.makedirs(cache, exist_ok=True)
    if _top(cache) is None:
        _download(cache)
        _run("tar", "xf", glob.glob(os.path.join(cache, "postgresql-15_15.*.orig.tar.bz2"))[0], cwd=cache)
        _ask_by_name(Programs(_top(cache)))
    programs = Programs(_top(cache))
    if not os.path.exists(os.path.join(programs.bin, "psql")):
        _build(programs)
    os.environ["PG_BIN"] = programs.bin
    return programs
