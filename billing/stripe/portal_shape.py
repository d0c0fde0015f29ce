"""What customers may do on Stripe's portal page, as the catalogue says: its configuration on the tenant's account.

Without one of ours Stripe opens no portal for an account whose owner never saved settings of their own. The page keeps
to the API's rules: what costs more takes hold at once, what costs less or comes more often with the renewal.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from billing.models import PlanVersion, Price, StripeObject
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.overage import overages_of
from billing.stripe.translate import mark
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

PORTAL = StripeObject.Kind.PORTAL
KIND = "billing_portal.configuration"
MAKE, SAY = "portal.configure", "portal.reconfigure"
# Stripe takes no more products on the page.
MOST_PRODUCTS = 10
SIMPLE = (Price.Scheme.FLAT, Price.Scheme.PER_UNIT)
LATER = ("decreasing_item_amount", "shortening_interval")


def portal_configuration(scope: Scope, account: ConnectedAccount) -> str:
    """Return the id of the app's portal configuration on an account, made or brought up to date if need be.

    Raises as the gateway does.
    """
    with reading(scope):
        params = configuration_params(scope, account.id)
        known = _link(scope, account.id)
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    if known is not None and known.digest == digest:
        return known.stripe_id
    stripe_id = known.stripe_id if known else ""
    with change(scope):
        # Two who ask for the same at once make it once.
        intent = record_intent(scope, SAY if stripe_id else MAKE, f"{scope.app}:{digest[:16]}", account.id, once=True)
    if stripe_id:
        perform(scope, intent, lambda: account.update(KIND, stripe_id, {**params, "active": True}, intent=intent))
    else:
        made = perform(scope, intent, lambda: account.create(KIND, params, intent=intent))
        stripe_id = str(made["id"])
    with change(scope):
        settle(scope, intent, stripe_id)
        StripeObject.unscoped.update_or_create(
            **owned_by(scope), kind=PORTAL, local_id=scope.app, account_id=account.id,
            defaults={"stripe_id": stripe_id, "digest": digest, "pushed_at": wall_clock()},
        )  # fmt: skip
    return stripe_id


def configuration_params(scope: Scope, account_id: str) -> Json:
    """Return what the configuration is to say. Needs an open reading."""
    products = _products(scope, account_id)
    update: Json = {"enabled": bool(products)}
    if products:
        update |= {
            "default_allowed_updates": ["price"],
            "products": products,
            "proration_behavior": "always_invoice",
            "schedule_at_period_end": {"conditions": [{"type": each} for each in LATER]},
        }
    return {
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["address", "name", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": update,
        },
        "metadata": mark(scope),
    }


def _products(scope: Scope, account_id: str) -> list[Json]:
    """Return what a customer may change to: plans on sale with a plain recurring price, one a rhythm and currency.

    Add-ons are bought beside a plan and not in its place, and what has overage is more than the page can change.
    """
    rows = PlanVersion.objects.within(scope).filter(plan__active=True).select_related("plan").order_by("plan_id")
    versions = [row for row in rows if row.number == row.plan.version]
    add_ons = {each for row in versions for each in row.add_ons}
    known = StripeObject.objects.within(scope).filter(kind=StripeObject.Kind.PRODUCT, account_id=account_id)
    stripe_ids = dict(known.values_list("local_id", "stripe_id"))
    offered: dict[str, dict[tuple[str, int, str], str]] = {}
    for row in versions:
        product = stripe_ids.get(row.plan.product_id)
        if product is None or row.plan_id in add_ons or overages_of(row):
            continue
        for price in Price.objects.within(scope).filter(plan_version=row, replaced_at=None, scheme__in=SIMPLE):
            if price.interval == Price.Interval.ONE_TIME or price.free or price.stripe_account != account_id:
                continue
            rhythm = (price.interval, price.interval_count, price.currency)
            offered.setdefault(product, {}).setdefault(rhythm, price.stripe_price_id)
    listed = [{"product": product, "prices": sorted(prices.values())} for product, prices in sorted(offered.items())]
    return listed if len(listed) <= MOST_PRODUCTS else []


def forget_configuration(scope: Scope, account_id: str) -> None:
    """Forget it in the open change: Stripe does not know it any more, and the next portal makes it anew."""
    StripeObject.objects.within(scope).filter(kind=PORTAL, account_id=account_id).delete()


def _link(scope: Scope, account_id: str) -> StripeObject | None:
    rows = StripeObject.objects.within(scope).filter(kind=PORTAL, account_id=account_id)
    return rows.filter(local_id=scope.app).first()
