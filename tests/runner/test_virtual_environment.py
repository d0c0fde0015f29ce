"""The virtual environment: made when missing, refilled when a lock changes, explained when it cannot be."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import SimpleNamespace

import pytest

from stackbe.runner import venv
from stackbe.runner.state import REPOSITORY, RunnerError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A `.venv` that is not the one the tests run in, filled from locks that hold nothing."""
    monkeypatch.setattr(venv, "REPOSITORY", tmp_path)
    monkeypatch.setattr(venv, "FOLDER", tmp_path / ".venv")
    monkeypatch.setattr(venv, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(venv, "LOCKS", {"runtime": tmp_path / "requirements.txt"})
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    return tmp_path


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_missing_module_gets_the_apt_line(elsewhere, monkeypatch, missing):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else real(name))

    with pytest.raises(RunnerError, match=rf"sudo apt-get install python3\.{sys.version_info.minor}-venv"):
        venv.ensure()

    assert not (elsewhere / ".venv").exists()


def test_a_read_only_clone_gets_a_sentence(elsewhere, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)

    with pytest.raises(RunnerError, match=r"cannot be written \(Read-only file system\)"):
        venv.ensure()


@pytest.mark.slow
def test_it_is_made_once_and_refilled_when_the_lock_changes(elsewhere, capfd):
    venv.ensure()
    assert "Installing requirements.txt: 0 packages" in capfd.readouterr().err

    venv.ensure()
    assert capfd.readouterr().err == ""

    (elsewhere / "requirements.txt").write_text("# changed\n")
    venv.ensure()
    assert "Making" not in capfd.readouterr().err


def test_an_environment_of_another_user_gets_a_sentence(elsewhere, monkeypatch):
    def refuse(path, **how):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.exists", refuse)

    with pytest.raises(RunnerError, match="made by another user"):
        venv.ensure()


def test_a_package_whose_hash_differs_is_not_installed(elsewhere, monkeypatch):
    # The tests' own pip is asked: to make an environment first takes as long as twenty tests do.
    monkeypatch.setattr(venv, "PYTHON", sys.executable)
    monkeypatch.setattr(venv, "_is_installed", lambda _: False)
    monkeypatch.setattr(venv, "_works", lambda: True)
    wheel = elsewhere / "nothing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(elsewhere))
    (elsewhere / "requirements.txt").write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(RunnerError, match=r"(?s)could not install requirements\.txt.*DO NOT MATCH THE HASHES"):
        venv.ensure()


@pytest.mark.parametrize("lock", list(venv.LOCKS.values()), ids=str)
def test_every_locked_package_has_hashes_and_no_address(lock):
    text = lock.read_text(encoding="utf-8")

    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host", text)
    for entry in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert "==" in entry.split("\n", 1)[0], entry
        assert "--hash=sha256:" in entry, entry


def test_the_locks_agree_with_each_other():
    found = {}
    for lock in venv.LOCKS.values():
        # A package that only some Pythons get may come in two versions, so lines with a marker are no contradiction.
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)

    assert found["django"]
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}


def test_a_deployment_with_packages_of_its_own_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(venv, "FOLDER", tmp_path / ".venv")
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/x")
    assert venv.deployed()

    monkeypatch.delenv("DATABASE_URL")
    assert not venv.deployed()


def test_nothing_is_installed_where_the_platform_made_an_environment_of_the_same_name(elsewhere, monkeypatch):
    (elsewhere / ".venv").mkdir()
    monkeypatch.setattr(sys, "prefix", str(elsewhere / ".venv"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/x")

    assert venv.deployed()


def test_a_command_outside_is_run_again_inside(monkeypatch):
    calls = []
    monkeypatch.setattr(venv, "inside", lambda: False)
    monkeypatch.setattr(venv, "os", SimpleNamespace(execv=lambda *call: calls.append(call)))

    venv.enter(["manage.py", "new_tenant", "--json"])

    python = str(REPOSITORY / ".venv" / "bin" / "python")
    assert [(str(call[0]), call[1]) for call in calls] == [(python, [python, "manage.py", "new_tenant", "--json"])]
