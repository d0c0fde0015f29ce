"""A backup of a real server, with everything in it at one second and nothing after it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import psycopg
import pytest

from stackbe.runner import roles
from stackbe.runner.devdb import Server
from tests import databases
from tests.runner.conftest import reachable_folder
from tests.stack import ROOT

pytestmark = pytest.mark.xdist_group("backups")


class Copy:
    """A server of its own with our schema in it, and the commands that look after its backups."""

    def __init__(self, folder, server):
        self.server = server
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
        self.environment = kept | server.environment() | {
            "STACKBE_ENV": "development",
            "STACKBE_ROLE": "worker",
            "STACKBE_HOME": str(folder),
            "BACKUP_DIR": str(folder / "backups"),
            "DJANGO_SETTINGS_MODULE": "stackbe.settings",
            "LOG_LEVEL": "INFO",
        }  # fmt: skip
        self.backups = folder / "backups"

    def load_schema(self):
        binaries = self.server.programs
        source = databases.template()
        dump = subprocess.run(
            [binaries / "pg_dump", "--no-owner", "--format=plain", "--dbname", self.url_of_tests(source)],
            check=True,
            capture_output=True,
        )
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute("drop schema lookup cascade")
        subprocess.run(
            [binaries / "psql", "--quiet", "--no-psqlrc", "--dbname", self.server.url("postgres")],
            check=True,
            input=dump.stdout,
            stdout=subprocess.DEVNULL,
        )

    @staticmethod
    def url_of_tests(database):
        return re.sub(r"/postgres\?", f"/{database}?", os.environ["STACKBE_TEST_MAINTENANCE_URL"]).replace(
            roles.TEST_ROLE, "postgres"
        )

    def manage(self, *words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "django", *words],
            cwd=ROOT,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, name):
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "insert into accounts_tenant (id, name, created_at) values (gen_random_uuid(), %s, now())", [name]
            )

    def archiver(self):
        return subprocess.Popen(
            [sys.executable, "-m", "django", "archiver"], cwd=ROOT, env=self.environment, stderr=subprocess.DEVNULL
        )


@pytest.fixture(scope="module")
def copy():
    with reachable_folder() as folder:
        server = Server(folder / "postgres", testing=True)
        with server.running():
            made = Copy(folder, server)
            made.load_schema()
            yield made


@pytest.fixture(scope="module")
def kept(copy):
    """A copy with a base backup, one row before a second and one after it, and the WAL of both."""
    archiver = copy.archiver()
    try:
        copy.write("Before the backup")
        said = copy.manage("backup")
        copy.write("Before the second")
        second = datetime.now(UTC)
        time.sleep(0.05)
        copy.write("After the second")
    finally:
        # Its last act is to keep what has come in.
        time.sleep(2)
        archiver.send_signal(signal.SIGTERM)
        archiver.wait(timeout=20)
    return said, second


def test_nothing_in_the_store_is_readable(copy, kept):
    files = [path for path in copy.backups.rglob("*") if path.is_file() and path.parent.name in {"base", "wal"}]

    assert {path.suffix for path in files} == {".sealed", ".json"}
    assert not any(b"Before the" in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_drill_restores_to_a_second_and_finds_the_copy_whole(copy, kept):
    _, second = kept
    said = copy.manage("drill", "--to", second.isoformat())

    assert re.search(r"base-\S+ restored to .* in [\d.]+ s", said)
    with psycopg.connect(copy.server.url("postgres"), autocommit=True) as connection:
        row = connection.execute("select succeeded, detail from trust_backuprun where kind = 'drill'").fetchone()
    assert row[0]
    assert row[1]["faults"] == []
    assert row[1]["erasedAgain"] == 0
    assert row[1]["rows"] > 100
    assert not list(copy.backups.parent.glob("drill-*")), "the scratch server's folder is removed"


def test_a_restored_server_holds_what_was_there_at_that_second_and_no_more(copy, kept):
    _, second = kept
    restored = Server(copy.backups.parent / "restored", testing=True)
    restored.base.mkdir(mode=0o711)
    copy.manage("restore", str(restored.data), "--to", second.isoformat())
    restored.give_to_account(restored.data)
    restored.give_to_account(restored.data.with_name(f"{restored.data.name}-wal"))
    restored.serve_restored()
    try:
        with psycopg.connect(restored.url("postgres"), autocommit=True) as connection:
            while connection.execute("select pg_is_in_recovery()").fetchone()[0]:
                time.sleep(0.1)
            names = {row[0] for row in connection.execute("select name from accounts_tenant")}
    finally:
        restored.stop()

    assert {"Before the backup", "Before the second"} <= names
    assert "After the second" not in names


# Each drill's refusal, from one process: what is wrong in each is found before any server starts.
REFUSED = """
import json, sys
import django
django.setup()
from django.core.management import CommandError, call_command
said = []
for second in sys.argv[1:]:
    try:
        call_command("drill", "--to", second)
    except CommandError as refusal:
        said.append(str(refusal))
print(json.dumps(said))
"""


def test_what_cannot_be_restored_is_refused_with_a_sentence_before_anything_starts(copy, kept):
    path = next((copy.backups / "base").glob("*.sealed"))
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    path.write_bytes(changed)
    try:
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, kept[1].isoformat(), "2020-01-01T00:00:00Z", "yesterday"],
            cwd=ROOT, env=copy.environment, check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        changed, too_early, no_time = json.loads(done.stdout.splitlines()[-1])
    finally:
        path.write_bytes(whole)

    assert "was changed" in changed
    assert "There is no base backup that was finished by" in too_early
    assert "wants a time with its offset" in no_time
    assert not list(copy.backups.parent.glob("drill-*"))


def test_a_manifest_says_what_is_in_the_file(copy, kept):
    manifest = json.loads(next((copy.backups / "base").glob("*.json")).read_text())

    assert manifest["name"] in kept[0]
    assert manifest["sha256"] in kept[0]
    assert manifest["server_version"] >= 180000
