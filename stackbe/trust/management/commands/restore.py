"""`manage.py restore`: unpack a backup for a server of your own."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from stackbe.kernel.crypto import SealBroken
from stackbe.trust.backups.drill import folder_of
from stackbe.trust.backups.programs import BackupFailed
from stackbe.trust.backups.restore import restore
from stackbe.trust.backups.store import Store


class Command(BaseCommand):
    """Unpack a base backup and its WAL into folders; needs the master key and no database."""

    help = "Unpack a backup at a chosen second into a data folder. Needs no running database."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where it goes and the second."""
        parser.add_argument("data", help="a folder to make: the server's data")
        parser.add_argument("--to", metavar="TIME", help="ISO 8601 with its offset; the newest state without it")
        parser.add_argument("--from", dest="store", metavar="FOLDER", help="where the backups are, if not BACKUP_DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        """Unpack, and say what is left to do."""
        until = parse_datetime(options["to"]) if options["to"] else None
        if options["to"] and (until is None or is_naive(until)):
            raise CommandError("--to wants a time with its offset, such as 2026-03-01T09:30:00Z")
        data = folder_of(options["data"])
        wal = data.with_name(f"{data.name}-wal")
        try:
            manifest = restore(Store(folder_of(options["store"]) if options["store"] else None), data, wal, until)
        except (BackupFailed, SealBroken) as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write(f"{manifest.name} lies in {data}, its WAL in {wal}.")
        self.stdout.write(f"Give both to PostgreSQL's account, then start it: chown -R postgres {data} {wal}")
        self.stdout.write("It replays to the second that you named, then takes writes. Before it serves anybody:")
        self.stdout.write("  python3 manage.py reapply_erasures FILE   # the list of erasures, docs/data.md")
