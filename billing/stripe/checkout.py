"""Sending a customer to Stripe's checkout page, and knowing what came of it.

A page lives for a day, so two open ones would charge twice: a new one supersedes the older, which is
expired at Stripe before the new one is made, and who has a running subscription gets none. The order of
things is always: decide and record (one change), call Stripe (none open), record the outcome (the next).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Q

from accounts.models import Customer
from billing.errors import AlreadySubscribed, PlanArchived, PlanNotFound
from billing.models import Checkout, Plan, PlanVersion, Price, StripeCustomer, Subscription
from billing.services.seats import quantity_bought
from billing.services.trials import trial_days
from billing.stripe.buyers import buying_organization, find_buyer, forget_at_stripe
from billing.stripe.catalogue_push import push_plan
from billing.stripe.connect import ready_connection, refresh_health
from billing.stripe.contacts import contact_of
from billing.stripe.coupons import SPENT, SPENT_SENTENCE, discount_of
from billing.stripe.errors import (
    AccountLeft,
    AccountLost,
    AccountRestricted,
    CheckoutReplaced,
    PlanNotForSale,
    PriceArchivedAtStripe,
    StandsInTheWay,
    StripeNotConnected,
    StripeObjectGone,
    StripeRefused,
    StripeUnavailable,
)
from billing.stripe.gateway import ConnectedAccount, Intent, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.overage import is_whole_at_stripe, overage_prices
from billing.stripe.shapes import reference
from billing.stripe.sync import sync_until_done
from billing.stripe.translate import mark, moment
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

# How long Stripe keeps a page open unless told otherwise; what it says replaces this.
PAGE_LIVES = timedelta(hours=24)
RETURN_SECONDS = 2.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
STANDING = (Checkout.Status.CREATING, Checkout.Status.OPEN)
# Where Stripe does not say how something went, our own rows do.
SILENT = (StripeUnavailable, StripeRefused, StripeNotConnected)
OVER = (Subscription.Status.CANCELED, Subscription.Status.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Opening:
    """What was decided in the first change and is carried through the calls."""

    checkout_id: UUID
    account: ConnectedAccount
    customer_id: UUID
    plan_id: UUID
    price_id: UUID
    intent: Intent
    older: list[str]


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
        expire_page(scope, opening.account, session_id)
    price = _price_at_stripe(scope, opening)
    stripe_customer_id = _customer_at_stripe(scope, opening)
    params = _session_params(scope, opening, price, stripe_customer_id)
    try:
        made = perform(
            scope, opening.intent, lambda: opening.account.create("checkout.session", params, intent=opening.intent)
        )
    except StripeRefused as refused:
        _record_refusal(scope, opening)
        if refused.stripe_code in SPENT:
            raise ValidationFailed(fields={"couponCode": [SPENT_SENTENCE]}) from None
        about_price = refused.param.startswith("line_items") and not isinstance(refused, StripeObjectGone)
        if about_price and not _sold_at_stripe(opening.account, price):
            raise PriceArchivedAtStripe from None
        raise
    if not _record(scope, opening, made):
        expire_page(scope, opening.account, made["id"])
        raise CheckoutReplaced
    return {"id": made["id"], "url": made["url"]}


def _decide(scope: Scope, asked: dict[str, Any], claim_id: UUID | None) -> Opening:
    check_way_back(scope, {"successUrl": asked["success_url"], "cancelUrl": asked["cancel_url"]})
    customer = find_buyer(scope, asked)
    Customer.objects.within(scope).locked().get(pk=customer.pk)  # Two checkouts of one customer take turns here.
    plan, version, price = _offer(scope, asked)
    account = ConnectedAccount(ready_connection(scope).account_id)
    organization_id = buying_organization(scope, asked.get("organization_id"), customer)
    _refuse_second(scope, customer, organization_id, plan, version)
    intent = record_intent(scope, "checkout.create", f"{customer.pk}:{plan.pk}", account.id, claim_id=claim_id)
    resumed = Checkout.objects.within(scope).filter(intent_id=intent.id).first()
    if resumed is not None and resumed.status not in STANDING:
        raise CheckoutReplaced
    older = _supersede(scope, customer, organization_id, plan, price, keep=resumed)
    checkout = resumed or Checkout(
        **owned_by(scope),
        customer=customer,
        organization_id=organization_id,
        plan=plan,
        plan_version=version,
        price=price,
        quantity=asked.get("quantity") or quantity_bought(scope, organization_id, version, price),
        trial_days=trial_days(scope, customer, version, asked.get("trial_days")),
        coupon_code=asked.get("coupon_code") or "",
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
    return Opening(checkout.pk, account, customer.pk, plan.pk, price.pk, intent, older)


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


def _offer(scope: Scope, asked: dict[str, Any]) -> tuple[Plan, PlanVersion, Price]:
    """Return what is sold: the plan's first price, or its first in the rhythm and currency that were asked for."""
    plan = Plan.objects.within(scope).select_related("product").fetch(asked["plan_id"], PlanNotFound)
    if not plan.active:
        raise PlanArchived
    version = PlanVersion.objects.within(scope).get(plan=plan, number=plan.version)
    rows = Price.objects.within(scope).filter(plan_version=version, replaced_at__isnull=True)
    prices = list(rows.order_by("position"))
    wanted = {name: asked[name].lower() for name in ("interval", "currency") if asked.get(name)}
    fitting = [price for price in prices if all(getattr(price, name) == wanted[name] for name in wanted)]
    if prices and not fitting:
        offers = ", ".join(dict.fromkeys(f"{price.interval} in {price.currency}" for price in prices))
        raise ValidationFailed(fields={name: [f"The plan has no such price. It has: {offers}."] for name in wanted})
    price = fitting[0] if fitting else None
    if price is None or price.free:
        raise PlanNotForSale
    return plan, version, price


