"""Stripe's customer portal: where a customer changes how they pay, sees invoices and cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.services.customers import find_customer
from billing.models import StripeCustomer
from billing.stripe.buyers import forget_at_stripe
from billing.stripe.checkout import check_way_back
from billing.stripe.connect import connection_of
from billing.stripe.errors import NeverBought, StripeObjectGone
from billing.stripe.gateway import ConnectedAccount
from billing.stripe.intents import perform, record_intent, settle
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


def open_portal(scope: Scope, *, customer_id: str, return_url: str, claim_id: UUID | None = None) -> dict[str, str]:
    """Return `{url}` of a page at Stripe that is the customer's for a few minutes.

    Raises `CustomerNotFound`, `NeverBought` for who has no place at Stripe yet, `StripeNotConnected` and
    as the gateway does.
    """
    check_way_back(scope, {"returnUrl": return_url})
    with change(scope):
        customer = find_customer(scope, public_id=customer_id)
        account = ConnectedAccount(connection_of(scope).account_id)
        links = StripeCustomer.objects.within(scope).filter(account_id=account.id, customer=customer)
        link = links.first()
        if link is None:
            raise NeverBought
        intent = record_intent(scope, "portal.create", customer.pk, account.id, claim_id=claim_id)
    params = {"customer": link.stripe_customer_id, "return_url": return_url}
    try:
        made = perform(scope, intent, lambda: account.create("billing_portal.session", params, intent=intent))
    except StripeObjectGone as gone:
        if gone.param != "customer":
            raise
        with change(scope):
            forget_at_stripe(scope, customer.pk, account.id)
        raise NeverBought from None
    with change(scope):
        settle(scope, intent, made["id"])
    return {"url": made["url"]}
