"""`manage.py staff_link`: let somebody into the staff console from the operator's own terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from accounts.models import User
from accounts.services.developers import staff_link


class Command(BaseCommand):
    help = "Print a one-time link that gives a role in the staff console to whoever opens it. Good for 15 minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        host = urlsplit(settings.BASE_URL).hostname
        parser.add_argument("--email", default=f"admin@{host}", help="whose account it opens or makes")
        parser.add_argument(
            "--role", default=User.StaffRole.ADMINISTRATOR.value, choices=[r for r in User.StaffRole.values if r]
        )
        parser.add_argument("--json", action="store_true", help='print {"url", "email", "role"}')

    def handle(self, **options: Any) -> None:
        try:
            validate_email(options["email"])
        except ValidationError:
            raise CommandError("--email is not an e-mail address.") from None
        url = staff_link(options["email"], User.StaffRole(options["role"]), next_path=f"/{settings.CONSOLE_PATH}/")
        if options["json"]:
            url = json.dumps({"url": url, "email": options["email"], "role": options["role"]})
        self.stdout.write(url)
