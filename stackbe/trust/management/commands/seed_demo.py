"""`manage.py seed_demo`: the demo tenant of a first start, made once."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from stackbe.trust.founding import found
from stackbe.trust.seeding import fill

OWNER = "founder@example.com"


class Command(BaseCommand):
    """Make the demo tenant unless the database holds a tenant already."""

    help = "Make the demo tenant once (development only); prints lines of JSON for `manage.py up`."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print where to click and what to try."""
        if settings.PRODUCTION:
            raise CommandError("seed_demo is for development.")
        with connection.cursor() as cursor:
            cursor.execute("select exists (select from lookup.tenants())")
            seeded = bool(cursor.fetchone()[0])
        if not seeded:
            founded = found("Orbit Labs", OWNER)
            customer = fill(founded)
            self._say("api_key", founded.api_key)
            self._say("curl", self._curl(founded.api_key, customer))
        self._say("dashboard", f"{settings.BASE_URL}/login (sign in as {OWNER})")
        self._say("inbox", f"{settings.BASE_URL}/dev/inbox")
        self._say("api", f"{settings.BASE_URL}/docs/api")

    def _say(self, label: str, value: str) -> None:
        self.stdout.write(json.dumps({"label": label, "value": value}))

    def _curl(self, key: str, customer: str) -> str:
        url = f"{settings.BASE_URL}/v1/entitlements/check/api_calls?customerId={customer}"
        return f"curl -H 'Authorization: Bearer {key}' '{url}'"
