"""`manage.py reapply_erasures`: bring a restored backup up to the list of erasures, before it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.archive.services.reapply import reapply_erasures
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import MalformedId


class Command(BaseCommand):
    help = "Erase again what the list names and the database still holds. Run it after each restore."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("list", type=Path, help="As erasure_list prints it.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["list"].open(encoding="utf-8") as lines:
                count = reapply_erasures(lines)
        except OSError as failure:
            raise CommandError(f"{options['list']} cannot be read: {failure.strerror}.") from None
        except (ValueError, KeyError, TypeError, MalformedId, ApiError) as wrong:
            raise CommandError(f"The list is damaged ({wrong!r}). Nothing after that line was erased.") from wrong
        self.stdout.write(f"{count} erasures were done again.")
