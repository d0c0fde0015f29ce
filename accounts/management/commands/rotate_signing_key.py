"""`manage.py rotate_signing_key`: replace an app's key pair now, when it may have leaked."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.lookups import known_app
from accounts.models import App
from accounts.services.tokens import LONGEST_LIFE, rotate_signing_key
from stackbe.kernel import ids
from stackbe.kernel.transactions import change


class Command(BaseCommand):
    help = "Sign an app's session tokens with a new key. The old one verifies for 15 minutes more, or not at all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("app", help="the app's id, app_…")
        parser.add_argument(
            "--at-once", action="store_true", help="refuse tokens of the old key from now on; clients refresh"
        )

    def handle(self, **options: Any) -> None:
        try:
            app = known_app(ids.decode(App.id_prefix, options["app"]))
        except ids.MalformedId:
            app = None
        if app is None:
            raise CommandError("There is no such app.")
        scope = app.system_scope("operator")
        with change(scope):
            key = rotate_signing_key(scope, overlap=timedelta() if options["at_once"] else LONGEST_LIFE)
        self.stdout.write(key.public_id)
