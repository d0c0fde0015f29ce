"""`manage.py connect_stripe`: from a Stripe account to a Connect platform, step by step."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.stripe.setup import Mark, steps


class Command(BaseCommand):
    help = "Say what is left to become a Connect platform, and which secret was pasted where. Exits 1 on a wrong one."

    def handle(self, **options: Any) -> None:
        found = steps()
        for number, step in enumerate(found, start=1):
            self.stdout.write(f"{number}. [{step.mark}] {step.about}: {step.sentence}")
        wrong = [step.about for step in found if step.mark == Mark.WRONG]
        if wrong:
            raise CommandError(f"Put right: {', '.join(wrong)}.")
        if all(step.mark == Mark.DONE for step in found):
            self.stdout.write(
                f"All is set. Sign in at {settings.BASE_URL}/dashboard, connect an app under Stripe, open a checkout"
                " for a customer and pay it: with test keys one of Stripe's test cards pays. Its event then"
                " shows under Stripe, Latest from Stripe."
            )
