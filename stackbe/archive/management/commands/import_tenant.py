"""`manage.py import_tenant`: a tenant's archive taken in, under this instance's own master key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.archive.management.commands.export_tenant import passphrase_of
from stackbe.archive.services.arriving import take_in
from stackbe.archive.trusted import trusted_keys
from stackbe.kernel.archives import ArchiveReader, ArchiveRefused


class Command(BaseCommand):
    help = "Take in a tenant's archive: its ids, API keys, secrets and history work as before."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--passphrase-file", type=Path, required=True)
        parser.add_argument(
            "--key", type=Path, help="Keys of the instance that made it, as it serves them; else those of this one."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        passphrase = passphrase_of(options["passphrase_file"])
        try:
            with options["file"].open("rb") as file:
                archive = ArchiveReader(file, trusted_keys(options["key"]))
                counts = take_in(archive, passphrase)
        except OSError as failure:
            raise CommandError(f"{options['file']} cannot be read: {failure.strerror}.") from None
        except ArchiveRefused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(f"{archive.manifest['tenantId']} is here: {sum(counts.values())} rows.")
