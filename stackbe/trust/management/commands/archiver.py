"""`manage.py archiver`: receive the database's WAL and keep it sealed, for restores to any second."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from stackbe.trust.backups.programs import BackupFailed
from stackbe.trust.backups.wal import archive

log = logging.getLogger("stackbe.backups")


class Command(BaseCommand):
    """Receive WAL until a signal comes; whoever started us starts us again when the database goes away."""

    help = "Receive the database's WAL into BACKUP_DIR, sealed, every ten seconds. Runs until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        log.info("archiver starts")
        try:
            archive(settings.BACKUP_DIR / "spool", stopping)
        except BackupFailed as failed:
            raise CommandError(str(failed)) from failed
        log.info("archiver has stopped")
