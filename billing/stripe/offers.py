"""What a checkout sells, what of the customer's stands in its way, and which open pages give way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from accounts.models import Customer
from billing.errors import PlanArchived, PlanNotFound
from billing.models import Checkout, Plan, PlanVersion, Price, Subscription
from billing.models.stripe import STANDING
from billing.stripe.errors import PlanNotForSale, StandsInTheWay
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

OVER = (Subscription.Status.CANCELED, Subscription.Status.INCOMPLETE)


def offer(scope: Scope, asked: dict[str, Any]) -> tuple[Plan, PlanVersion, Price]:
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


def refuse_second(
    scope: Scope, customer: Customer, organization_id: UUID | None, plan: Plan, version: PlanVersion
) -> None:
    """Raise `StandsInTheWay` for what runs already, unless one of the two is an add-on to the other."""
    # A free plan that Stripe does not know gives way to a paid one.
    rows = Subscription.objects.within(scope).exclude(status__in=OVER)
    owner = Q(organization_id=organization_id) if organization_id else Q(customer=customer, organization_id=None)
    rows = rows.filter(owner).exclude(plan_id__in=version.add_ons)
    if version.credits or rows.filter(plan_version__add_ons__contains=[plan.pk]).exists():
        return
    if found := list(rows.exclude(stripe_subscription_id="")):
        raise StandsInTheWay([(row.stripe_account, row.stripe_subscription_id) for row in found])


def supersede(
    scope: Scope,
    customer: Customer,
    organization_id: UUID | None,
    plan: Plan,
    price: Price,
    *,
    account_id: str,
    keep: Checkout | None,
) -> list[str]:
    """Put other open pages of the customer, or of who buys with them, aside; return those to expire at Stripe.

    A page stays `superseded` until Stripe has expired it, so that a call that failed is made up for. Two
    subscriptions are never wanted at once, so the pages of other plans go as well; of a one-time purchase
    only those of the same plan do. A page whose time is over, and of whose end we have not heard, is looked at as well:
    it may have been paid at the last moment. Where it lies on another account than `account_id`, its time is the end.
    """
    buyer = Q(customer=customer) | Q(organization_id=organization_id) if organization_id else Q(customer=customer)
    moment = now(scope)
    pages = Checkout.objects.within(scope).filter(buyer)
    over = pages.filter(status__in=STANDING, expires_at__lte=moment).exclude(account_id=account_id)
    over.update(status=Checkout.Status.EXPIRED)
    rows = pages.filter(Q(status__in=STANDING) | Q(status=Checkout.Status.SUPERSEDED, expires_at__gt=moment))
    if price.interval == Price.Interval.ONE_TIME:
        rows = rows.filter(plan=plan)
    else:
        rows = rows.exclude(price__interval=Price.Interval.ONE_TIME)
    if keep is not None:
        rows = rows.exclude(pk=keep.pk)
    return put_aside(scope, rows)


def put_aside(scope: Scope, pages: ScopedQuerySet[Checkout]) -> list[str]:
    """Let open pages give way; return those that Stripe must expire."""
    older = list(pages.locked())
    rows = Checkout.objects.within(scope).filter(pk__in=[each.pk for each in older])
    rows.update(status=Checkout.Status.SUPERSEDED)
    return [each.stripe_session_id for each in older if each.stripe_session_id]
