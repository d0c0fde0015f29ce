"""Another plan or quantity for a subscription that runs: what it is, and when it takes hold.

Up now, down at the renewal, unless the caller says otherwise: nobody waits for what they want to pay
for, and nobody loses what they have paid for. So too a plan goes to a longer rhythm now, to a shorter at the
renewal. Nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from billing import lifecycle
from billing.errors import ChangeWaits, PlanArchived, PlanIsPaid, PlanNotFound
from billing.models import Plan, PlanVersion, Price, Subscription
from billing.services import seats
from billing.services.amounts import yearly_cents
from billing.services.subscriptions import locked_by_id, refuse_bought_once
from billing.states import State, Terms, Transition
from stackbe.kernel.clock import now
from stackbe.kernel.errors import Conflict, ValidationFailed
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

NOW, PERIOD_END = "now", "period_end"
# About how long an interval is, to tell the longer of two.
DAYS = {"week": 7, "month": 30, "year": 365, "one_time": 0}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a change comes to. `step` is None where the subscription is that way already."""

    row: Subscription
    plan: Plan
    price: Price | None
    quantity: int
    when: str
    step: Transition | None


def decide_change(
    scope: Scope,
    subscription_id: str | UUID,
    *,
    plan_id: str | None = None,
    quantity: int | None = None,
    interval: str | None = None,
    when: str | None = None,
    newest: bool = False,
) -> Decision:
    """Return what a change of plan, quantity or rhythm comes to, with the subscription locked.

    Another rhythm of the same plan is a new agreement, so it is the newest version's. `newest` takes the
    subscription to its own plan's newest version, as `decide_migration` does.

    Raises `SubscriptionNotFound`, `PlanNotFound`, `PlanArchived`, `PlanIsPaid` for a free subscription
    that is to cost money, `ValidationFailed` for a plan that it cannot go to, and `IllegalTransition`
    for a state that does not allow it.
    """
    require_change()
    if plan_id is None and quantity is None and interval is None and not newest:
        raise ValidationFailed(fields={"planId": ["Give planId, quantity or interval."]})
    row = locked_by_id(scope, subscription_id)
    if newest:
        return decide_migration(scope, row, when or PERIOD_END)
    state, moment = State.of(row), now(scope)
    refuse_bought_once(row)
    lifecycle.refuse_change(state, moment)
    plan = row.plan if plan_id is None else Plan.objects.within(scope).fetch(plan_id, PlanNotFound)
    if interval is not None and not row.stripe_subscription_id:
        raise ValidationFailed(fields={"interval": ["This subscription is free, and has no rhythm."]})
    turns = interval is not None and (row.price is None or row.price.interval != interval)
    if plan.pk == row.plan_id and not turns:
        # They keep the version and the price that they agreed to.
        version, price = row.plan_version, row.price
    else:
        version, price = _offer(scope, plan, row, interval)
    wanted = _quantity(scope, row, version, price, quantity)
    chosen = when or _natural_time(row, price, wanted)
    if not row.stripe_subscription_id:
        chosen = NOW  # There is no renewal that it could wait for.
    terms = Terms(plan.pk, version.pk, price.pk if price else None, wanted)
    return Decision(row, plan, price, wanted, chosen, lifecycle.plan_change(state, terms, moment, now=chosen == NOW))


def decide_migration(scope: Scope, row: Subscription, when: str) -> Decision:
    """Return what taking a subscription to its plan's newest version comes to; the quantity stays as it is.

    Holds nothing, so that a preview may ask for many. Raises as `decide_change` does, and `ChangeWaits` where
    something else is planned.
    """
    state, moment = State.of(row), now(scope)
    refuse_bought_once(row)
    lifecycle.refuse_change(state, moment)
    if row.next_awaits:
        raise ChangeWaits
    version, price = _offer(scope, row.plan, row)
    wanted = _quantity(scope, row, version, price, row.quantity)
    chosen = when if row.stripe_subscription_id else NOW
    terms = Terms(row.plan_id, version.pk, price.pk, wanted)
    step = lifecycle.plan_change(state, terms, moment, now=chosen == NOW)
    return Decision(row, row.plan, price, wanted, chosen, step)


def decide_withdrawal(scope: Scope, subscription_id: str | UUID) -> tuple[Subscription, Transition | None]:
    """Return the locked subscription and the step that takes a waiting change back, None where none waits."""
    require_change()
    row = locked_by_id(scope, subscription_id)
    return row, lifecycle.plan_withdrawal(State.of(row))


def _offer(scope: Scope, plan: Plan, row: Subscription, interval: str | None = None) -> tuple[PlanVersion, Price]:
    """Return a plan's newest version and the price of it that a subscription can go on with.

    That is one in its currency, and in `interval` where that is named; else in its rhythm if there is such a one.
    """
    if not plan.active:
        raise PlanArchived
    version = plan.current_version()
    prices = version.live_prices()
    free = all(price.free for price in prices)
    if not row.stripe_subscription_id:
        if not free:
            raise PlanIsPaid(fields={"planId": [PlanIsPaid.message]})
        return version, prices[0]
    if free:
        sentence = (
            "This plan is free, and Stripe bills nothing for it. Cancel the subscription; the customer can be given"
            " the free plan with POST /v1/subscriptions once it has ended."
        )
        raise ValidationFailed(fields={"planId": [sentence]})
    recurring = [p for p in prices if p.interval != Price.Interval.ONE_TIME and not p.free]
    if not recurring:
        sentence = "This plan is paid once. Sell it with POST /v1/checkout/session."
        raise ValidationFailed(fields={"planId": [sentence]})
    currency = row.price.currency if row.price else recurring[0].currency
    same = [price for price in recurring if price.currency == currency]
    if not same:
        sentence = f"This plan has no price in {currency}, in which the subscription is paid. Add one to the plan."
        raise ValidationFailed(fields={"planId": [sentence]})
    if interval is not None:
        fitting = [price for price in same if price.interval == interval]
        if not fitting:
            offers = ", ".join(dict.fromkeys(price.interval for price in same))
            sentence = f"The plan has no such price in {currency}. It has: {offers}."
            raise ValidationFailed(fields={"interval": [sentence]})
        return version, fitting[0]
    rhythm = (row.price.interval, row.price.interval_count) if row.price else None
    return version, next((p for p in same if (p.interval, p.interval_count) == rhythm), same[0])


def _quantity(scope: Scope, row: Subscription, version: PlanVersion, price: Price | None, asked: int | None) -> int:
    per_seat = row.organization_id is not None and seats.is_per_seat(version, price)
    if row.organization_id is not None and per_seat:
        filled = seats.quantity_for(scope, row.organization_id, version)
        if asked is not None and asked < filled:
            sentence = f"The organization's members fill {filled}. Remove members first, or ask for at least as many."
            raise Conflict(sentence)
        return asked if asked is not None else max(filled, 1)
    return asked if asked is not None else row.quantity


def _natural_time(row: Subscription, price: Price | None, quantity: int) -> str:
    if row.price is None or price is None:
        return NOW
    longer = _days(price) - _days(row.price)
    if longer and price.plan_version.plan_id == row.plan_id:
        return NOW if longer > 0 else PERIOD_END
    less = yearly_cents(price, quantity) < yearly_cents(row.price, row.quantity)
    return PERIOD_END if less else NOW


def _days(price: Price) -> int:
    return DAYS[price.interval] * price.interval_count
