"""`manage.py test`: what it calls, and what stands last."""

from __future__ import annotations

import sys

from stackbe.runner import suite


def test_the_closing_line_of_pytest_is_held_back_for_the_end(capfd):
    script = "print('collected 2'); print('.. [100%]'); print('2 passed in 0.01s'); raise SystemExit(5)"

    status, closing = suite.relay([sys.executable, "-c", script])

    assert (status, closing) == (5, "2 passed in 0.01s")
    assert capfd.readouterr().out == "collected 2\n.. [100%]\n"


def test_the_tests_are_told_no_database_of_ours(capfd, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/production")

    _, closing = suite.relay([sys.executable, "-c", "import os; print([n for n in os.environ if 'DATABASE_U' in n])"])

    assert closing == "[]"


def test_it_runs_on_two_processes_unless_told_otherwise():
    assert suite.pytest_command([], full=False)[3:7] == ["-n", "3", "--dist", "loadgroup"]
    assert "--dist" not in suite.pytest_command(["-n0", "tests/runner"], full=False)


def test_slow_tests_run_when_asked_for():
    assert "not slow" in suite.pytest_command([], full=False)
    assert "not slow" not in suite.pytest_command([], full=True)


def test_a_part_that_the_machine_lacks_is_named(monkeypatch):
    monkeypatch.setattr(suite.shutil, "which", lambda program: None if "chrom" in program else f"/usr/bin/{program}")

    assert suite.missing_parts() == ["chromium (browser tests)"]
