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
    done = subprocess.run([demo, "--once"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100, env=env,
                          stdin=subprocess.DEVNULL)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    assert len(re.findall(r"^.* queries, .* TPS, p50 .* p99 .* errors [01]\b.*, servers \d+ .* acknowledged", text, re.M)) == 3, text
    assert os.listdir(folder) == []
    os.rmdir(folder)
