"""A payment with play money, from the customer to the event that tells of it: the proof that all is set up.

It is made on a connected test account with one of Stripe's test payment methods, and taken back. Live keys are
refused: nobody's card is charged to try something.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings

from billing.models import StripeEvent
from billing.stripe.errors import StripeRefused
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.shapes import reference
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

CENTS = 100
METHOD = "pm_card_visa"
NAME = "Trial payment of connect_stripe"
LOOKS, WAIT_SECONDS = 30, 0.5


def pay_for_trial(scope: Scope, account_id: str) -> Json:
    """Pay 1.00 on an app's connected account with play money and cancel what it was for; return the paid invoice.

    Raises `StripeRefused` with live keys, and as the gateway does.
    """
    if settings.STRIPE_LIVE_MODE or not settings.STRIPE_SECRET_KEY.startswith(("sk_test_", "rk_test_")):
        raise StripeRefused("These keys are live. A trial payment is made with test keys alone.")
    account = ConnectedAccount(account_id)
    currency = account.account().get("default_currency") or "usd"
    settings_of_invoices = {"default_payment_method": METHOD}
    buyer = _make(
        scope, account, "customer", {"payment_method": METHOD, "invoice_settings": settings_of_invoices, "name": NAME}
    )
    product = _make(scope, account, "product", {"name": NAME})
    rhythm = {"interval": "month"}
    asked = {"product": product["id"], "currency": currency, "unit_amount": CENTS, "recurring": rhythm}
    price = _make(scope, account, "price", asked)
    bought = _make(scope, account, "subscription", {"customer": buyer["id"], "items": [{"price": price["id"]}]})
    invoice = account.fetch("invoice", reference(bought["latest_invoice"]))
    with change(scope):
        intent = record_intent(scope, "trial.end", bought["id"], account_id)
    perform(scope, intent, lambda: account.delete("subscription", bought["id"], {}, intent=intent))
    with change(scope):
        settle(scope, intent, bought["id"])
    return invoice


def wait_for_event(scope: Scope, account_id: str, object_id: str) -> bool:
    """Say whether Stripe's event about an object reaches our Connect endpoint within some seconds."""
    for _ in range(LOOKS):
        with reading(scope):
            rows = StripeEvent.objects.within(scope).filter(account_id=account_id, object_id=object_id)
            if rows.exists():
                return True
        time.sleep(WAIT_SECONDS)
    return False


def _make(scope: Scope, account: ConnectedAccount, kind: str, params: Json) -> Json:
    with change(scope):
        intent = record_intent(scope, f"trial.{kind}", NAME[:20], account.id)
    made = perform(scope, intent, lambda: account.create(kind, params, intent=intent))
    with change(scope):
        settle(scope, intent, made["id"])
    return made