def _refuse_second(
    scope: Scope, customer: Customer, organization_id: UUID | None, plan: Plan, version: PlanVersion
) -> None:
    """Raise `StandsInTheWay` for what runs already, unless one of the two is an add-on to the other."""
    # A free plan that Stripe does not know gives way to a paid one.
    rows = Subscription.objects.within(scope).exclude(status__in=OVER)
    owner = Q(organization_id=organization_id) if organization_id else Q(customer=customer, organization_id=None)
    rows = rows.filter(owner).exclude(plan_id__in=version.add_ons)
    if plan.allows_another or rows.filter(plan_version__add_ons__contains=[plan.pk]).exists():
        return
    if found := list(rows.exclude(stripe_subscription_id="")):
        raise StandsInTheWay([(row.stripe_account, row.stripe_subscription_id) for row in found])


def _supersede(
    scope: Scope, customer: Customer, organization_id: UUID | None, plan: Plan, price: Price, *, keep: Checkout | None
) -> list[str]:
    """Put other open pages of the customer, or of who buys with them, aside; return those to expire at Stripe.

    A page stays `superseded` until Stripe has expired it, so that a call that failed is made up for. Two
    subscriptions are never wanted at once, so the pages of other plans go as well; of a one-time purchase
    only those of the same plan do.
    """
    buyer = Q(customer=customer) | Q(organization_id=organization_id) if organization_id else Q(customer=customer)
    rows = Checkout.objects.within(scope).filter(
        buyer, status__in=[*STANDING, Checkout.Status.SUPERSEDED], expires_at__gt=now(scope)
    )
    if price.interval == Price.Interval.ONE_TIME:
        rows = rows.filter(plan=plan)
    else:
        rows = rows.exclude(price__interval=Price.Interval.ONE_TIME)
    if keep is not None:
        rows = rows.exclude(pk=keep.pk)
    older = list(rows.locked())
    rows.filter(pk__in=[each.pk for each in older]).update(status=Checkout.Status.SUPERSEDED)
    return [each.stripe_session_id for each in older if each.stripe_session_id]


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


