"""What `new_tenant` prints, for a script and for a shell."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from stackbe.trust.management.commands import new_tenant

SHOWN = {"baseUrl": "http://localhost:8000", "apiKey": "sbk_x $HOME'", "appId": "app_1", "publishableKey": "sbk_pub"}


@pytest.fixture(autouse=True)
def founded(monkeypatch):
    monkeypatch.setattr(new_tenant, "found", lambda name, owner: SimpleNamespace(as_json=lambda: SHOWN))


def test_a_script_gets_one_line_of_json(capsys):
    call_command("new_tenant", "--json")

    assert json.loads(capsys.readouterr().out) == SHOWN


def test_a_shell_gets_the_variables_of_the_guides(capsys):
    call_command("new_tenant", "--env")

    asked = capsys.readouterr().out + 'printf "%s|%s|%s" "$STACKBE_URL" "$STACKBE_KEY" "$STACKBE_APP"'
    told = subprocess.run(["sh", "-eu", "-c", asked], capture_output=True, text=True, check=True).stdout
    assert told == "http://localhost:8000|sbk_x $HOME'|app_1"


def test_production_makes_none(settings, capsys):
    settings.PRODUCTION = True

    with pytest.raises(CommandError, match="Sign up at /signup"):
        call_command("new_tenant", "--env")
