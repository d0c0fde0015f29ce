"""No hot statement reads a large table from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.explained import read

ROOT = Path(__file__).resolve().parents[2]


def notice(node: str) -> str:
    return 'duration: 0.1 ms  plan:\n{"Plan": {"Node Type": "Result", "Plans": [' + node + "]}}"


def test_a_large_table_that_is_read_whole_is_told_and_a_small_one_is_not():
    large = {"usage_counter": 20_000, "usage_metric": 3}
    plans = [
        notice('{"Node Type": "Seq Scan", "Relation Name": "usage_metric"}'),
        notice('{"Node Type": "Index Scan", "Relation Name": "usage_counter", "Index Name": "one_counter"}'),
        "something else",
    ]

    assert read(plans, large, 1000) == {"statements": 2, "indexes": ["one_counter"], "read_whole": []}
    plans.append(notice('{"Node Type": "Seq Scan", "Relation Name": "usage_counter"}'))
    assert read(plans, large, 1000)["read_whole"] == [("usage_counter", 20_000)]


@pytest.mark.slow
def test_every_hot_route_finds_its_rows_by_an_index():
    command = [sys.executable, "-m", "bench.plans", "--rows", "20000"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "| track |" in done.stdout
