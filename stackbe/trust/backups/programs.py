"""PostgreSQL's own programs: the ones of the embedded server, or those in PG_BIN_DIR for another major version."""

from __future__ import annotations

import subprocess
from pathlib import Path

from django.conf import settings

from stackbe.runner import devdb


class BackupFailed(Exception):
    """A backup, restore or drill that did not come to its end; its text says why and what to do."""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    if settings.PG_BIN_DIR:
        return str(Path(settings.PG_BIN_DIR) / name)
    return str(devdb.server().programs / name)


def replication_url() -> str:
    """Return the URL that copies the server, or say that there is none."""
    if not settings.DATABASE_BACKUP_URL:
        raise BackupFailed(
            "DATABASE_BACKUP_URL is not set. Name the server as stackbe_backup, a role that may replicate "
            "(`manage.py roles` makes it when the variable is set), or use your provider's backups."
        )
    return str(settings.DATABASE_BACKUP_URL)


def run(name: str, *arguments: str) -> str:
    """Run a program to its end and return what it printed. Raises `BackupFailed` with its last words."""
    done = subprocess.run([program(name), *arguments], check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise BackupFailed(f"{name} failed ({done.returncode}): {done.stderr.strip()[-1000:]}")
    return done.stdout
