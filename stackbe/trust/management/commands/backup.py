"""`manage.py backup`: an encrypted base backup, now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stackbe.trust.backups.base import back_up
from stackbe.trust.backups.programs import BackupFailed


class Command(BaseCommand):
    """Take a base backup of the whole server into BACKUP_DIR, sealed under the master key."""

    help = "Take an encrypted base backup into BACKUP_DIR. The worker does it every day."

    def handle(self, *args: Any, **options: Any) -> None:
        """Take it and say what was kept."""
        try:
            manifest = back_up()
        except BackupFailed as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write(f"{manifest.name}: {manifest.size:,} bytes, SHA-256 {manifest.sha256}")
