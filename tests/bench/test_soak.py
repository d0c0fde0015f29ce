"""The soak test: seconds of it here, and `STACKBE_SOAK_MINUTES` (60) in the full run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.soak import BOUNDS, Soak

ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("STACKBE_SOAK_MINUTES", "60")


def slice_of(**more):
    told = {"p99_ms": 9.0, "statuses": {"200": 990, "201": 10}, "wal_before": 0.0, "wal": 1e4}
    told |= {"oldest_job": 0.0, "oldest_event": 0.0, "memory": {"web": 90.0}, "fixed": {"usage_counter": 1 << 21}}
    return told | more


def passed(*slices, **more):
    """Return which bounds a run passes."""
    calm = {"p99_ms": 9.0, "statuses": {"200": 100, "503": 900}}
    soak = Soak(list(slices) or [slice_of() for _ in range(20)], **({"flood": calm, "after": calm} | more))
    return [name for name, value in soak.figures().items() if value > BOUNDS[name]]


def test_each_bound_is_passed_by_what_it_bounds():
    grown = [slice_of(memory={"web": 90.0 + number}) for number in range(20)]
    slow = {"p99_ms": 5000.0, "statuses": {"200": 1, "500": 1}}

    assert passed() == []
    assert passed(*[slice_of(p99_ms=300.0)] * 20) == [next(iter(BOUNDS))]
    assert passed(slice_of(statuses={"200": 9, "500": 1})) == list(BOUNDS)[1:3]
    assert passed(slice_of(oldest_job=31.0, oldest_event=31.0, wal=1e9)) == [*list(BOUNDS)[3:5], list(BOUNDS)[6]]
    assert passed(*grown) == [list(BOUNDS)[5]]
    assert passed(slice_of(), slice_of(fixed={"usage_counter": 1 << 24})) == [list(BOUNDS)[7]]
    assert passed(flood=slow, after=slow, lost=1) == list(BOUNDS)[8:]


@pytest.mark.parametrize(
    ("minutes", "flood", "patience"),
    [("0.05", "2", "20"), pytest.param(LONG, "20", "10", marks=pytest.mark.slow)],
    ids=["short", "long"],
)
def test_a_deployment_holds(tmp_path, minutes, flood, patience):
    command = [sys.executable, "-m", "bench.soak", "--minutes", minutes, "--flood", flood, "--rate", "100"]
    command += ["--results", str(tmp_path), "--note", "a test", "--patience", patience]  # other tests run beside it

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    [kept] = tmp_path.glob("soak-*.json")
    assert json.loads(kept.read_text(encoding="utf-8"))["about"]["found"].keys() == BOUNDS.keys()
