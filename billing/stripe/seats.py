"""Stripe's quantity follows an organization's members, and what a deleted organization pays for ends.

Members come and go in changes that call nobody; a job then counts them anew and tells Stripe, so that
the last count wins however many came at once.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from accounts import seats as registry
from billing.errors import AlreadySubscribed
from billing.models import Checkout, Subscription
from billing.models.stripe import STANDING
from billing.services import seats
from billing.services.copies import announce_organization
from billing.stripe.endings import cancel_subscription
from billing.stripe.errors import AccountLost, StripeObjectGone, StripeRefused
from billing.stripe.gateway import ConnectedAccount
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.pages import expire_page
from billing.stripe.sync import sync_until_done
from billing.stripe.translate import main_item
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

SET_QUANTITY = "subscription.quantity"
CAUSE = "system:seats"
# Members may come while Stripe is asked; who comes after the last round has a job of their own.
ROUNDS = 3
log = logging.getLogger("stackbe.stripe")


def follow_seats(scope: Scope, subscription_id: UUID) -> None:
    """Set a subscription's quantity to what the members fill now. Repeating it is harmless.

    Stripe charges and credits by the day. What it refuses is kept with the intent; an answer that never
    came raises `StripeUnavailable`, and the job is tried again.
    """
    for _ in range(ROUNDS):
        with reading(scope):
            rows = Subscription.objects.within(scope).select_related("plan_version", "price")
            row = rows.filter(pk=subscription_id).first()
            wanted = None if row is None else seats.wanted_quantity(scope, row)
        if row is None or wanted is None or not _bring(scope, row, wanted):
            return


def _bring(scope: Scope, row: Subscription, wanted: int) -> bool:
    """Make Stripe's quantity the wanted one and follow what it shows; say whether anything had to be done."""
    account, stripe_id = ConnectedAccount(row.stripe_account), row.stripe_subscription_id
    try:
        item = main_item(account.fetch("subscription", stripe_id))
        there = int(item.get("quantity") or 1)
        if there == row.quantity == wanted:
            return False
        if there != wanted:
            with change(scope):
                intent = record_intent(scope, SET_QUANTITY, stripe_id, account.id)
                detail = {"quantity": {"from": there, "to": wanted}}
                audit(scope, f"{SET_QUANTITY}_requested", row.public_id, detail=detail)
            params = {"items": [{"id": item["id"], "quantity": wanted}], "proration_behavior": "create_prorations"}
            perform(scope, intent, lambda: account.update("subscription", stripe_id, params, intent=intent))
            with change(scope):
                settle(scope, intent, stripe_id)
    except (StripeObjectGone, AccountLost):
        return False  # Nothing is charged where nothing is, and what is not ours is the tenant's to change.
    except StripeRefused as refused:
        log.warning("quantity refused", extra={"subscription": row.public_id, "stripe_code": refused.stripe_code})
        return False
    sync_until_done(scope, account.id, "subscription", stripe_id, cause=CAUSE)
    return True


def end_organization(scope: Scope, organization_id: UUID) -> None:
    """Cancel now, at Stripe too, what a deleted organization has. Repeating it is harmless."""
    _close_pages(scope, organization_id)
    with reading(scope):
        rows = Subscription.objects.within(scope).filter(organization_id=organization_id)
        found = [row.public_id for row in rows.exclude(status=Subscription.Status.CANCELED)]
    for public_id in found:
        try:
            cancel_subscription(scope, public_id, immediately=True, reason="The organization was deleted.")
        except (StripeObjectGone, AccountLost):
            continue  # As when a customer is erased.


def _close_pages(scope: Scope, organization_id: UUID) -> None:
    """Expire the checkout pages on which a deleted organization could still be bought for."""
    standing = [*STANDING, Checkout.Status.SUPERSEDED]
    with change(scope):
        rows = Checkout.objects.within(scope).filter(organization_id=organization_id, status__in=standing)
        found = list(rows.filter(expires_at__gt=now(scope)).locked())
        for page in found:
            page.status = Checkout.Status.SUPERSEDED
            page.save(update_fields=["status"])
    for page in found:
        if page.stripe_session_id:
            with suppress(AlreadySubscribed):  # It was paid meanwhile: then there is a subscription to end.
                expire_page(scope, ConnectedAccount(page.account_id), page.stripe_session_id)


def register_seller() -> None:
    """Have organizations ask for their seats here, and tell of their members."""
    registry.register_seller(
        registry.Seller(
            limit=seats.seat_limit,
            changed=seats.members_changed,
            renamed=announce_organization,
            end=end_organization,
            export=seats.export_organization,
        )
    )
