"""How a command line finds its environment, its role and its database."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stackbe.runner import devdb, entry, state
from stackbe.runner.state import REPOSITORY, RunnerError


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A copy where nothing is set, and whose server is not really started."""
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "STRIPE_", "STACKBE_")) or name in {
            "SECRET_KEY",
            "BASE_URL",
            "DJANGO_SETTINGS_MODULE",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("STACKBE_HOME", str(tmp_path))
    started = []

    def start():
        started.append("server")
        return {"DATABASE_URL": "of the embedded server"}

    monkeypatch.setattr(devdb, "start", start)
    return started


@pytest.mark.parametrize(
    ("command", "role"),
    [("migrate", "owner"), ("createsuperuser", "owner"), ("worker", "worker"), ("dispatcher", "worker"),
     ("procrastinate", "worker"), ("shell", "web"), ("new_tenant", "web")],
)  # fmt: skip
def test_each_command_runs_as_the_weakest_role_that_can(fresh, command, role):
    assert entry.environment_for(command)["STACKBE_ROLE"] == role


def test_a_role_that_is_asked_for_stays(fresh, monkeypatch):
    monkeypatch.setenv("STACKBE_ROLE", "staff")

    assert "STACKBE_ROLE" not in entry.environment_for("shell")


def test_a_copy_where_nothing_is_set_brings_its_own_database_and_secrets(fresh):
    found = entry.environment_for("shell")

    assert fresh == ["server"]
    assert found["STACKBE_ENV"] == "development"
    assert found["DATABASE_URL"] == "of the embedded server"
    assert found["SECRET_KEY"]


def test_a_command_that_asks_the_database_nothing_starts_none(fresh):
    found = entry.environment_for("collectstatic")

    assert fresh == []
    assert found["DATABASE_URL"].startswith("postgresql://stackbe_web@")


@pytest.mark.parametrize("setting", [{"STACKBE_ENV": "production"}, {"DATABASE_URL": "postgresql://db.example.com/x"}])
def test_a_deployment_gets_nothing_from_us(fresh, monkeypatch, setting):
    for name, value in setting.items():
        monkeypatch.setenv(name, value)

    found = entry.environment_for("migrate")

    assert found == {"DJANGO_SETTINGS_MODULE": "stackbe.settings", "STACKBE_ROLE": "owner"}
    assert fresh == []


def test_development_on_a_database_of_ones_own_keeps_it(fresh, monkeypatch):
    monkeypatch.setenv("STACKBE_ENV", "development")
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/x")

    found = entry.environment_for("shell")

    assert found["SECRET_KEY"]
    assert "DATABASE_URL" not in found
    assert fresh == []


def test_the_demonstration_client_learns_addresses_and_no_secret(fresh, tmp_path):
    state.development_environment(tmp_path, port=8100)

    assert entry.client_environment("demo") == {
        "BASE_URL": "http://localhost:8100",
        "STRIPE_API_BASE": "http://127.0.0.1:8101",
        "STRIPE_CONNECT_BASE": "http://127.0.0.1:8101",
    }


def test_what_a_person_can_mend_is_said_without_a_traceback(monkeypatch, capsys):
    def fail(argv):
        raise RunnerError("Port 8000 is taken.")

    monkeypatch.setattr(entry, "_run", fail)

    assert entry.run(["manage.py", "up"]) == 1
    assert capsys.readouterr().err == "Port 8000 is taken.\n"


def test_nothing_before_the_virtual_environment_needs_a_package():
    modules = "import stackbe.runner.entry, stackbe.runner.state, stackbe.runner.venv"

    done = subprocess.run(
        [sys.executable, "-S", "-c", modules], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_help_names_our_own_commands_before_the_frameworks(fresh, capfd):
    entry.run(["manage.py", "help"])

    shown = capfd.readouterr().out
    for command in (*entry.OWN_COMMANDS, "new_tenant", "staff_link"):
        assert f"    {command} " in shown
    assert shown.index("new_tenant") < shown.index("migrate")
