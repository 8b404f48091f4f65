# SPDX-License-Identifier: ISC
"""Tables, and the budgets that pgweir has to keep."""
import statistics

# case: (floor, pgweir must, aims at). Where the floor has a figure, what counts is the ratio to the floor of the same run:
# absolute figures drift with the machine. For SCRAM and TLS the floor is that of the same case in plain.
BUDGETS = {
    "simple": (9.4, 11.5, 10.2), "extended": (9.5, 11.8, 10.4), "prepared": (9.3, 12.0, 10.6),
    "pipe": (0.66, 1.0, 0.8), "pipep": (0.62, 1.6, 1.0), "tls": (9.4, 14.5, 13.0),
    "rows10k": (1184, 1600, 1300), "rows1m": (338, 480, 380), "copy": (217, 400, 280),
    "storm": (46, 55, 50), "storm_scram": (46, 66, 60),
    "idle_kib": (None, 1.0, 0.6), "idle_cpu": (None, 0.1, 0.0), "syscalls": (None, 4.6, 4.2), "callgrind": (None, 3500, 2200),
}


def budget(case):
    """(must, aim): as ratios to the floor where there is one, else absolute."""
    if case not in BUDGETS:
        return "", ""
    floor, must, aim = BUDGETS[case]
    return (must / floor, aim / floor) if floor else (float(must), float(aim))


def cell(x):
    if isinstance(x, float):
        return f"{x:.2f}" if abs(x) < 100 else f"{x:.0f}"
    return str(x)


def table(title, head, rows, out=None):
    rows = [[cell(x) for x in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [f"### {title}", ""]
    for row in [head, ["-" * w for w in widths], *rows]:
        lines.append("| " + " | ".join(text.ljust(w) for text, w in zip(row, widths)) + " |")
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if out:
        with open(out, "a") as f:
            f.write(text + "\n")


def median(runs, key):
    return float(statistics.median(run[key] for run in runs)) if runs else "n/a"


def least(runs, key):
    return float(min(run[key] for run in runs)) if runs else "n/a"


def most(runs, key):
    return float(max(run[key] for run in runs)) if runs else "n/a"


def ratio(value, reference):
    return value / reference if isinstance(value, float) and isinstance(reference, float) and reference > 0 else ""
