"""Stripe's customer portal: where a customer changes how they pay, sees invoices and cancels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.services.customers import find_customer
from billing.models import StripeCustomer, Subscription
from billing.services.seats import OVER, run_by
from billing.stripe.buyers import forget_at_stripe
from billing.stripe.connect import connection_of
from billing.stripe.errors import NeverBought, PortalIsPrivate, StripeObjectGone, StripeRefused
from billing.stripe.gateway import ConnectedAccount, Intent, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.pages import check_way_back
from billing.stripe.portal_shape import forget_configuration, portal_configuration
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

KIND = "billing_portal.session"
log = logging.getLogger("stackbe.stripe")


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
        made = _made(scope, account, params, intent)
    except StripeObjectGone as gone:
        if gone.param != "customer":
            raise
        with change(scope):
            forget_at_stripe(scope, buyer, account.id)
        raise NeverBought from None
    with change(scope):
        settle(scope, intent, made["id"])
    return {"url": made["url"]}


def _made(scope: Scope, account: ConnectedAccount, params: Json, intent: Intent) -> Json:
    """Have Stripe make the page, by the app's configuration; one that somebody took away there is made anew."""
    try:
        return _asked(scope, account, params, intent)
    except StripeRefused as refused:
        if refused.param != "configuration":
            raise
    with change(scope):
        forget_configuration(scope, account.id)
    return _asked(scope, account, params, intent)


def _asked(scope: Scope, account: ConnectedAccount, params: Json, intent: Intent) -> Json:
    configured = params | _configuration(scope, account)
    return perform(scope, intent, lambda: account.create(KIND, configured, intent=intent))


def _configuration(scope: Scope, account: ConnectedAccount) -> Json:
    """Name the app's configuration; where Stripe refuses it the account's own counts, for the page must open."""
    try:
        return {"configuration": portal_configuration(scope, account)}
    except StripeRefused as refused:
        log.warning("no portal configuration", extra={"stripe_code": refused.stripe_code, "param": refused.param})
        return {}


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