def _price_at_stripe(scope: Scope, opening: Opening) -> Price:
    """Return the price once Stripe knows it: pushed here and now if the worker has not got to it."""
    with reading(scope):
        price = Price.objects.within(scope).select_related("plan_version").get(pk=opening.price_id)
        if is_whole_at_stripe(scope, opening.account.id, price):
            return price
    push_plan(scope, opening.plan_id)
    with reading(scope):
        return Price.objects.within(scope).get(pk=opening.price_id)


def _customer_at_stripe(scope: Scope, opening: Opening) -> str:
    account = opening.account
    with change(scope):
        customer = Customer.objects.within(scope).locked().get(pk=opening.customer_id)
        known = _stripe_customer(scope, opening)
        if known is not None:
            return known.stripe_customer_id
        params: Json = {**contact_of(customer), "metadata": mark(scope, stackbe_customer=customer.public_id)}
        intent = record_intent(scope, "customer.create", customer.pk, account.id, once=True)
    made = perform(scope, intent, lambda: account.create("customer", params, intent=intent))
    with change(scope):
        Customer.objects.within(scope).locked().get(pk=opening.customer_id)
        settle(scope, intent, made["id"])
        link = StripeCustomer(
            **owned_by(scope), customer_id=opening.customer_id, account_id=account.id, stripe_customer_id=made["id"]
        )
        StripeCustomer.unscoped.bulk_create([link], ignore_conflicts=True)
        known = _stripe_customer(scope, opening)
    return known.stripe_customer_id if known else str(made["id"])


def _stripe_customer(scope: Scope, opening: Opening) -> StripeCustomer | None:
    require_change()
    rows = StripeCustomer.objects.within(scope).filter(account_id=opening.account.id)
    return rows.filter(customer_id=opening.customer_id).first()


def _session_params(scope: Scope, opening: Opening, price: Price, stripe_customer_id: str) -> Json:
    """Return what Stripe is asked for. It depends on recorded rows alone, so that a repeat is the same request."""
    with reading(scope):
        checkout = Checkout.objects.within(scope).select_related("plan", "plan_version").get(pk=opening.checkout_id)
        # What is used beyond an allowance is charged beside the plan, when the period is over.
        recurring = price.interval != Price.Interval.ONE_TIME
        priced = Price.objects.within(scope).select_related("plan_version").get(pk=price.pk) if recurring else None
        metered = [{"price": each} for each in overage_prices(scope, opening.account.id, priced)] if priced else []
    marks = mark(
        scope,
        stackbe_checkout=checkout.public_id,
        stackbe_customer=encode("cust", checkout.customer_id),
        stackbe_plan=checkout.plan.public_id,
    )
    if checkout.organization_id:
        marks["stackbe_organization"] = encode("org", checkout.organization_id)
    params: Json = {
        "customer": stripe_customer_id,
        "client_reference_id": checkout.public_id,
        "line_items": [{"price": price.stripe_price_id, "quantity": checkout.quantity}, *metered],
        "success_url": checkout.success_url,
        "cancel_url": checkout.cancel_url,
        "metadata": marks,
    }
    if checkout.coupon_code:
        params["discounts"] = [discount_of(opening.account, checkout.coupon_code)]
    if price.interval == Price.Interval.ONE_TIME:
        return params | {"mode": "payment", "payment_intent_data": {"metadata": marks}}
    data: Json = {"metadata": marks}
    if checkout.trial_days:
        data["trial_period_days"] = checkout.trial_days
        if not checkout.plan_version.trial_requires_card:
            params["payment_method_collection"] = "if_required"
            data["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
    return params | {"mode": "subscription", "subscription_data": data}


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


def _sold_at_stripe(account: ConnectedAccount, price: Price) -> bool:
    """Say whether Stripe sells a price: neither it nor its product was archived there."""
    found = account.fetch("price", price.stripe_price_id)
    return bool(found.get("active") and account.fetch("product", reference(found["product"])).get("active"))


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
