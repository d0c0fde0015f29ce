"""Where Stripe's side and ours differ, in words: read from the mirror, so that looking costs no call.

Runs inside reading() or change(). `repair` queues the work that makes the two equal again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from djstripe import models as mirror

from billing.models import Plan, Price, StripeObject, Subscription
from billing.states import STATUS_OF
from billing.stripe.catalogue_push import price_params, push_plan
from billing.stripe.connect import connection_of
from billing.stripe.queue import defer_push_plan, defer_sync
from stackbe.kernel.transactions import reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact on which the two sides disagree. `subject` is our public id, `stripe_id` Stripe's."""

    kind: str
    subject: str
    stripe_id: str
    field: str
    ours: str
    theirs: str

    @property
    def sentence(self) -> str:
        """Return it as one sentence for a page."""
        return f"{self.kind.capitalize()} {self.subject}: {self.field} is {self.ours} here and {self.theirs} at Stripe."


def find_drift(scope: Scope) -> list[Difference]:
    """Return all differences between the app's rows and what the mirror last saw of its account.

    Raises `StripeNotConnected`. An object that was pushed but is not mirrored yet is no difference.
    """
    account_id = connection_of(scope).account_id
    return [*_products(scope, account_id), *_prices(scope, account_id), *_subscriptions(scope, account_id)]


def repair(scope: Scope) -> int:
    """Queue in the open change what removes the differences; return how many there were.

    The catalogue is ours to say and is pushed again; subscriptions are Stripe's and are fetched again.
    """
    require_change()
    found = find_drift(scope)
    account_id = connection_of(scope).account_id
    if any(each.kind != "subscription" for each in found):
        for plan in Plan.objects.within(scope):
            defer_push_plan(scope, plan.pk, say_again=True)
    for stripe_id in sorted({each.stripe_id for each in found if each.kind == "subscription"}):
        defer_sync(scope, account_id, "subscription", stripe_id, cause="system:repair")
    return len(found)


def catalogue_drift(scope: Scope) -> list[Difference]:
    """Return the differences in what is sold alone. Runs inside reading() or change()."""
    return [each for each in find_drift(scope) if each.kind != "subscription"]


def repair_catalogue(scope: Scope) -> None:
    """Say every plan to Stripe again, here and now. Raises as `push_plan` does."""
    with reading(scope):
        plans = list(Plan.objects.within(scope).values_list("pk", flat=True))
    for plan_id in plans:
        push_plan(scope, plan_id, say_again=True)


def _mirrored(model: Any, account_id: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = model.objects.filter(djstripe_owner_account_id=account_id, id__in=ids)
    return dict(rows.values_list("id", "stripe_data"))


def _products(scope: Scope, account_id: str) -> list[Difference]:
    links = list(StripeObject.objects.within(scope).filter(account_id=account_id, kind=StripeObject.Kind.PRODUCT))
    seen = _mirrored(mirror.Product, account_id, [link.stripe_id for link in links])
    plans = Plan.objects.within(scope).select_related("product")
    products = {plan.product_id: plan.product for plan in plans}
    found = []
    for link in links:
        product, theirs = products.get(link.local_id), seen.get(link.stripe_id)
        if product is None or theirs is None:
            continue
        facts = {"name": (product.name, theirs.get("name")), "active": (product.active, theirs.get("active"))}
        found += _compared("product", product.public_id, link.stripe_id, facts)
    return found


def _prices(scope: Scope, account_id: str) -> list[Difference]:
    rows = Price.objects.within(scope).filter(stripe_account=account_id).exclude(stripe_price_id="")
    prices = list(rows.select_related("plan_version__plan"))
    seen = _mirrored(mirror.Price, account_id, [price.stripe_price_id for price in prices])
    found = []
    for price in prices:
        plan, theirs = price.plan_version.plan, seen.get(price.stripe_price_id)
        if theirs is None:
            continue
        sold = plan.active and price.replaced_at is None and price.plan_version.number == plan.version
        wanted = price_params(scope, plan, price)
        facts = {
            "active": (sold, theirs.get("active")),
            "currency": (wanted["currency"], theirs.get("currency")),
            "amount": (wanted.get("unit_amount"), theirs.get("unit_amount")),
        }
        found += _compared("price", price.public_id, price.stripe_price_id, facts)
    return found


def _subscriptions(scope: Scope, account_id: str) -> list[Difference]:
    rows = list(Subscription.objects.within(scope).filter(stripe_account=account_id).exclude(stripe_subscription_id=""))
    seen = _mirrored(mirror.Subscription, account_id, [row.stripe_subscription_id for row in rows])
    found = []
    for row in rows:
        theirs = seen.get(row.stripe_subscription_id)
        if theirs is None:
            continue
        status = STATUS_OF.get(theirs.get("status", ""), theirs.get("status"))
        if theirs.get("pause_collection") and status != Subscription.Status.CANCELED:
            status = Subscription.Status.PAUSED
        ends = bool(theirs.get("cancel_at_period_end")) and status != Subscription.Status.CANCELED
        facts = {"status": (str(row.status), str(status)), "end of renewal": (row.cancel_at_period_end, ends)}
        found += _compared("subscription", row.public_id, row.stripe_subscription_id, facts)
    return found


def _compared(kind: str, subject: str, stripe_id: str, facts: dict[str, tuple[Any, Any]]) -> list[Difference]:
    return [
        Difference(kind, subject, stripe_id, field, str(ours), str(theirs))
        for field, (ours, theirs) in facts.items()
        if ours != theirs
    ]
