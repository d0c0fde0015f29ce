"""`manage.py drill`: prove that the backups can be restored."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from stackbe.kernel.crypto import SealBroken
from stackbe.trust.backups.drill import drill
from stackbe.trust.backups.programs import BackupFailed


class Command(BaseCommand):
    """Restore the newest backup to a second beside the running database, check it, remove it."""

    help = "Restore the newest backup to a chosen second into a scratch server, and check what is in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the second."""
        parser.add_argument("--to", metavar="TIME", help="ISO 8601 with its offset, such as 2026-03-01T09:30:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was found; a fault is exit status 1."""
        until = None
        if options["to"]:
            until = parse_datetime(options["to"])
            if until is None or is_naive(until):
                raise CommandError("--to wants a time with its offset, such as 2026-03-01T09:30:00Z")
        try:
            found = drill(until, database=str(connection.settings_dict["NAME"]))
        except (BackupFailed, SealBroken) as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write(f"{found.backup} restored to {found.restored_to} in {found.seconds:.1f} s")
        rows, tables = sum(found.tables.values()), len(found.tables)
        self.stdout.write(f"{rows:,} rows in {tables} tables, {found.audit_rows:,} audit rows chained")
        for fault in found.faults:
            self.stderr.write(fault)
        if found.faults:
            sys.exit(1)
