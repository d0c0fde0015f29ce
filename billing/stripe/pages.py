"""The pages at Stripe that customers come back from: where they may lead, how they went, and how they are closed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from billing.errors import AlreadySubscribed
from billing.models import Checkout, Price
from billing.stripe.errors import StripeNotConnected, StripeRefused, StripeUnavailable
from billing.stripe.gateway import ConnectedAccount
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.shapes import reference
from billing.stripe.sync import sync_until_done
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

RETURN_SECONDS = 2.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
# Where Stripe does not say how something went, our own rows do.
SILENT = (StripeUnavailable, StripeRefused, StripeNotConnected)


def check_way_back(scope: Scope, urls: dict[str, str]) -> None:
    """Refuse a way back over plain http, except to a developer's own machine from a test app.

    `urls` holds them by the name under which the caller gave them.
    """
    wrong = {}
    for spoken, url in urls.items():
        parts = urlsplit(url)
        local = parts.hostname in LOOPBACK and scope.environment == "test"
        if parts.scheme != "https" and not local:
            wrong[spoken] = ["Must be https. Test apps may also use http on localhost."]
    if wrong:
        raise ValidationFailed(fields=wrong)


def settle_open_checkouts(scope: Scope, customer_id: UUID) -> None:
    """Ask Stripe how a customer's open checkouts went, with no transaction open and within 2 seconds.

    So who returns from the page before the webhook has come gets a true answer. Where Stripe does not
    answer in time our own rows do.
    """
    with reading(scope):
        rows = Checkout.objects.within(scope).filter(customer_id=customer_id, status=Checkout.Status.OPEN)
        found = list(rows.exclude(stripe_session_id="").values_list("account_id", "stripe_session_id"))
    for account_id, session_id in found:
        with suppress(*SILENT):
            sync_until_done(
                scope, account_id, "checkout.session", session_id,
                cause=f"stripe:{session_id}", patience_seconds=RETURN_SECONDS / 3,
            )  # fmt: skip


def expire_page(scope: Scope, account: ConnectedAccount, session_id: str) -> None:
    """Close a page at Stripe. One that was paid meanwhile is recorded, and no second one is made."""
    with change(scope):
        intent = record_intent(scope, "checkout.expire", session_id, account.id, once=True)
    try:
        perform(
            scope, intent,
            lambda: account.update("checkout.session", session_id, {}, intent=intent, action="expire"),
        )  # fmt: skip
    except StripeRefused:
        paid = account.fetch("checkout.session", session_id).get("status") == "complete"
        sync_until_done(scope, account.id, "checkout.session", session_id, cause=f"stripe:{session_id}")
        if paid:
            raise AlreadySubscribed from None
        return
    with change(scope):
        settle(scope, intent, session_id)
        rows = Checkout.objects.within(scope).filter(account_id=account.id, stripe_session_id=session_id)
        rows.filter(status=Checkout.Status.SUPERSEDED).update(status=Checkout.Status.EXPIRED)


def sold_at_stripe(account: ConnectedAccount, price: Price) -> bool:
    """Say whether Stripe sells a price: neither it nor its product was archived there."""
    found = account.fetch("price", price.stripe_price_id)
    return bool(found.get("active") and account.fetch("product", reference(found["product"])).get("active"))
