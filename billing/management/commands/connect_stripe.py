"""`manage.py connect_stripe [--pay]`: from a Stripe account to a Connect platform, step by step, to a first payment."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.templatetags.pages import money
from billing.stripe.scopes import connected_scopes
from billing.stripe.setup import Mark, steps
from billing.stripe.trial_payment import pay_for_trial, wait_for_event
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import encode

NAMED = 5


class Command(BaseCommand):
    help = (
        "Say what is left to become a Connect platform, and which secret was pasted where; with --pay, end with a"
        " payment in play money on a connected test account. Exits 1 on what is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pay", action="store_true", help="make a payment with test keys, and wait for its event")
        parser.add_argument("--app", default="", help="the app on whose account to pay; else the one that is connected")

    def handle(self, **options: Any) -> None:
        found = steps()
        for number, step in enumerate(found, start=1):
            self.stdout.write(f"{number}. [{step.mark}] {step.about}: {step.sentence}")
        wrong = [step.about for step in found if step.mark == Mark.WRONG]
        if wrong:
            raise CommandError(f"Put right: {', '.join(wrong)}.")
        left = [step.about for step in found if step.mark != Mark.DONE]
        if left and options["pay"]:
            raise CommandError(f"No payment was made: first do what is left, {', '.join(left)}.")
        if left:
            self.stdout.write(f"Next: {left[0]}. Then run this again.")
            return
        if not options["pay"]:
            self.stdout.write(
                f"All is set. Sign in at {settings.BASE_URL}/dashboard, connect a test app under Stripe, then run this"
                " again with --pay: it pays 1.00 in play money and waits for the event. Or open a checkout for a"
                " customer and pay it with one of Stripe's test cards."
            )
            return
        self.pay(options["app"])

    def pay(self, wanted: str) -> None:
        """Make a payment on a connected test account, and say whether its event came."""
        connected = [
            (scope, account_id)
            for scope, account_id in connected_scopes("connect_stripe")
            if scope.environment == "test" and wanted in {"", encode("app", scope.app)}
        ]
        if not connected:
            raise CommandError(
                f"No such test app is connected. Connect one at {settings.BASE_URL}/dashboard, under Stripe."
            )
        if len(connected) > 1:
            names = [encode("app", scope.app) for scope, _ in connected]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise CommandError(f"Say with --app on whose account to pay: {', '.join(names[:NAMED])}{more}.")
        scope, account_id = connected[0]
        try:
            invoice = pay_for_trial(scope, account_id)
        except ApiError as refused:
            raise CommandError(str(refused)) from None
        if invoice["status"] != "paid":
            raise CommandError(f"The invoice {invoice['id']} on {account_id} is {invoice['status']}, not paid.")
        self.stdout.write(
            f"Paid: {invoice['id']} on {account_id}, {money(invoice['amount_paid'], invoice['currency'])}."
        )
        if not wait_for_event(scope, account_id, invoice["id"]):
            raise CommandError(
                "Its event did not come. Is the web server reachable at BASE_URL, and is the Connect endpoint's secret"
                " the one in STRIPE_CONNECT_WEBHOOK_SECRETS?"
            )
        self.stdout.write("Its event came and its signature held. You can sell.")
