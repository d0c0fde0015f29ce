"""Sending a customer to Stripe's checkout page, and knowing what came of it.

A page lives for a day, so two open ones would charge twice: a new one supersedes the older, which is
expired at Stripe before the new one is made, and who has a running subscription gets none. The order of
things is always: decide and record (one change), call Stripe (none open), record the outcome (the next).
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import Customer
from billing.errors import AlreadySubscribed
from billing.models import Checkout, Price, Subscription
from billing.models.stripe import STANDING
from billing.services import trials
from billing.services.seats import quantity_bought
from billing.stripe.buyers import buying_organization, find_buyer, forget_at_stripe
from billing.stripe.connect import ready_connection, refresh_health
from billing.stripe.coupons import SPENT, SPENT_SENTENCE
from billing.stripe.errors import (
    AccountLeft,
    AccountLost,
    AccountRestricted,
    CheckoutReplaced,
    PriceArchivedAtStripe,
    StandsInTheWay,
    StripeObjectGone,
    StripeRefused,
)
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.offers import offer, put_aside, refuse_second, supersede
from billing.stripe.orders import Opening, customer_at_stripe, page_options, price_at_stripe, session_params
from billing.stripe.pages import RETURN_SECONDS, SILENT, check_way_back, expire_page, sold_at_stripe
from billing.stripe.sync import sync_until_done
from billing.stripe.translate import moment
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

# How long Stripe keeps a page open unless told otherwise; what it says replaces this.
PAGE_LIVES = timedelta(hours=24)


def open_checkout(scope: Scope, asked: dict[str, Any], claim_id: UUID | None = None) -> dict[str, str]:
    """Return `{id, url}` of a Stripe-hosted page where the customer buys the plan.

    A repeated call with the same Idempotency-Key (`claim_id`) that follows a cut-off one gets the page
    that was being made. Raises `CustomerNotFound`, `PlanNotFound`, `PlanNotForSale`, `AlreadySubscribed`,
    `PriceArchivedAtStripe`, `StripeNotConnected`, `AccountRestricted`, `AccountLeft`,
    `StripeUnavailable`, `StripeRefused`, `CheckoutReplaced`.
    """
    opening = _decided(scope, asked, claim_id)
    try:
        return _make(scope, opening)
    except StripeObjectGone as gone:
        if not _forget(scope, opening, gone):
            raise
    # Somebody deleted the customer or the price at Stripe: both are made anew, once.
    return _make(scope, _decided(scope, asked, claim_id))


def _decided(scope: Scope, asked: dict[str, Any], claim_id: UUID | None) -> Opening:
    """Decide and record. A subscription that stands in the way is first looked at as it is at Stripe now."""
    try:
        with change(scope):
            return _decide(scope, asked, claim_id)
    except StandsInTheWay as refused:
        for account_id, stripe_id in refused.subscriptions:
            try:
                sync_until_done(
                    scope, account_id, "subscription", stripe_id,
                    cause=scope.actor, patience_seconds=RETURN_SECONDS / 3,
                )  # fmt: skip
            except AccountLost:
                raise AccountLeft(account_id, _public_id(scope, account_id, stripe_id)) from None
            except SILENT:
                continue
    except AccountRestricted:
        refresh_health(scope)  # What we know may be old, and nobody should wait for an event to sell.
    with change(scope):
        return _decide(scope, asked, claim_id)


def _public_id(scope: Scope, account_id: str, stripe_id: str) -> str:
    with reading(scope):
        rows = Subscription.objects.within(scope).filter(stripe_account=account_id)
        return rows.get(stripe_subscription_id=stripe_id).public_id


def _make(scope: Scope, opening: Opening) -> dict[str, str]:
    """Have Stripe make the page that was decided on, and record it."""
    for session_id in opening.older:
        # Of packs one buys as many as one likes: a page that was paid meanwhile is no reason against another.
        with suppress(AlreadySubscribed) if opening.repeatable else nullcontext():
            expire_page(scope, opening.account, session_id)
    _expire_of_colleagues(scope, opening)
    price = price_at_stripe(scope, opening)
    stripe_customer_id = customer_at_stripe(scope, opening)
    params = session_params(scope, opening, price, stripe_customer_id)
    try:
        made = perform(
            scope, opening.intent, lambda: opening.account.create("checkout.session", params, intent=opening.intent)
        )
    except StripeRefused as refused:
        _record_refusal(scope, opening)
        if refused.stripe_code in SPENT:
            raise ValidationFailed(fields={"couponCode": [SPENT_SENTENCE]}) from None
        about_price = refused.param.startswith("line_items") and not isinstance(refused, StripeObjectGone)
        if about_price and not sold_at_stripe(opening.account, price):
            raise PriceArchivedAtStripe from None
        raise
    if not _record(scope, opening, made):
        expire_page(scope, opening.account, made["id"])
        raise CheckoutReplaced
    return {"id": made["id"], "url": made["url"]}


def _expire_of_colleagues(scope: Scope, opening: Opening) -> None:
    """Close the pages on which a colleague could still have the one trial of their company."""
    for session_id in opening.colleagues:
        try:
            expire_page(scope, opening.account, session_id)
        except AlreadySubscribed:
            with reading(scope):
                trials.refuse_used_by_company(scope, Customer.objects.within(scope).get(pk=opening.customer_id))


def _decide(scope: Scope, asked: dict[str, Any], claim_id: UUID | None) -> Opening:
    check_way_back(scope, {"successUrl": asked["success_url"], "cancelUrl": asked["cancel_url"]})
    customer = find_buyer(scope, asked)
    trials.hold_company(scope, customer)
    Customer.objects.within(scope).locked().get(pk=customer.pk)  # Two checkouts of one customer take turns here.
    plan, version, price = offer(scope, asked)
    account = ConnectedAccount(ready_connection(scope).account_id)
    organization_id = buying_organization(scope, asked.get("organization_id"), customer)
    if organization_id is not None and version.credits:
        sentence = "Credits are a customer's own. Leave organizationId out."
        raise ValidationFailed(fields={"organizationId": [sentence]})
    refuse_second(scope, customer, organization_id, plan, version)
    intent = record_intent(scope, "checkout.create", f"{customer.pk}:{plan.pk}", account.id, claim_id=claim_id)
    resumed = Checkout.objects.within(scope).filter(intent_id=intent.id).first()
    if resumed is not None and resumed.status not in STANDING:
        raise CheckoutReplaced
    days = trials.trial_days(scope, customer, version, asked.get("trial_days"))
    older = supersede(scope, customer, organization_id, plan, price, account_id=account.id, keep=resumed)
    of_colleagues = trials.pages_of_colleagues(scope, customer) if days and asked.get("trial_days") is None else None
    colleagues = [] if of_colleagues is None else put_aside(scope, of_colleagues)
    checkout = resumed or Checkout(
        **owned_by(scope),
        customer=customer,
        organization_id=organization_id,
        plan=plan,
        plan_version=version,
        price=price,
        quantity=asked.get("quantity") or quantity_bought(scope, organization_id, version, price),
        trial_days=days,
        coupon_code=asked.get("coupon_code") or "",
        options=page_options(scope, asked),
        success_url=asked["success_url"],
        cancel_url=asked["cancel_url"],
        account_id=account.id,
        intent_id=intent.id,
        expires_at=now(scope) + PAGE_LIVES,
        created_at=now(scope),
    )
    if resumed is None:
        checkout.save(force_insert=True)
        audit(scope, "checkout.started", plan.public_id, subject_id=customer.pk)
    return Opening(
        checkout.pk, account, customer.pk, plan.pk, price.pk, intent, older, colleagues, bool(version.credits)
    )


def _record_refusal(scope: Scope, opening: Opening) -> None:
    """Record that there will be no page."""
    with change(scope):
        rows = Checkout.objects.within(scope).filter(pk=opening.checkout_id, status=Checkout.Status.CREATING)
        rows.update(status=Checkout.Status.FAILED)


def _forget(scope: Scope, opening: Opening, gone: StripeObjectGone) -> bool:
    """Forget the customer or the price that somebody deleted at Stripe; say whether it was one of them."""
    with change(scope):
        if gone.param == "customer":
            forget_at_stripe(scope, opening.customer_id, opening.account.id)
        elif gone.param.startswith("line_items"):
            Price.objects.within(scope).filter(pk=opening.price_id).update(stripe_price_id="", stripe_account="")
        else:
            return False
    return True


def _record(scope: Scope, opening: Opening, made: Json) -> bool:
    """Record the page that Stripe made; say False when another checkout took this one's place meanwhile."""
    with change(scope):
        settle(scope, opening.intent, made["id"])
        checkout = Checkout.objects.within(scope).locked().get(pk=opening.checkout_id)
        checkout.stripe_session_id = made["id"]
        checkout.expires_at = moment(made.get("expires_at")) or checkout.expires_at
        stands = checkout.status in STANDING
        if stands:
            checkout.status = Checkout.Status.OPEN
        checkout.save(update_fields=["stripe_session_id", "status", "expires_at"])
    return stands
