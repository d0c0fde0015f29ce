"""The steps of `.ci/run` say what they found, and what they could not look at is never taken for a yes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess

import pytest

from stackbe.runner.venv import LOCKS
from stackbe.trust.lock import read_lock
from tests.databases import ROOT

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
# Put together here, so that this file itself holds none.
STRIPE_KEY = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"


@pytest.fixture
def run(capsys):
    """Run one of the scripts; return its status and what it said."""

    def go(script, *words):
        spec = importlib.util.spec_from_file_location(f"step_{script}", ROOT / ".ci" / f"{script}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main(*words), capsys.readouterr().out

    return go


def put_pip_audit(tmp_path, monkeypatch, answer):
    """Put a pip-audit on the PATH that answers so, and ends as it does where it is not content."""
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\necho 'ERROR: nobody answered' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("vulnerable", "left_out", "answered", "wanted", "said"),
    [
        (False, False, True, 0, "demo.txt: nothing known"),
        (True, False, True, 1, "demo.txt: standardwebhooks 1.0 is vulnerable: PYSEC-0"),
        (True, True, True, 1, "is vulnerable"),
        (False, True, True, 3, "NOT RUN: known vulnerabilities in .requirements/demo.txt (without"),
        (False, False, False, 3, "NOT RUN: known vulnerabilities in .requirements/demo.txt (ERROR: nobody answered)"),
    ],
)
def test_an_audit_is_green_only_where_every_package_was_asked_about(
    run, tmp_path, monkeypatch, vulnerable, left_out, answered, wanted, said
):
    names = [package.name for package in read_lock(LOCKS["demo"])]
    rows = [{"name": name, "version": "1.0", "vulns": []} for name in names]
    rows[0]["vulns"] = [{"id": "PYSEC-0"}] if vulnerable else []
    rows += [{"name": "other", "skip_reason": "not found"}]
    if left_out:
        rows = rows[:1] if vulnerable else rows[1:]
    put_pip_audit(tmp_path, monkeypatch, json.dumps({"dependencies": rows}) if answered else "")

    status, told = run("audit", [LOCKS["demo"]])

    assert (status, said in told) == (wanted, True), told


def git(folder, *words):
    return subprocess.run([*GIT, "-C", folder, *words], check=True, capture_output=True, text=True).stdout


def test_a_secret_that_was_taken_out_again_is_found_in_the_history_and_in_messages(run, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "init", "-q", "clone")
    for content in (f"key = '{STRIPE_KEY}'\n", "key = ''\n"):
        (clone / "settings.py").write_text(content)
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "Set a key")
    status, told = run("history", str(clone))
    git(clone, "commit", "-q", "--allow-empty", "-m", f"Rotate {STRIPE_KEY.replace('4', '5')}")

    assert status == 1
    assert "settings.py: Stripe Access Key" in told
    assert STRIPE_KEY not in told
    assert "the message: Stripe Access Key" in run("history", str(clone))[1]


def test_a_history_that_is_not_all_here_is_not_run(run, tmp_path):
    full = tmp_path / "full"
    git(tmp_path, "init", "-q", "full")
    for number in range(2):
        git(full, "commit", "-q", "--allow-empty", "-m", f"Number {number}")
    git(tmp_path, "clone", "-q", "--depth", "1", full.as_uri(), "shallow")

    assert run("history", str(full)) == (0, "2 different lines in the history, 0 secrets\n")
    assert run("history", str(tmp_path / "shallow")) == (
        3,
        "NOT RUN: secrets in the history, because this clone is shallow (git fetch --unshallow)\n",
    )
    assert run("history", str(tmp_path))[0] == 3


@pytest.fixture
def ci(tmp_path):
    """Run `.ci/run` itself, in a folder that holds nothing else, with what it would install left out."""
    text = (ROOT / ".ci" / "run").read_text()
    for left_out in ("environment", "system_parts", "early_tables"):
        text, found = re.subn(
            rf"^{left_out}\(\) \{{.*?^\}}", f"{left_out}() {{ :; }}", text, flags=re.DOTALL | re.MULTILINE
        )
        assert found == 1
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_text(text)

    def go(*words):
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", script, *words], check=False, capture_output=True, text=True, env=os.environ | {"PATH": path}
        )
        return done.returncode, done.stdout

    return go


def test_a_step_that_could_not_look_fails_the_run_and_is_named(ci, tmp_path):
    seen = []
    for status in (0, 1, 3):
        (tmp_path / ".ci" / "audit.py").write_text(f"raise SystemExit({status})")
        code, told = ci("audit")
        seen.append((code, told.strip().splitlines()[-1]))

    assert seen == [
        (0, "== pip-audit"),
        (1, "FAILED: pip-audit"),
        (1, "NOT RUN, which counts as failure: pip-audit"),
    ]


# Begins before mypy ends, which waits for it, so that this passes only where the two run side by side.
TESTS = """
import pathlib, sys
print("pytest began", flush=True)
pathlib.Path("begun").touch()
print("NOT RUN: chromium", flush=True)
print("1 passed, 1 failed")
sys.exit(1)
"""
PROGRAMS = {
    "mypy": "while [ ! -e begun ]; do sleep 0.02; done; echo mypy complains; exit 1",
    **dict.fromkeys(("ruff", "lint-imports", "djlint", "bandit", "detect-secrets-hook", "git"), "exit 0"),
}


@pytest.mark.parametrize("sound", [True, False])
def test_the_tests_run_beside_the_linters_are_shown_after_them_and_each_failure_counts(ci, tmp_path, sound):
    for name, does in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does.replace('exit 1', 'exit 0') if sound else does}\n")
        program.chmod(0o755)
    (tmp_path / ".ci" / "history.py").write_text("")
    (tmp_path / "manage.py").write_text(TESTS.partition('print("NOT RUN')[0] + "print('2 passed')" if sound else TESTS)

    status, told = ci()

    lines = [line for line in told.splitlines() if line]
    assert lines.index("mypy complains") < lines.index("== tests") < lines.index("pytest began")
    if sound:
        assert (status, lines[-1]) == (0, "2 passed")
    else:
        assert status == 1
        assert lines[-3:] == ["FAILED: mypy,tests", "CI counts as failure: NOT RUN: chromium", "1 passed, 1 failed"]
