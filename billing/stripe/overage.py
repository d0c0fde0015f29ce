"""What soft limits cost beyond what is included: a meter for each metric, a metered price beside each plan's price.

Stripe counts what we report and charges it when the period is over. A metered price is never altered; other
terms make a new one, and who has the old one keeps it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from billing.models import Plan, Price, StripeObject
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.shapes import reference
from billing.stripe.translate import main_item, mark, overage_items
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from billing.models import PlanVersion
    from stackbe.kernel.scope import Scope

METER, OVERAGE = StripeObject.Kind.METER, StripeObject.Kind.OVERAGE
MAKE_METER, MAKE_PRICE, REPORT = "meter.create", "overage.create", "meter.report"


def overages_of(version: PlanVersion) -> list[dict[str, Any]]:
    """Return the allowances of a version that cost something beyond what is included."""
    return [row for row in version.usage if row.get("overage") and row.get("included") is not None]


def event_name(scope: Scope, metric: str) -> str:
    """Return the name under which a metric's use is reported; an app's are its own on a shared account."""
    return f"{encode('app', scope.app)}_{metric}"


def overage_prices(scope: Scope, account_id: str, price: Price) -> list[str]:
    """Return the metered prices that go with a plan's price, as far as Stripe knows them. Needs an open reading."""
    rows = StripeObject.objects.within(scope).filter(kind=OVERAGE, account_id=account_id)
    wanted = [uuid5(price.pk, row["metric"]) for row in overages_of(price.plan_version)]
    known = dict(rows.filter(local_id__in=wanted).values_list("local_id", "stripe_id"))
    return [known[each] for each in wanted if each in known]


def is_whole_at_stripe(scope: Scope, account_id: str, price: Price) -> bool:
    """Say whether Stripe knows a price with all that is charged beside it. Needs an open reading.

    A push says the price first: whoever sold it in between would sell it without its overage.
    """
    if not price.stripe_price_id or price.stripe_account != account_id:
        return False
    if price.interval == Price.Interval.ONE_TIME:
        return True
    return len(overage_prices(scope, account_id, price)) == len(overages_of(price.plan_version))


def overage_changes(scope: Scope, account_id: str, body: Json, price: Price) -> list[Json]:
    """Return what changes among a subscription's metered items when it goes to a price: old ones go, new ones come.

    Where the plan stays, so does what was agreed on.
    """
    held = {reference(item["price"]): item["id"] for item in overage_items(body)}
    if reference(main_item(body).get("price")) == price.stripe_price_id:
        return []
    with reading(scope):
        priced = Price.objects.within(scope).select_related("plan_version").get(pk=price.pk)
        wanted = overage_prices(scope, account_id, priced)
    gone = [{"id": item_id, "deleted": True} for price_id, item_id in held.items() if price_id not in wanted]
    return [*gone, *({"price": each} for each in wanted if each not in held)]


def push_overages(scope: Scope, account: ConnectedAccount, plan_id: UUID, product_stripe_id: str) -> None:
    """Make Stripe know the meters and metered prices of a plan's newest version. Repeating it is harmless."""
    with reading(scope):
        plan = Plan.objects.within(scope).get(pk=plan_id)
        version = plan.current_version()
        prices = [p for p in version.live_prices() if p.interval != Price.Interval.ONE_TIME and not p.free]
        work = [(price, row) for price in prices for row in overages_of(version)]
    for price, row in work:
        meter_id = _meter(scope, account, row["metric"])
        _price(scope, account, plan, price, row, {"product": product_stripe_id, "meter": meter_id})


def report_use(
    scope: Scope, account: ConnectedAccount, *, customer: str, metric: str, value: int, moment: int, identifier: str
) -> None:
    """Tell Stripe of use beyond what is included. The identifier counts once, however often it is told.

    Raises as the gateway does.
    """
    params = {
        "event_name": event_name(scope, metric),
        "payload": {"stripe_customer_id": customer, "value": str(value)},
        "identifier": identifier,
        "timestamp": moment,
    }
    with change(scope):
        intent = record_intent(scope, REPORT, identifier, account.id, once=True)
    perform(scope, intent, lambda: account.create("billing.meter_event", params, intent=intent))
    with change(scope):
        settle(scope, intent, identifier)


