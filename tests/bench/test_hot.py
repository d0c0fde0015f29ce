"""The benchmark of the hot routes, end to end with the least that it can be asked for: every server answers, every ratio is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--rounds", "1", "--seconds", "0.1", "--tenants", "2", "--customers", "2", "--note", "a test"]
ALWAYS = {"stackbe", "stackbe-unlogged", "plain", "drf", "asyncpg", "asyncpg-kept"}
WITH_NODE = {"better-auth", "better-auth-kept"}


@pytest.mark.slow
def test_one_run_measures_every_server_and_prints_its_ratios(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.hot", *TINY, "--results", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    if "pip could not install" in done.stderr:
        pytest.skip("NOT RUN: the benchmark's packages cannot be installed here")
    assert done.returncode == 0, done.stderr
    [kept] = tmp_path.glob("hot-*.json")
    measured = json.loads(kept.read_text(encoding="utf-8"))
    missing = [line for line in done.stdout.splitlines() if line.startswith("NOT RUN: better-auth: ")]
    assert [f"NOT RUN: {reason}" for reason in measured["about"]["not_run"]] == missing
    assert measured["about"]["note"] == "a test"
    assert servers(measured, "check") == (ALWAYS if missing else ALWAYS | WITH_NODE)
    assert servers(measured, "track") == ALWAYS
    assert all(row["statuses"] == {"200": row["requests"]} for row in measured["rows"])
    printed = ratios(done.stdout)
    assert printed["check", "plain"][0] == "1.00"
    assert printed["track", "drf"][1] == "1.0"
    assert all(float(cpu) > 0 and float(rate) > 0 for cpu, rate, _ in printed.values())
    if missing:
        pytest.skip(missing[0])
    assert printed["check", "better-auth"][2] == "1.0"
    assert float(printed["check", "stackbe"][2]) > 0
    assert printed["track", "stackbe"][2] == ""


def servers(measured: dict, operation: str) -> set[str]:
    """Return the names that were measured at an operation."""
    return {row["server"] for row in measured["rows"] if row["operation"] == operation}


def ratios(printed: str) -> dict[tuple[str, str], list[str]]:
    """Return the last three columns of the printed table, by operation and server."""
    rows = [line.strip("|").split("|") for line in printed.splitlines() if line.startswith(("| check", "| track"))]
    return {(row[0].strip(), row[1].strip()): [cell.strip() for cell in row[-3:]] for row in rows}
