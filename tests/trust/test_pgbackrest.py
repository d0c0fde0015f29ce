"""The configuration for pgBackRest that we hand out, on a real server: backed up encrypted, restored to a second.

It runs where pgBackRest is installed in a release that knows this PostgreSQL: `manage.py test -m slow tests/trust/test_pgbackrest.py`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from datetime import UTC, datetime

import psycopg
import pytest

from stackbe.runner.devdb import Server
from tests.databases import ROOT
from tests.runner.conftest import reachable_folder

# The first release that reads PostgreSQL 18.
OLDEST = (2, 56)


def installed():
    program = shutil.which("pgbackrest")
    said = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout if program else ""
    return tuple(map(int, re.findall(r"\d+", said)[:2])) if said else (0, 0)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("backups"),
    pytest.mark.skipif(installed() < OLDEST, reason="no pgBackRest that knows this PostgreSQL is installed here"),
]


class Site:
    """A server, and pgBackRest set up as docs/backups.md says, with paths of this test in the place of its own."""

    def __init__(self, folder):
        self.folder, self.server = folder, Server(folder / "postgres", testing=True)
        self.repository, self.configuration = folder / "repository", folder / "pgbackrest.conf"

    def set_up(self):
        text = (ROOT / ".deploy" / "pgbackrest.conf").read_text()
        for named, here in (
            ("/var/lib/pgbackrest", self.repository),
            ("/var/lib/postgresql/18/main", self.server.data),
            ("/var/run/postgresql", self.server.sockets),
        ):
            assert text.count(f"={named}\n") == 1
            text = text.replace(f"={named}\n", f"={here}\n")
        secret = self.folder / "conf.d" / "secret.conf"
        for made in (self.repository, secret.parent):
            made.mkdir()
        # Its locks lie in a folder of the system's otherwise, which the package makes.
        self.configuration.write_text(text.replace("\n[global]\n", f"\n[global]\nlock-path={secret.parent}\n", 1))
        secret.write_text("[global]\nrepo1-cipher-pass=of-the-tests-alone\n")
        for path in (self.repository, secret.parent):
            self.server.give_to_account(path)
        (archiving,) = re.findall(
            r"^archive_command = '(.*)'$", (ROOT / "docs" / "backups.md").read_text(), re.MULTILINE
        )
        with self.connected() as connection:
            # Our server is told this where it is started; a restored one reads it in its files, and refuses less.
            connection.execute("alter system set max_connections = 200")
            connection.execute("alter system set archive_mode = on")
            pushed = archiving.replace("pgbackrest ", f"{shutil.which('pgbackrest')} {self.paths} ", 1)
            connection.execute(f"alter system set archive_command = '{pushed}'")
        self.server.stop()
        self.server.start()

    @property
    def paths(self):
        return f"--config={self.configuration} --config-include-path={self.folder}/conf.d"

    def connected(self):
        return psycopg.connect(self.server.url("postgres"), autocommit=True)

    def run(self, *words):
        command = [shutil.which("pgbackrest"), *self.paths.split(), "--stanza=stackbe", *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", **self.server._as_account)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, name):
        with self.connected() as connection:
            connection.execute("create table if not exists note (name text)")
            connection.execute("insert into note values (%s)", [name])
            connection.execute("select pg_switch_wal()")


def test_a_server_is_backed_up_encrypted_and_restored_to_a_second():
    with reachable_folder() as folder:
        site = Site(folder)
        site.server.give_to_account(folder)
        folder.chmod(0o711)
        with site.server.running():
            site.set_up()
            site.run("stanza-create")
            site.run("check")
            site.write("Before the backup")
            site.run("--type=full", "backup")
            site.write("Before the second")
            time.sleep(1.1)  # a backup's end is known by its whole second
            second = datetime.now(UTC)
            time.sleep(0.05)
            site.write("After the second")
            site.run("check")
            told = site.run("info")
        restored = Server(folder / "restored", testing=True)
        restored.base.mkdir(mode=0o711)
        restored._own_folder(restored.data)

        words = (f"--pg1-path={restored.data}", "--type=time", f"--target={second:%Y-%m-%d %H:%M:%S.%f+00}")
        site.run(*words, "--target-action=promote", "restore")
        restored.serve_restored()
        try:
            with psycopg.connect(restored.url("postgres"), autocommit=True) as connection:
                while connection.execute("select pg_is_in_recovery()").fetchone()[0]:
                    time.sleep(0.1)
                names = [row[0] for row in connection.execute("select name from note order by name")]
        finally:
            restored.stop()

        assert names == ["Before the backup", "Before the second"]
        assert "cipher: aes-256-cbc" in told
        files = [path for path in site.repository.rglob("*") if path.is_file()]
        assert len(files) > 5
        assert not [path for path in files if not path.read_bytes().startswith(b"Salted__")], "all of it is encrypted"
