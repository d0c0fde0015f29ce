"""`manage.py new_tenant`: a fresh tenant to script against."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stackbe.trust.founding import found

# What the examples of the guides call the parts of the answer.
VARIABLES = {
    "STACKBE_URL": "baseUrl",
    "STACKBE_KEY": "apiKey",
    "STACKBE_APP": "appId",
    "STACKBE_PUBLISHABLE_KEY": "publishableKey",
}


class Command(BaseCommand):
    """Make a tenant with a test app, a connected sandbox account and keys."""

    help = "Make a tenant with a test app, a connected sandbox account and keys (development only)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name, an owner and the form of the answer."""
        parser.add_argument("--name", default="Fresh tenant")
        parser.add_argument("--owner-email", default=None)
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="Print one line of JSON.")
        form.add_argument("--env", action="store_true", help='Print lines for a shell: eval "$(… new_tenant --env)".')

    def handle(self, *args: Any, **options: Any) -> None:
        """Found it and print what a script needs."""
        if settings.PRODUCTION:
            raise CommandError("new_tenant is for development. Sign up at /signup instead.")
        shown = found(options["name"], options["owner_email"]).as_json()
        if options["json"]:
            self.stdout.write(json.dumps(shown))
            return
        if options["env"]:
            for variable, name in VARIABLES.items():
                self.stdout.write(f"export {variable}={shlex.quote(shown[name])}")
            return
        for name, value in shown.items():
            self.stdout.write(f"{name:16} {value}")
