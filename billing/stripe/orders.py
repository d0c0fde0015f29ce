"""What was decided of a checkout, and what Stripe is asked for by it: the price, the customer, the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import Customer
from billing.models import Checkout, Price, StripeCustomer
from billing.services.due import settings_of
from billing.stripe.catalogue_push import push_plan
from billing.stripe.contacts import contact_of
from billing.stripe.coupons import discount_of
from billing.stripe.gateway import ConnectedAccount, Intent, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.overage import is_whole_at_stripe, overage_prices
from billing.stripe.translate import mark
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


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
    colleagues: list[str]
    repeatable: bool


def price_at_stripe(scope: Scope, opening: Opening) -> Price:
    """Return the price once Stripe knows it: pushed here and now if the worker has not got to it."""
    with reading(scope):
        price = Price.objects.within(scope).select_related("plan_version").get(pk=opening.price_id)
        if is_whole_at_stripe(scope, opening.account.id, price):
            return price
    push_plan(scope, opening.plan_id)
    with reading(scope):
        return Price.objects.within(scope).get(pk=opening.price_id)


def customer_at_stripe(scope: Scope, opening: Opening) -> str:
    """Return who the buyer is at Stripe: made there with their first checkout, once however many come at a time."""
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


def page_options(scope: Scope, asked: dict[str, Any]) -> dict[str, bool]:
    """Return what a page is to ask for beside the payment, by the request and the app's settings; only what it is to.

    Raises `ValidationFailed` for a code that is given and asked for at once: Stripe takes one of the two.
    """
    if asked.get("allow_promotion_codes") and asked.get("coupon_code"):
        sentence = "Give couponCode, or let the page ask for one. Stripe does not take both."
        raise ValidationFailed(fields={"allowPromotionCodes": [sentence]})
    settings = settings_of(scope)
    wanted = {
        "promotionCodes": bool(asked.get("allow_promotion_codes")),
        "automaticTax": settings.automatic_tax,
        "taxIds": settings.tax_id_collection,
    }
    return {name: True for name, holds in wanted.items() if holds}


def _asked_for(options: dict[str, bool]) -> Json:
    """Return them as Stripe takes them. What the page is told of the buyer is kept with them, as taxes need it."""
    params: Json = {}
    if options.get("promotionCodes"):
        params["allow_promotion_codes"] = True
    if options.get("automaticTax"):
        params |= {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    if options.get("taxIds"):
        params["tax_id_collection"] = {"enabled": True}
        params["customer_update"] = params.get("customer_update", {}) | {"name": "auto"}
    return params


def session_params(scope: Scope, opening: Opening, price: Price, stripe_customer_id: str) -> Json:
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
        **_asked_for(checkout.options),
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
