# SPDX-License-Identifier: ISC
"""Cases against the stand-in for PostgreSQL: what a query, a megabyte, a connection costs the proxy."""
from .peers import DIRECT, FLOOR, Field
from .report import budget, least, median, most, ratio, table

HEAD = ["peer", "CPU us/{}", "median", "ratio to floor", "must", "aim", "a second, best", "median", "p50 us", "p99 us", "trouble"]


def compare(bench, case, title, words, floor_words=None, unit="query", per=1.0, **how):
    """One table: minimum and median over the rounds of the CPU per UNIT (PER of them in each query)."""
    with Field(bench, bench.options.peers, **how) as field:
        results, faults = field.rounds(words, floor_words)
    must, aim = budget(case)
    scaled = {name: [{**run, "cpu_proxy": run.get("cpu_proxy", 0) / per, "rate": run["qps"] * per} for run in runs]
              for name, runs in results.items()}
    floor = least(scaled.get(FLOOR, []), "cpu_proxy")
    rows = []
    for name in bench.options.peers:
        runs = scaled.get(name, [])
        cpu = [least(runs, "cpu_proxy"), median(runs, "cpu_proxy")] if name != DIRECT else ["", ""]
        own = (must, aim) if name == "pgweir" else ("", "")
        rows.append([name, *cpu, ratio(cpu[0], floor), *own, most(runs, "rate"), median(runs, "rate"), median(runs, "p50"),
                     median(runs, "p99"), faults.get(name, "" if runs else "not started")[:60]])
    table(title, [word.format(unit) for word in HEAD], rows, bench.options.out)


def queries(bench, *more, clients=32, warm=3000):
    return ["-c", clients, "-w", warm, "-s", bench.options.seconds, *more]


def simple(bench):
    compare(bench, "simple", "simple query, 32 clients, 8 servers", queries(bench))


def extended(bench):
    compare(bench, "extended", "unnamed extended query (P/B/D/E/S)", queries(bench, "-m", "extended"))


def prepared(bench):
    compare(bench, "prepared", "named prepared query (B/D/E/S), 8 statements for each client", queries(bench, "-m", "prepared"))


def pipe(bench):
    compare(bench, "pipe", "16 pipelined extended queries, Sync after each", queries(bench, "-m", "extended", "-D", 16, warm=6000))


def pipe1(bench):
    compare(bench, "pipe1", "16 pipelined extended queries, one Sync", queries(bench, "-m", "extended", "-D", 16, "-y", warm=6000))


def pipep(bench):
    compare(bench, "pipep", "16 pipelined named prepared queries", queries(bench, "-m", "prepared", "-D", 16, warm=6000))


def tls(bench):
    compare(bench, "tls", "simple query over client TLS (floor: without)", queries(bench, "-T"), queries(bench), tls=True)


def latency(bench):
    compare(bench, "latency", "one client", queries(bench, clients=1, warm=300))
    compare(bench, "latency", "2,000 queries/s in an open loop over 32 clients", queries(bench, "-R", 2000, warm=0))


def rows10k(bench):
    compare(bench, "rows10k", "10 kB results (100 rows), 16 clients", queries(bench, "-q", "SELECT rows_100_100", clients=16, warm=500),
            unit="MB", per=(100 * 111 + 60) / 1e6)


def rows1m(bench):
    compare(bench, "rows1m", "1 MB results (10,000 rows), 8 clients",
            queries(bench, "-q", "SELECT rows_10000_100", clients=8, warm=50), unit="MB", per=1.11)


def row1mb(bench):
    compare(bench, "row1mb", "1 MB results in one row, 8 clients",
            queries(bench, "-q", "SELECT rows_1_1000000", clients=8, warm=50), unit="MB")


def copy(bench):
    compare(bench, "copy", "COPY FROM STDIN, 1 MB in messages of 8 kB, 8 clients",
            queries(bench, "-m", "copy", "-q", "COPY t FROM STDIN", "-B", 1000000, clients=8, warm=50), unit="MB")


def storm_words(n, *more):
    return ["-K", "-x", "-c", 16, "-n", n, "-a", 20, *more]


def storm(bench):
    compare(bench, "storm", "connect, one query, close; 16 at once", storm_words(3000), unit="connection")


def storm_scram(bench):
    compare(bench, "storm_scram", "connect with SCRAM-SHA-256, one query, close (floor: without)", storm_words(3000, "-W", "secret"),
            storm_words(3000), unit="connection", auth="scram")


def storm_tls(bench):
    compare(bench, "storm_tls", "connect with TLS 1.3, full handshake, one query, close (floor: without)", storm_words(1500, "-T"),
            storm_words(1500), unit="connection", tls=True)


CASES = {each.__name__: each for each in (simple, extended, prepared, pipe, pipe1, pipep, tls, latency, rows10k, rows1m, row1mb, copy,
                                          storm, storm_scram, storm_tls)}
