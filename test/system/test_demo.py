# SPDX-License-Identifier: ISC
"""contrib/demo, made short, finds everything in order and leaves nothing behind."""
import os
import re
import subprocess

from harness import place
from harness.pgweir import binary, environment


def test_the_demo_runs_is_in_order_and_cleans_up():
    folder = place.new_folder("demo")
    demo = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "demo")
    env = {**environment(), "PGWEIR": binary(), "DEMO_SECONDS": "1", "TMPDIR": folder}
    done = subprocess.run([demo, "--once"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150, env=env,
                          stdin=subprocess.DEVNULL)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    runs = re.findall(r"^.* queries, .* TPS, p50 .* p99 .* errors [01]\b(.*), stale reads 0 of \d.* acknowledged .* lost 0$", text, re.M)
    shows = [r"servers \d+ ", r"servers \d+ ", r"servers \d+ ", r"reads pg1 .* pg2 .* pg3 ", r"no read on pg3 \d+ ms after the pause, ",
             r"without a write \d+ ms, without a read \d+ ms, connections lost 0 "]
    assert len(runs) == len(shows) and all(map(re.search, shows, runs)), text
    assert sum(map(int, re.findall(r"stale reads 0 of (\d+)", text))) > 0, text
    assert "pg1 is back as a replica" in text
    assert os.listdir(folder) == []
    os.rmdir(folder)
