"""`manage.py sbom`: the bill of materials of what a running copy is made of."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from stackbe.trust.lock import bill_of_materials


class Command(BaseCommand):
    """Print it; `/security/sbom.json` serves the same."""

    help = "Print the bill of materials (CycloneDX 1.6, JSON) of the packages that the lock names."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the document."""
        self.stdout.write(json.dumps(bill_of_materials(), indent=2))
