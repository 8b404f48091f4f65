# SPDX-License-Identifier: ISC
"""The Debian package: what is in it, that it installs, and that its manuals say what the program says."""
import os
import re
import shutil
import stat
import subprocess

import pytest

from harness import place
from harness.pgweir import binary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = {
    "etc/logrotate.d/pgweir", "etc/pgweir/pgweir.ini", "etc/pgweir/userlist.txt", "usr/bin/pgweir",
    "usr/lib/systemd/system/pgweir.service", "usr/lib/systemd/system/pgweir.socket", "usr/lib/sysusers.d/pgweir.conf",
    "usr/share/doc/pgweir/README.md", "usr/share/doc/pgweir/changelog.gz", "usr/share/doc/pgweir/copyright",
    "usr/share/man/man1/pgweir.1.gz", "usr/share/man/man5/pgweir.ini.5.gz",
    "usr/share/pgweir/sql/auth_query.sql", "usr/share/pgweir/sql/monitor.sql",
}


def run(*words, **kwargs):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, text=True, **kwargs)
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def package():
    """The path of the package, made of the program that is tested."""
    build = os.path.dirname(os.path.abspath(binary()))
    if not os.path.exists(f"{build}/CPackConfig.cmake"):
        pytest.skip("no CMake build folder around the program")
    folder = place.new_folder("package")
    run("cpack", "-G", "DEB", "--config", f"{build}/CPackConfig.cmake", "-B", folder, cwd=build)
    yield next(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".deb"))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def unpacked(package):
    folder = place.new_folder("unpacked")
    run("dpkg-deb", "-x", package, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.deadline(240)
def test_it_holds_what_it_must(unpacked, package):
    found = {os.path.relpath(os.path.join(d, f), unpacked) for d, _, files in os.walk(unpacked) for f in files}
    assert found == FILES
    control = run("dpkg-deb", "-f", package)
    for library in ("libc6", "libev4", "libpq5", "libssl3", "libpg-query", "libc-ares2"):
        assert re.search(rf"^Depends:.*{library}", control, re.M), library
    with open(f"{unpacked}/usr/lib/systemd/system/pgweir.service") as f:
        assert "ExecStart=/usr/bin/pgweir /etc/pgweir/pgweir.ini\n" in f.read()
    with open(f"{ROOT}/etc/pgweir.ini") as a, open(f"{unpacked}/etc/pgweir/pgweir.ini") as b:
        assert a.read() == b.read()
    with open(f"{ROOT}/LICENSE") as a, open(f"{unpacked}/usr/share/doc/pgweir/copyright") as b:
        words = b.read().replace("\n .\n", "\n\n")
        assert all(line.strip() in words for line in a.read().split("\n")[4:])
    for script in ("postinst", "prerm", "postrm"):
        run("sh", "-n", f"{ROOT}/contrib/packaging/{script}")


def test_its_configuration_passes_its_check(unpacked):
    run(f"{unpacked}/usr/bin/pgweir", "--check", f"{unpacked}/etc/pgweir/pgweir.ini")


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("systemd-sysusers"), reason="needs root and systemd-sysusers")
def test_it_installs_and_makes_its_user(package):
    root = place.new_folder("root")
    try:
        for d in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"):
            os.makedirs(f"{root}/{d}")
        for f in ("status", "available"):
            open(f"{root}/var/lib/dpkg/{f}", "w").close()
        dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless"]
        run(*dpkg, "-i", package)
        with open(f"{root}/etc/passwd") as f:
            uid, gid = re.search(r"^pgweir:x:(\d+):(\d+):", f.read(), re.M).groups()
        for name in ("pgweir.ini", "userlist.txt"):
            s = os.stat(f"{root}/etc/pgweir/{name}")
            assert (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)) == (0, int(gid), 0o640)
        with open(f"{root}/etc/pgweir/userlist.txt", "a") as f:
            f.write('"mine" "kept"\n')
        run(*dpkg, "-i", package)
        with open(f"{root}/etc/pgweir/userlist.txt") as f:
            assert '"mine" "kept"' in f.read()
        run(*dpkg, "-r", "pgweir")
        assert not os.path.exists(f"{root}/usr/bin/pgweir") and os.path.exists(f"{root}/etc/pgweir/userlist.txt")
        run(*dpkg, "-P", "pgweir")
        assert not os.path.exists(f"{root}/etc/pgweir/userlist.txt")
    finally:
        shutil.rmtree(root)


def test_the_manuals_render_and_name_every_option(unpacked):
    pages = {}
    for page in ("man1/pgweir.1", "man5/pgweir.ini.5"):
        source = run("gzip", "-dc", f"{unpacked}/usr/share/man/{page}.gz")
        done = subprocess.run(["groff", "-mandoc", "-ww", "-Tascii", "-P-cbou"], input=source, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        pages[page] = re.sub(r"\s+", " ", done.stdout)
    flags = re.findall(r"--([a-z-]+)", run(binary(), "--help"))
    assert flags and all(f"--{flag}" in pages["man1/pgweir.1"] for flag in flags)
    with open(f"{ROOT}/etc/pgweir.ini") as f:
        general, lists = f.read().split("\n[databases]", 1)
    options = re.findall(r"^;([a-z_0-9]+) =", general, re.M) + re.findall(r"^;   ([a-z_0-9]+)=", lists, re.M)
    assert len(options) > 100 and [o for o in options if f" {o} " not in pages["man5/pgweir.ini.5"]] == []
