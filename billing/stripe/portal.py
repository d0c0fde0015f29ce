"""Stripe's customer portal: where a customer changes how they pay, sees invoices and cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.services.customers import find_customer
from billing.models import StripeCustomer, Subscription
from billing.services.seats import OVER, run_by
from billing.stripe.buyers import forget_at_stripe
from billing.stripe.connect import connection_of
from billing.stripe.errors import NeverBought, PortalIsPrivate, StripeObjectGone
from billing.stripe.gateway import ConnectedAccount
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.pages import check_way_back
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


def open_portal(
    scope: Scope,
    *,
    customer_id: str,
    return_url: str,
    organization_id: str | None = None,
    claim_id: UUID | None = None,
) -> dict[str, str]:
    """Return `{url}` of a page at Stripe that is the customer's for a few minutes.

    With an organization that they run as owner or admin it is the page of what that one pays, whoever bought
    it. Raises `CustomerNotFound`, `NeverBought` for who has no place at Stripe yet, `PortalIsPrivate` where the
    buyer's own purchases would show on the page, `StripeNotConnected` and as the gateway does.
    """
    check_way_back(scope, {"returnUrl": return_url})
    with change(scope):
        customer = find_customer(scope, public_id=customer_id)
        account = ConnectedAccount(connection_of(scope).account_id)
        buyer = customer.pk
        if organization_id is not None:
            buyer = _buyer_for(scope, run_by(scope, organization_id, customer.pk), account.id, asked_by=customer.pk)
        link = StripeCustomer.objects.within(scope).filter(account_id=account.id, customer_id=buyer).first()
        if link is None:
            raise NeverBought
        intent = record_intent(scope, "portal.create", buyer, account.id, claim_id=claim_id)
    params = {"customer": link.stripe_customer_id, "return_url": return_url}
    try:
        made = perform(scope, intent, lambda: account.create("billing_portal.session", params, intent=intent))
    except StripeObjectGone as gone:
        if gone.param != "customer":
            raise
        with change(scope):
            forget_at_stripe(scope, buyer, account.id)
        raise NeverBought from None
    with change(scope):
        settle(scope, intent, made["id"])
    return {"url": made["url"]}


def _buyer_for(scope: Scope, organization_id: UUID, account_id: str, *, asked_by: UUID) -> UUID:
    """Return the customer who pays for an organization at Stripe.

    Stripe's page shows all that they pay for, so it opens to others only where that is the organization's alone.
    """
    rows = Subscription.objects.within(scope).filter(stripe_account=account_id).exclude(stripe_subscription_id="")
    ours = rows.filter(organization_id=organization_id).order_by("status", "-id")
    found = ours.exclude(status__in=OVER).first() or ours.first()
    if found is None:
        raise NeverBought
    own = Subscription.objects.within(scope).filter(customer_id=found.customer_id)
    paid = own.exclude(organization_id=organization_id).filter(price__isnull=False)
    if found.customer_id != asked_by and paid.exists():
        raise PortalIsPrivate
    return found.customer_id