def _meter(scope: Scope, account: ConnectedAccount, metric: str) -> str:
    local_id = uuid5(scope.app, metric)
    with change(scope):
        known = _link(scope, account.id, METER, local_id)
        if known is not None:
            return known.stripe_id
        intent = record_intent(scope, MAKE_METER, local_id, account.id, once=True)
    params: Json = {
        "display_name": metric,
        "event_name": event_name(scope, metric),
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    made = perform(scope, intent, lambda: account.create("billing.meter", params, intent=intent))
    _keep(scope, account.id, METER, local_id, str(made["id"]), "")
    with change(scope):
        settle(scope, intent, made["id"])
    return str(made["id"])


def _price(
    scope: Scope, account: ConnectedAccount, plan: Plan, price: Price, row: dict[str, Any], refers: dict[str, str]
) -> None:
    """Make the metered price of one allowance, unless the one that is there says the same."""
    local_id = uuid5(price.pk, row["metric"])
    params = overage_params(scope, plan, price, row) | {"product": refers["product"]}
    params["recurring"]["meter"] = refers["meter"]
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    with change(scope):
        known = _link(scope, account.id, OVERAGE, local_id)
        if known is not None and known.digest == digest:
            return
        intent = record_intent(scope, MAKE_PRICE, f"{local_id}:{digest[:16]}", account.id, once=True)
    made = perform(scope, intent, lambda: account.create("price", params, intent=intent))
    _keep(scope, account.id, OVERAGE, local_id, str(made["id"]), digest)
    with change(scope):
        settle(scope, intent, made["id"])


def overage_params(scope: Scope, plan: Plan, price: Price, row: dict[str, Any]) -> Json:
    """Return what Stripe's metered price is to say: the price's currency and rhythm, the allowance's terms."""
    terms = row["overage"]
    params: Json = {
        "currency": price.currency.lower(),
        "nickname": f"{plan.name}: {row['metric']}",
        "recurring": {
            "interval": str(price.interval), "interval_count": price.interval_count, "usage_type": "metered",
        },
        "metadata": mark(scope, stackbe_overage=row["metric"], stackbe_plan=plan.public_id),
    }  # fmt: skip
    if price.tax_behavior:
        params["tax_behavior"] = str(price.tax_behavior)
    if terms["scheme"] in {Price.Scheme.GRADUATED, Price.Scheme.VOLUME}:
        tiers = [
            {
                "up_to": "inf" if tier.get("upTo") is None else tier["upTo"],
                "unit_amount": tier.get("unitAmountCents") or 0,
                "flat_amount": tier.get("flatAmountCents") or 0,
            }
            for tier in terms["tiers"]
        ]
        return params | {"billing_scheme": "tiered", "tiers_mode": terms["scheme"], "tiers": tiers}
    params |= {"billing_scheme": "per_unit", "unit_amount": terms["unitAmountCents"]}
    if terms["scheme"] == Price.Scheme.PACKAGE:
        params["transform_quantity"] = {"divide_by": terms.get("packageSize") or 1, "round": "up"}
    return params


def _link(scope: Scope, account_id: str, kind: str, local_id: UUID) -> StripeObject | None:
    return StripeObject.objects.within(scope).filter(kind=kind, account_id=account_id, local_id=local_id).first()


def _keep(scope: Scope, account_id: str, kind: str, local_id: UUID, stripe_id: str, digest: str) -> None:
    with change(scope):
        StripeObject.unscoped.update_or_create(
            **owned_by(scope), kind=kind, local_id=local_id, account_id=account_id,
            defaults={"stripe_id": stripe_id, "digest": digest, "pushed_at": wall_clock()},
        )  # fmt: skip
