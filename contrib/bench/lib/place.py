# SPDX-License-Identifier: ISC
"""Where the benchmark runs and as whom: a private folder, a plain user when we are root, ports, CPUs; and what is built there."""
import base64
import hashlib
import hmac
import os
import pwd
import resource
import shutil
import socket
import subprocess
import sys
import tempfile

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(os.path.dirname(BENCH))
PROGRAMS = {"load": ["load.c", "measure.c", "scram.c"], "fwd": ["fwd.c"], "nullpg": ["nullpg.c"]}


def say(text):
    print("#", text, file=sys.stderr, flush=True)


def plain_user():
    """(uid, gid) of the user that PostgreSQL's package made, or None when we are a plain user ourselves."""
    if os.getuid() != 0:
        return None
    entry = pwd.getpwnam("postgres")
    return entry.pw_uid, entry.pw_gid


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def give(path):
    who = plain_user()
    if who:
        os.chown(path, *who)
    return path


def scram_secret(password, rounds=4096):
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, rounds)

    def text(data):
        return base64.b64encode(data).decode()

    def key(label):
        return hmac.new(salted, label, "sha256").digest()
    stored = hashlib.sha256(key(b"Client Key")).digest()
    return f"SCRAM-SHA-256${rounds}:{text(salt)}${text(stored)}:{text(key(b'Server Key'))}"


def build_pgweir():
    """The Release build in build-bench, unless PGWEIR names a binary."""
    if os.environ.get("PGWEIR"):
        return os.environ["PGWEIR"]
    folder = os.path.join(TOP, "build-bench")
    say("building pgweir (Release) in build-bench")
    for words in (["cmake", "-S", TOP, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTESTS=OFF"],
                  ["ninja", "-C", folder, "pgweir"]):
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(done.stdout.decode()[-3000:])
    return os.path.join(folder, "pgweir")


class Place:
    """A private folder with all binaries, peers and keys: a plain user may not see the folder of the checkout."""

    def __init__(self):
        binary = build_pgweir()
        self.home = tempfile.mkdtemp(prefix="pgweir-bench-")
        os.chmod(self.home, 0o755)
        shutil.copytree(os.path.join(BENCH, "peers"), os.path.join(self.home, "peers"))
        os.mkdir(self.path("bin"))
        shutil.copy(binary, self.path("bin", "pgweir"))
        for name, files in PROGRAMS.items():
            subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread", "-o", self.path("bin", name),
                            *(os.path.join(BENCH, "src", each) for each in files), "-lssl", "-lcrypto", "-lm"], check=True)
        self.key, self.cert = give(self._file("key.pem")), give(self._file("cert.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.cert,
                        "-days", "30", "-subj", "/CN=localhost"], check=True, stderr=subprocess.DEVNULL)
        self.secret = scram_secret(b"secret")

    def path(self, *names):
        return os.path.join(self.home, *names)

    def _file(self, name):
        with open(self.path(name), "w") as f:
            os.fchmod(f.fileno(), 0o600)
        return self.path(name)

    def new_folder(self, name):
        """One of that name from before goes away."""
        shutil.rmtree(self.path(name), ignore_errors=True)
        os.makedirs(self.path(name))
        return give(self.path(name))

    def remove(self):
        shutil.rmtree(self.home, ignore_errors=True)
