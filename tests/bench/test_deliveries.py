"""The benchmark of the dispatcher, in small: it runs, loses nothing and keeps what it measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.databases import ROOT

pytestmark = pytest.mark.slow


def test_a_small_run_drains_its_queue_and_keeps_the_figures(tmp_path):
    sizes = ["--events", "100", "--seconds", "2", "--backlog", "2000", "--dispatchers", "1", "--results", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, "-m", "bench.deliveries", *sizes], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "drain of a filled queue" in done.stdout
    [kept] = tmp_path.glob("deliveries-*.json")
    found = json.loads(kept.read_text())
    assert found["drain"]["deliveries"] == found["drain"]["attempts"] == 1000
    assert found["drain"]["not_delivered"] == 0
    assert found["latency"]["events"] == 100
