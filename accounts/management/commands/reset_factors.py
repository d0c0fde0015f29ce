"""`manage.py reset_factors`: let somebody in again who lost their second factor and their recovery codes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.factors import DeveloperFactors, reset_factors
from accounts.services.users import user_by_email
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change


class Command(BaseCommand):
    help = (
        "Remove a developer's second factors and recovery codes and sign them out everywhere. They are told by mail."
        " Make sure who asks, by another way than mail: whoever reads their mail can sign in afterwards."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="whose factors to remove")

    def handle(self, **options: Any) -> None:
        with change(platform_scope("operator")):
            user = user_by_email(options["email"])
            if user is None:
                raise CommandError("Nobody has this address.")
            if not DeveloperFactors(user).has_factor():
                raise CommandError("This developer has no second factor: a sign-in link is enough.")
            reset_factors(user)
        self.stdout.write("Removed. They sign in with a link alone now, and should add a factor again.")
