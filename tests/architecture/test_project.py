"""The project as a whole: its top level, its migrations, Django's own checks."""

from __future__ import annotations

import os
import subprocess
import sys

from django.core.management import call_command
from django.test import Client

from tests.databases import ROOT
from tests.kernel.test_settings import SAFE

TOP_LEVEL = {
    "stackbe", "accounts", "billing", "usage", "apikeys", "webhooks", "templates", "manage.py", "requirements.txt",
    "pytest.ini", "Procfile", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs", "tests", "bench",
    "examples",
}  # fmt: skip


def test_the_top_level_is_what_the_owner_fixed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split("/")[0] for line in listed.splitlines()}

    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_models_and_migrations_agree(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_production_settings_pass_djangos_own_checks():
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = inherited | SAFE | {"DJANGO_SETTINGS_MODULE": "stackbe.settings"}
    command = [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "WARNING"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_form_without_its_token_is_refused(db):
    browser = Client(enforce_csrf_checks=True, headers={"host": "localhost:8000"})

    assert browser.post("/login", {"email": "ada@example.com"}).status_code == 403
