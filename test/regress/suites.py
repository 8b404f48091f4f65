# SPDX-License-Identifier: ISC
"""The suites: each runs its tests against a new server and tells, for each test, "ok" or what became of it."""
import os
import re
import subprocess

from harness import place
from servers import start

LINE = re.compile(r"^\s*(?:test )?(\S+)\s+\.\.\. (?:\(test process exited[^)]*\) )?(\w+)", re.M)
TIME_LIMIT = 540


def _run(*words, folder, **kwargs):
    """Its output; it runs as the plain user."""
    done = subprocess.run(place.command(*words), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TIME_LIMIT, **kwargs)
    return done.returncode, done.stdout.decode(errors="replace")


def _pg_regress(program, source, programs, way, out, schedule, *more):
    with start(way, out) as (port, folder):
        _, said = _run(program, f"--inputdir={source}", f"--outputdir={folder}", f"--bindir={programs.psql_folder}",
                       f"--dlpath={programs.regress}", "--host=127.0.0.1", f"--port={port}", "--user=postgres",
                       "--max-concurrent-tests=20", *schedule, *more, folder=folder)
        with open(os.path.join(folder, "output"), "w") as f:
            f.write(said)
        found = LINE.findall(said)
        if not found:
            raise SystemExit(said)
        return dict(found)


def regress(programs, way, out, options):
    program = os.path.join(programs.regress, "pg_regress")
    schedule = options.tests.split(",") if options.tests else [f"--schedule={programs.regress}/parallel_schedule"]
    return _pg_regress(program, programs.regress, programs, way, out, schedule)


SUITES = {"regress": regress}
