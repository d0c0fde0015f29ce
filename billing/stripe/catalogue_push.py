"""Bringing the catalogue to the tenant's Stripe account: Product and Price for what we call product and price.

Our rows are the truth. A price that Stripe knows is never altered there (Stripe would not let us): an
edit makes a new one and the old is deactivated. Every object carries our app's id in its metadata, so
that on a shared account it can be told whose it is.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing.models import Plan, PlanVersion, Price, Product, StripeIntent, StripeObject
from billing.stripe.connect import connection_of
from billing.stripe.errors import StripeNotConnected, StripeObjectGone, StripeRefused, StripeUnavailable
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.overage import push_overages
from billing.stripe.translate import mark
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

RETIRE, RESTORE = "price.retire", "price.restore"
# What a product that says none of it must be told to forget.
NOT_SAID: Json = {"description": "", "tax_code": ""}
PROMPT_SECONDS, BETWEEN_SECONDS = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class PlanWork:
    """What one plan's push consists of, read in one go."""

    account: ConnectedAccount
    product_id: UUID
    product: Json
    product_stripe_id: str
    product_digest: str
    prices: list[tuple[UUID, Json]]
    activity: list[tuple[str, bool]]
    updated_at: Any


def push_promptly(scope: Scope, plan_id: UUID) -> None:
    """Bring a plan that was just saved to Stripe while its maker waits, so that the reply can name its prices.

    For about two seconds: what Stripe has not taken by then the worker, who was told of the plan when it was saved,
    brings there. What Stripe refuses stays with the plan for the dashboard.
    """
    until = time.monotonic() + PROMPT_SECONDS
    while True:
        try:
            push_plan(scope, plan_id, patience_seconds=PROMPT_SECONDS)
        except StripeUnavailable:
            # It may be that the worker is at the very same call.
            if time.monotonic() > until:
                return
            time.sleep(BETWEEN_SECONDS)
        except (StripeNotConnected, StripeRefused):
            return
        else:
            return


def push_plan(scope: Scope, plan_id: UUID, *, say_again: bool = False, patience_seconds: float | None = None) -> None:
    """Make Stripe's side of a plan equal to ours; harmless when it already is.

    `say_again` says everything anew, for what somebody changed at Stripe; `patience_seconds` bounds each call.

    Raises `StripeNotConnected`, `StripeUnavailable` (come back later, nothing is lost) and
    `StripeRefused`, which is also kept with the plan, in words, for the dashboard.
    """
    work = _plan_work(scope, plan_id, say_again=say_again, patience_seconds=patience_seconds)
    try:
        product_stripe_id = _push_product(scope, work)
        for price_id, params in work.prices:
            _push_price(scope, work.account, price_id, {**params, "product": product_stripe_id})
        push_overages(scope, work.account, plan_id, product_stripe_id)
        for stripe_price_id, active in work.activity:
            _set_active(scope, work.account, stripe_price_id, active=active)
    except StripeRefused as refused:
        with change(scope):
            rows = Plan.objects.within(scope).filter(pk=plan_id)
            rows.update(push_state=Plan.Push.FAILED, push_error=str(refused)[:200])
        raise
    with change(scope):
        rows = Plan.objects.within(scope).filter(pk=plan_id, updated_at=work.updated_at)
        rows.update(push_state=Plan.Push.PUSHED, push_error="", pushed_at=wall_clock())


def pending_plans(scope: Scope) -> list[UUID]:
    """Return the plans that Stripe does not know as they are. Runs inside reading() or change()."""
    rows = Plan.objects.within(scope).filter(push_state=Plan.Push.PENDING)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _plan_work(scope: Scope, plan_id: UUID, *, say_again: bool, patience_seconds: float | None) -> PlanWork:
    with reading(scope):
        account_id = connection_of(scope).account_id
        plan = Plan.objects.within(scope).select_related("product").get(pk=plan_id)
        version = PlanVersion.objects.within(scope).get(plan=plan, number=plan.version)
        prices = list(Price.objects.within(scope).filter(plan_version__plan=plan).order_by("position"))
        link = _product_link(scope, plan.product_id, account_id)
        live = [p for p in prices if p.plan_version_id == version.pk and p.replaced_at is None and not p.free]
        wanted = {p.pk for p in live} if plan.active else set()
        return PlanWork(
            account=ConnectedAccount(account_id, patience_seconds),
            product_id=plan.product_id,
            product=product_params(scope, plan.product),
            product_stripe_id=link.stripe_id if link else "",
            product_digest=link.digest if link and not say_again else "",
            prices=[
                (p.pk, price_params(scope, plan, p))
                for p in live
                if plan.active and (p.stripe_account != account_id or not p.stripe_price_id)
            ],
            activity=_activity(scope, account_id, prices, wanted, say_again=say_again),
            updated_at=plan.updated_at,
        )


def _activity(
    scope: Scope, account_id: str, prices: list[Price], wanted: set[UUID], *, say_again: bool
) -> list[tuple[str, bool]]:
    """Return which pushed prices Stripe should sell, or stop selling, where that differs from what we last said."""
    pushed = [p for p in prices if p.stripe_price_id and p.stripe_account == account_id]
    said = {
        intent.target: intent.kind == RESTORE
        for intent in StripeIntent.objects.within(scope).filter(
            kind__in=[RETIRE, RESTORE], account_id=account_id, state=StripeIntent.State.DONE,
            target__in=[p.stripe_price_id for p in pushed],
        ).order_by("pk")
    }  # fmt: skip
    wishes = [(p.stripe_price_id, p.pk in wanted) for p in pushed]
    return [(stripe_id, active) for stripe_id, active in wishes if say_again or said.get(stripe_id, True) != active]


