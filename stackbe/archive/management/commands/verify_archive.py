"""`manage.py verify_archive`: whether an archive is whole and unchanged, and whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.archive.trusted import trusted_keys
from stackbe.kernel.archives import ArchiveReader, ArchiveRefused


class Command(BaseCommand):
    help = "Check the signature of an archive and the digest of each of its parts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--key", type=Path, help="Keys of the instance that made it, as it serves them; else those of this one."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["file"].open("rb") as file:
                archive = ArchiveReader(file, trusted_keys(options["key"]))
        except OSError as failure:
            raise CommandError(f"{options['file']} cannot be read: {failure.strerror}.") from None
        except ArchiveRefused as refused:
            raise CommandError(str(refused)) from None
        facts = archive.manifest
        self.stdout.write(f"Good: signed by {archive.kid}, made {facts['createdAt']} by {facts['issuer']}.")
        self.stdout.write(f"It is the {facts['kind']} {facts['subjectId']} of {facts['tenantId']}:")
        for name, stated in facts["parts"].items():
            self.stdout.write(f"  {stated['lines']:>9}  {name}")
