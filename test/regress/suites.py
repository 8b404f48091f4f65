# SPDX-License-Identifier: ISC
"""The suites: each runs its tests against a new server and tells, for each test, "ok" or what became of it."""
import os
import re
import subprocess

from harness import place
from servers import start

LINE = re.compile(r"^\s*(?:test )?(\S+)\s+\.\.\. (?:\(test process exited[^)]*\) )?(\w+)", re.M)


def _run(*words, folder, limit=1500):
    """How it ended (None: not within LIMIT) and its output; it runs as the plain user. The isolation tester gives up what
    waits for half a minute."""
    process = subprocess.Popen(place.command(*words), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env={**os.environ, "PGISOLATIONTIMEOUT": "30"})
    with process:
        try:
            said = process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return None, process.communicate()[0].decode(errors="replace")
    return process.returncode, said.decode(errors="replace")


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


def isolation(programs, way, out, options):
    """A permutation may have ten transactions open at once."""
    program = os.path.join(programs.isolation, "pg_isolation_regress")
    way = {**way, "default_pool_size": max(16, way["default_pool_size"])} if way else way
    return _pg_regress(program, programs.isolation, programs, way, out, [f"--schedule={programs.isolation}/isolation_schedule"])


def pipeline(programs, way, out, options):
    """Each test of libpq_pipeline, as PostgreSQL's 001_libpq_pipeline.pl runs it, and what went over the wire where
    PostgreSQL says what that should be."""
    traces, results = os.path.join(os.path.dirname(programs.pipeline), "traces"), {}
    with start(way, out) as (port, folder):
        for name in _run(programs.pipeline, "tests", folder=folder)[1].split():
            wanted, trace = os.path.join(traces, name + ".trace"), os.path.join(folder, name + ".trace")
            traced = ["-t", trace] if os.path.exists(wanted) else []
            status, said = _run(programs.pipeline, "-r", "700", *traced, name,
                                f"host=127.0.0.1 port={port} user=postgres dbname=postgres", folder=folder, limit=60)
            place.write(os.path.join(folder, name + ".out"), said)
            results[name] = {0: "ok", None: "TIMEOUT"}.get(status, "FAILED")
            if traced:
                results[name + " (trace)"] = "ok" if _lines(trace) == _lines(wanted) else "FAILED"
    return results


def _lines(path):
    with open(path, errors="replace") as f:
        return f.read()


SUITES = {"regress": regress, "isolation": isolation, "pipeline": pipeline}