def product_params(scope: Scope, product: Product) -> Json:
    """Return what Stripe's Product is to say."""
    params: Json = {
        "name": product.name,
        "active": product.active,
        "metadata": mark(scope, stackbe_product=product.public_id),
    }
    if product.description:
        params["description"] = product.description
    if product.tax_code:
        params["tax_code"] = product.tax_code
    return params


def price_params(scope: Scope, plan: Plan, price: Price) -> Json:
    """Return what Stripe's Price is to say; the product is added by the push."""
    params: Json = {
        "currency": price.currency.lower(),
        "nickname": plan.name,
        "metadata": mark(scope, stackbe_plan=plan.public_id, stackbe_price=price.public_id),
    }
    if price.tax_behavior:
        params["tax_behavior"] = str(price.tax_behavior)
    if price.interval != Price.Interval.ONE_TIME:
        params["recurring"] = {"interval": str(price.interval), "interval_count": price.interval_count}
    if price.scheme in {Price.Scheme.GRADUATED, Price.Scheme.VOLUME}:
        params |= {"billing_scheme": "tiered", "tiers_mode": str(price.scheme)}
        params["tiers"] = [_tier(tier) for tier in price.tiers]
        return params
    params |= {"billing_scheme": "per_unit", "unit_amount": price.unit_amount_cents}
    if price.scheme == Price.Scheme.PACKAGE:
        params["transform_quantity"] = {"divide_by": price.package_size or 1, "round": "up"}
    return params


def _tier(tier: Json) -> Json:
    shaped: Json = {"up_to": "inf" if tier.get("upTo") is None else tier["upTo"]}
    if tier.get("unitAmountCents") is not None:
        shaped["unit_amount"] = tier["unitAmountCents"]
    if tier.get("flatAmountCents") is not None:
        shaped["flat_amount"] = tier["flatAmountCents"]
    return shaped


def _push_product(scope: Scope, work: PlanWork) -> str:
    digest = hashlib.sha256(json.dumps(work.product, sort_keys=True).encode()).hexdigest()
    if work.product_stripe_id and work.product_digest == digest:
        return work.product_stripe_id
    if work.product_stripe_id:
        with change(scope):
            intent = record_intent(scope, "product.update", work.product_id, work.account.id)
        try:
            stripe_id, said = work.product_stripe_id, {**NOT_SAID, **work.product}
            perform(scope, intent, lambda: work.account.update("product", stripe_id, said, intent=intent))
        except StripeObjectGone:
            return _create_product(scope, work, digest)
        with change(scope):
            settle(scope, intent, work.product_stripe_id)
            _link_product(scope, work, work.product_stripe_id, digest)
        return work.product_stripe_id
    return _create_product(scope, work, digest)


def _create_product(scope: Scope, work: PlanWork, digest: str) -> str:
    with change(scope):
        Product.objects.within(scope).locked().get(pk=work.product_id)
        known = _product_link(scope, work.product_id, work.account.id)
        if known is not None and known.stripe_id != work.product_stripe_id:
            return known.stripe_id  # Another push was faster.
        intent = record_intent(scope, "product.create", work.product_id, work.account.id, once=True)
    made = perform(scope, intent, lambda: work.account.create("product", work.product, intent=intent))
    with change(scope):
        Product.objects.within(scope).locked().get(pk=work.product_id)
        settle(scope, intent, made["id"])
        _link_product(scope, work, made["id"], digest)
    return str(made["id"])


def _product_link(scope: Scope, product_id: UUID, account_id: str) -> StripeObject | None:
    rows = StripeObject.objects.within(scope).filter(kind=StripeObject.Kind.PRODUCT)
    return rows.filter(local_id=product_id, account_id=account_id).first()


def _link_product(scope: Scope, work: PlanWork, stripe_id: str, digest: str) -> None:
    StripeObject.unscoped.update_or_create(
        **owned_by(scope), kind=StripeObject.Kind.PRODUCT, local_id=work.product_id, account_id=work.account.id,
        defaults={"stripe_id": stripe_id, "digest": digest, "pushed_at": wall_clock()},
    )  # fmt: skip


def _push_price(scope: Scope, account: ConnectedAccount, price_id: UUID, params: Json) -> None:
    with change(scope):
        price = Price.objects.within(scope).locked().get(pk=price_id)
        if price.stripe_price_id and price.stripe_account == account.id:
            return  # Another push was faster.
        intent = record_intent(scope, "price.create", price_id, account.id, once=True)
    made = perform(scope, intent, lambda: account.create("price", params, intent=intent))
    with change(scope):
        rows = Price.objects.within(scope).filter(pk=price_id)
        rows.update(stripe_account=account.id, stripe_price_id=made["id"])
        settle(scope, intent, made["id"])


def _set_active(scope: Scope, account: ConnectedAccount, stripe_price_id: str, *, active: bool) -> None:
    with change(scope):
        intent = record_intent(scope, RESTORE if active else RETIRE, stripe_price_id, account.id)
    try:
        perform(scope, intent, lambda: account.update("price", stripe_price_id, {"active": active}, intent=intent))
    except StripeObjectGone:
        return
    with change(scope):
        settle(scope, intent, stripe_price_id)
