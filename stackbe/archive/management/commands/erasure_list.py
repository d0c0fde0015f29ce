"""`manage.py erasure_list`: what was erased, as lines to keep beside the backups."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from stackbe.archive.services.reapply import erasure_list


class Command(BaseCommand):
    help = "Print a line for each erasure that was done: ids and signed receipts, no personal data."

    def handle(self, *args: Any, **options: Any) -> None:
        for line in erasure_list():
            self.stdout.write(line)
