# SPDX-License-Identifier: ISC
"""The suites: each runs its tests against a new server and tells, for each test, "ok" or what became of it."""
import glob
import os
import re
import shlex
import subprocess

from harness import place
from harness.pgweir import FINDINGS, binary, environment
from servers import kept_folder, lines, start

LINE = re.compile(r"^\s*(?:test )?(\S+)\s+\.\.\. (?:\(test process exited[^)]*\) )?(\w+)", re.M)

# PostgreSQL's modules and tools that have tests, below its source.
MODULES = ["src/pl/plpgsql/src", "src/pl/*", "contrib/*", "src/test/modules/*"]
TOOLS = [f"src/bin/{name}" for name in ("psql", "pgbench", "scripts", "pg_dump", "pg_amcheck")] + ["contrib/*", "src/test/modules/*"]
ASK_MAKE = "tell: ; @$(foreach v,{},$(info $v=$($v)))true"


def _run(*words, folder, limit=1500, **env):
    """How it ended (None: not within LIMIT) and its output; it runs as the plain user. The isolation tester gives up what
    waits for half a minute."""
    process = subprocess.Popen(place.command(*words), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env={**environment(), "PGISOLATIONTIMEOUT": "30", **env})
    with process:
        try:
            said = process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
            return None, process.communicate()[0].decode(errors="replace")
    return process.returncode, said.decode(errors="replace")


def _pg_regress(program, source, programs, server, *more, limit=1500):
    """Tests look for files of their own in SOURCE. What came after the LIMIT has no result of its own."""
    port, folder = server
    status, said = _run(program, f"--inputdir={source}", f"--outputdir={folder}", f"--bindir={programs.bin}",
                        f"--dlpath={programs.regress}", "--host=127.0.0.1", f"--port={port}", "--user=postgres",
                        "--max-concurrent-tests=20", *more, folder=source, limit=limit)
    with open(os.path.join(folder, os.path.basename(program) + ".out"), "w") as f:
        f.write(said)
    found = dict(LINE.findall(said))
    if status is None:
        found["(the rest)"] = "TIMEOUT"
    if not found:
        raise SystemExit(said)
    return found


def _with_room(way):
    """A test of isolation may have ten transactions open at once."""
    return {**way, "default_pool_size": max(16, way["default_pool_size"])} if way else way


def regress(programs, way, out, options):
    schedule = options.tests.split(",") if options.tests else [f"--schedule={programs.regress}/parallel_schedule"]
    with start(way, out) as server:
        return _pg_regress(programs.pg_regress, programs.regress, programs, server, *schedule)


def isolation(programs, way, out, options):
    with start(_with_room(way), out) as server:
        return _pg_regress(programs.pg_isolation_regress, programs.isolation, programs, server,
                           f"--schedule={programs.isolation}/isolation_schedule")


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


def _folders(programs, patterns, options):
    """Those of PATTERNS that the options want, as paths below the source."""
    found = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(programs.top, pattern))) if os.path.isdir(path)]
    names = [os.path.relpath(path, programs.top) for path in dict.fromkeys(found)]
    return [name for name in names if not options.tests or name in options.tests.split(",")]


def _make_says(folder, *names):
    """What a Makefile's variables hold, each as words."""
    said = subprocess.run(["make", "-s", "-C", folder, "--eval", ASK_MAKE.format(" ".join(names)), "tell"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    found = dict(re.findall(r"^(\w+)=(.*)$", said, re.M))
    return [shlex.split(found.get(name, "")) for name in names]


def _settings(words, folder):
    """What a module wants of its server."""
    found = re.search(r"--temp-config[= ](\S+)", " ".join(words))
    return _lines(os.path.join(folder, found.group(1))) if found else ""


def modules(programs, way, out, options):
    """installcheck of each module, also of those that do not offer it because they need a server with settings of their own."""
    results = {}
    for name in _folders(programs, MODULES, options):
        folder = os.path.join(programs.top, name)
        locale, *variables = _make_says(folder, "pg_regress_locale_flags", "REGRESS_OPTS", "REGRESS", "ISOLATION_OPTS", "ISOLATION")
        kinds = [(programs.pg_regress, way), (programs.pg_isolation_regress, _with_room(way))]
        for (program, its_way), words, tests in zip(kinds, variables[::2], variables[1::2]):
            if not tests:
                continue
            where = os.path.join(out, name.replace("/", "-"), os.path.basename(program))
            with start(its_way, where, _settings(words, folder)) as server:
                found = _pg_regress(program, folder, programs, server, *locale, *words, *tests, limit=300)
            results.update({f"{name}: {test}": word for test, word in found.items()})
    return results


def ecpg(programs, way, out, options):
    folder = os.path.join(programs.top, "src/interfaces/ecpg/test")
    locale, words = _make_says(folder, "pg_regress_locale_flags", "REGRESS_OPTS")
    with start(way, out) as server:
        os.symlink(os.path.join(folder, "expected"), os.path.join(server[1], "expected"))
        return _pg_regress(os.path.join(folder, "pg_regress"), folder, programs, server, *locale, *words,
                           "--schedule=ecpg_schedule", "sql/twophase")


def tools(programs, way, out, options):
    """The TAP tests of each tool and module. They start servers of their own, with front/pg_ctl, and end them also on SIGTERM."""
    results = {}
    for name in _folders(programs, TOOLS, options):
        for script in sorted(glob.glob(os.path.join(programs.top, name, "t", "*.pl"))):
            where = os.path.join(out, name.replace("/", "-"), os.path.basename(script))
            results.update({f"{name}/t/{os.path.basename(script)} {test}": word for test, word in _tap(programs, way, where, script)})
    return results


def _tap(programs, way, out, script):
    """The numbers of the tests of SCRIPT, with what became of each; the last is how it ended."""
    with kept_folder(out) as folder:
        module = os.path.dirname(os.path.dirname(script))
        path = [programs.bin, module, os.environ["PATH"]]
        if way:
            path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "front"))
        status, said = _run("perl", "-Msigtrap=die,TERM", "-I", os.path.join(programs.top, "src/test/perl"),
                            "-I", os.path.join(module, "t"), script, folder=module, PATH=":".join(path), TESTDIR=folder,
                            PG_REGRESS=programs.pg_regress, PGPORT="65432", PG_TEST_PORT_DIR=folder, WEIR=binary(), WEIR_HOME=folder,
                            WEIR_WAY=lines(way or {}))
        place.write(os.path.join(folder, "output"), said)
        bad = any(FINDINGS.search(_lines(log)) for log in glob.glob(os.path.join(folder, "*/weir.log")))
    tests = [(number, "FAILED" if no else "ok") for no, number in re.findall(r"^(not )?ok (\d+)", said, re.M)]
    return tests + [("(ended)", "TIMEOUT" if status is None else "FAILED" if status != 0 or bad else "ok")]


SUITES = {"regress": regress, "isolation": isolation, "pipeline": pipeline, "modules": modules, "ecpg": ecpg, "tools": tools}
