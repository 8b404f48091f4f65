# SPDX-License-Identifier: ISC
"""System tests: pgweir between real drivers and a real PostgreSQL."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness.fixtures import *  # noqa: E402,F401,F403
