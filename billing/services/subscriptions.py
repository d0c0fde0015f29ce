"""The only writer of subscriptions: it follows Stripe, and opens and ends what Stripe need not know.

Each step is decided by billing/lifecycle.py, gets a row in the history with its cause, refreshes
access and tells the app. A cause reads `stripe:evt_…` or is the caller's id (`key_…`, `mem_…`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from accounts.errors import CustomerNotFound
from accounts.models import Customer, Organization, OrganizationMember
from billing import lifecycle
from billing.errors import (
    AlreadySubscribed,
    IllegalTransition,
    NoActiveSubscription,
    PlanArchived,
    PlanIsPaid,
    PlanNotFound,
    SubscriptionNotFound,
    TrialUsed,
    UnknownStripeReference,
)
from billing.facts import StripeSubscriptionFacts
from billing.models import Checkout, Plan, Price, StripeCustomer, Subscription
from billing.services import access, seats, trials
from billing.services.due import settings_of
from billing.services.steps import live_of, lock_customer, one_time_prices, take
from billing.states import Facts, State, Transition
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, render
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

CANCELED = Subscription.Status.CANCELED
LONGEST_PAUSE = timedelta(days=730)


def find_subscription(scope: Scope, subscription_id: str | UUID) -> Subscription:
    """Return an app's subscription; raise `SubscriptionNotFound`."""
    rows = Subscription.objects.within(scope).select_related("plan", "plan_version")
    return rows.fetch(subscription_id, SubscriptionNotFound)


def current_subscription(scope: Scope, customer: Customer) -> Subscription:
    """Return what a customer is subscribed to now; raise `NoActiveSubscription`."""
    found = access.current_subscription(scope, customer.id)
    if found is None:
        raise NoActiveSubscription
    return found


def apply_stripe_subscription(scope: Scope, facts: StripeSubscriptionFacts, cause: str) -> Subscription:
    """Bring our row to what Stripe says, make it if there is none, and return it.

    However often and in whatever order facts come, the newest stand: older ones change nothing. The
    caller holds the lease on the object. Raises `UnknownStripeReference` for a customer or a price
    that is none of ours, and `IllegalTransition` for what Stripe's own rules exclude.
    """
    require_change()
    known = _of_stripe(scope, facts).first()
    customer = known.customer if known else _customer(scope, facts)
    # Two syncs of one new subscription, and a free plan opened meanwhile, meet at the customer.
    lock_customer(scope, customer.id)
    row = _of_stripe(scope, facts).locked().first()
    moment = now(scope)
    before = State.of(row) if row else None
    step = lifecycle.follow(before, _plain(scope, facts, row), moment, grace_of(scope))
    if step is None and row is not None:
        return row
    if step is None:
        raise RuntimeError("new facts are never stale")
    if row is None:
        row = Subscription(
            **owned_by(scope),
            customer=customer,
            organization_id=facts.organization_id,
            stripe_account=facts.account,
            stripe_subscription_id=facts.stripe_subscription_id,
            created_at=facts.created_at or moment,
        )
        if step.after.status != CANCELED:
            row.plan_id = step.after.plan_id
            _make_room(scope, row, step.after.status, moment, cause)
    row.cancel_reason = facts.cancel_reason[:255]
    row = take(scope, row, step, moment, cause)
    seats.catch_up(scope, row)
    return row


def step_to(scope: Scope, facts: StripeSubscriptionFacts) -> tuple[Subscription | None, Transition | None]:
    """Return our row and the step that `apply_stripe_subscription` would take, without taking it.

    Raises as it does. Runs inside reading() or change().
    """
    row = _of_stripe(scope, facts).first()
    before = State.of(row) if row else None
    return row, lifecycle.follow(before, _plain(scope, facts, row), now(scope), grace_of(scope))


def end_here(scope: Scope, row: Subscription, step: Transition, *, reason: str = "") -> Subscription:
    """End here alone what is on a Stripe account that cannot be reached. There it goes on until it is ended there."""
    require_change()
    row.cancel_reason = reason[:255]
    row = take(scope, row, step, now(scope), scope.actor)
    detail = {"account": row.stripe_account, "stripe_id": row.stripe_subscription_id}
    audit(scope, "subscription.ended_here_only", row.public_id, subject_id=row.customer_id, detail=detail)
    return row


def open_free_subscription(
    scope: Scope,
    *,
    customer_id: str | UUID,
    plan_id: str | UUID,
    organization_id: str | UUID | None = None,
    trial_days: int | None = None,
) -> Subscription:
    """Subscribe a customer to a free plan, or to a trial that wants no card; or their organization to a free plan.

    Nothing is paid, so Stripe need not know. `trial_days` takes the place of the plan's, and grants a trial to who
    had one already. Raises `PlanIsPaid` for any other plan, `AlreadySubscribed` beside a live subscription,
    `TrialUsed`, and for an organization as `seats.run_by` does.
    """
    require_change()
    customer = _live_customer(scope, customer_id)
    trials.hold_company(scope, customer)
    lock_customer(scope, customer.id)
    organization = None if organization_id is None else seats.run_by(scope, organization_id, customer.id)
    plan = Plan.objects.within(scope).fetch(plan_id, PlanNotFound)
    if not plan.active:
        raise PlanArchived
    version = plan.current_version()
    free = all(price.free for price in version.live_prices())
    days = version.trial_days if trial_days is None else trial_days
    cardless = days > 0 and not version.trial_requires_card and organization is None
    if not free and not cardless:
        raise PlanIsPaid(fields={"planId": [PlanIsPaid.message]})
    moment = now(scope)
    _settle(scope, customer.id, moment)
    live = list(live_of(scope, customer.id, organization))
    beside = any(plan.id in each.plan_version.add_ons for each in live)
    if live and not beside:
        raise AlreadySubscribed
    if not free and trial_days is None:
        if trials.had_trial(scope, customer, plan.id):
            raise TrialUsed
        trials.refuse_used_by_company(scope, customer)
        trials.refuse_offered_to_company(scope, customer)
    step = lifecycle.open_free(plan.id, version.id, moment, 0 if free else days)
    row = Subscription(
        **owned_by(scope),
        customer=customer,
        organization_id=organization,
        beside_another=beside,
        created_at=moment,
    )
    row = take(scope, row, step, moment, scope.actor)
    audit(scope, "subscription.created", row.public_id, subject_id=customer.id, detail={"plan": plan.slug})
    return row


def decide_cancel(
    scope: Scope, subscription_id: str | UUID, *, immediately: bool = False
) -> tuple[Subscription, Transition | None]:
    """Return the locked subscription and the step that cancelling it takes, None where it is so already.

    Nothing is written: the caller asks Stripe first, or takes the step with `take_step`.
    """
    require_change()
    row = locked_by_id(scope, subscription_id)
    return row, lifecycle.plan_cancel(State.of(row), now(scope), immediately=immediately)


def decide_reactivation(scope: Scope, subscription_id: str | UUID) -> tuple[Subscription, Transition | None]:
    """Return the locked subscription and the step that takes its set end back, None where none is set.

    Raises `IllegalTransition` once it has ended.
    """
    require_change()
    row = locked_by_id(scope, subscription_id)
    return row, lifecycle.plan_reactivation(State.of(row), now(scope))


def decide_pause(
    scope: Scope, subscription_id: str | UUID, *, resumes_at: datetime | None = None
) -> tuple[Subscription, Transition | None]:
    """Return the locked subscription and the step that pauses it, None where it is paused so already.

    Raises `IllegalTransition` where nothing runs, and `ValidationFailed` for a date that has passed.
    """
    require_change()
    row = locked_by_id(scope, subscription_id)
    moment = now(scope)
    if resumes_at is not None and not moment < resumes_at <= moment + LONGEST_PAUSE:
        raise ValidationFailed(fields={"resumesAt": ["Must lie in the future, and no more than two years ahead."]})
    refuse_bought_once(row)
    whole = resumes_at and resumes_at.replace(microsecond=0)  # Stripe counts in seconds.
    return row, lifecycle.plan_pause(State.of(row), moment, whole)


def decide_resume(scope: Scope, subscription_id: str | UUID) -> tuple[Subscription, Transition | None]:
    """Return the locked subscription and the step that ends its pause, None where there is none.

    Raises `IllegalTransition` once it has ended.
    """
    require_change()
    row = locked_by_id(scope, subscription_id)
    return row, lifecycle.plan_resume(State.of(row), now(scope))


def refuse_bought_once(row: Subscription) -> None:
    """Raise `IllegalTransition` for what was paid once: it has no periods in which anything could change."""
    if row.price is not None and row.price.interval == Price.Interval.ONE_TIME:
        raise IllegalTransition("This plan was paid once and lasts. It can be cancelled, and that is all.")


def take_step(scope: Scope, row: Subscription, step: Transition, *, reason: str = "") -> Subscription:
    """Take a decided step on a subscription that Stripe does not know. The caller is its cause."""
    require_change()
    if row.stripe_subscription_id:
        raise RuntimeError("a Stripe subscription follows Stripe: ask there, then apply what it says")
    if reason:
        row.cancel_reason = reason[:255]
    row = take(scope, row, step, now(scope), scope.actor)
    audit(scope, step.event, row.public_id, subject_id=row.customer_id, detail={"step": step.name})
    return row


def grant_purchase(scope: Scope, checkout: Checkout, cause: str) -> Subscription:
    """Give a customer what they paid for once: the plan, without period and without end.

    It stands beside any subscription, and a checkout grants it once, however often it is told of.
    """
    require_change()
    lock_customer(scope, checkout.customer_id)
    known = Subscription.objects.within(scope).filter(pk=checkout.pk).first()
    if known is not None:
        return known
    moment = now(scope)
    step = lifecycle.open_free(checkout.plan_id, checkout.plan_version_id, moment, 0)
    bought = replace(step.after, price_id=checkout.price_id, quantity=checkout.quantity)
    row = Subscription(
        **owned_by(scope),
        id=checkout.pk,
        customer=checkout.customer,
        organization_id=checkout.organization_id,
        beside_another=True,
        created_at=moment,
    )
    return take(scope, row, replace(step, after=bought), moment, cause)


def follow_money(scope: Scope, subscription_id: UUID, cause: str, *, went_back: bool) -> None:
    """Take access away for money that went back, or give it back for a payment that came.

    Whether money that goes back takes access away is for the app to say; the caller asks it.
    """
    require_change()
    row = locked_by_id(scope, subscription_id)
    moment, state = now(scope), State.of(row)
    step = lifecycle.plan_revocation(state, moment) if went_back else lifecycle.plan_restoration(state)
    if step is not None:
        take(scope, row, step, moment, cause)


def pass_date(scope: Scope, customer_id: UUID) -> None:
    """Do what a date in a customer's access asks for: end what is over, then work access out anew."""
    require_change()
    lock_customer(scope, customer_id)
    _settle(scope, customer_id, now(scope))
    access.refresh_access(scope, customer_id)


def end_free_subscriptions(scope: Scope, customer_id: UUID) -> int:
    """End now what a customer who is being erased has without Stripe; return how many there were."""
    require_change()
    moment = now(scope)
    rows = Subscription.objects.within(scope).locked().select_related("customer")
    live = rows.filter(customer_id=customer_id, stripe_subscription_id="").exclude(status=CANCELED)
    ended = 0
    for row in live:
        step = lifecycle.plan_cancel(State.of(row), moment, immediately=True)
        if step is not None:
            take(scope, row, step, moment, "system:erasure")
            ended += 1
    return ended


def access_of(subscription: Subscription, moment: datetime) -> dict[str, Any]:
    """Return `{hasAccess, reason, until}` of one subscription at a moment of its app's clock."""
    starts, until = subscription.access_from, subscription.access_until
    has = (starts is None or starts <= moment) and (until is None or moment < until)
    status = lifecycle.status_at(State.of(subscription), moment)
    if subscription.revoked_at is not None and status != CANCELED:
        return {"hasAccess": False, "reason": "revoked", "until": None}
    reasons = {"past_due": "past_due_in_grace" if has else "grace_period_over"}
    reason = reasons.get(status, status)
    if not has and status in {"active", "trialing"}:
        reason = "period_over"
    return {"hasAccess": has, "reason": reason, "until": render(until) if has else None}


def live_stripe_subscriptions(scope: Scope, customer_id: UUID) -> list[tuple[str, str]]:
    """Return `(account, stripe id)` of what must be cancelled at Stripe before a customer is erased.

    An organization's subscription that the customer bought is among them only if nobody else is left.
    """
    rows = Subscription.objects.within(scope).filter(customer_id=customer_id)
    rows = rows.exclude(status=CANCELED).exclude(stripe_subscription_id="")
    return [
        (row.stripe_account, row.stripe_subscription_id)
        for row in rows
        if row.organization_id is None or not _has_others(scope, row.organization_id, customer_id)
    ]


def grace_of(scope: Scope) -> timedelta:
    """Return how long the app lets a customer keep access after a failed payment."""
    return timedelta(days=settings_of(scope).grace_period_days)


def _plain(scope: Scope, facts: StripeSubscriptionFacts, row: Subscription | None) -> Facts:
    """Return Stripe's facts with our plan in place of Stripe's price."""
    prices = Price.objects.within(scope).select_related("plan_version")
    price = prices.filter(stripe_account=facts.account, stripe_price_id=facts.stripe_price_id).first()
    # A price that somebody made by hand at Stripe changes what is paid, not what was agreed on.
    price_id: UUID | None
    if price is not None:
        plan_id, version_id, price_id = price.plan_version.plan_id, price.plan_version_id, price.id
    elif row is not None:
        plan_id, version_id, price_id = row.plan_id, row.plan_version_id, row.price_id
    else:
        raise UnknownStripeReference
    return Facts(
        status=facts.status,
        plan_id=plan_id,
        plan_version_id=version_id,
        price_id=price_id,
        as_of=facts.fetched_at,
        quantity=facts.quantity,
        current_period_start=facts.current_period_start,
        current_period_end=facts.current_period_end,
        cancel_at_period_end=facts.cancel_at_period_end,
        cancel_at=facts.cancel_at,
        canceled_at=facts.canceled_at,
        ended_at=facts.ended_at,
        trial_start=facts.trial_start,
        trial_end=facts.trial_end,
        trial_has_card=facts.trial_has_card,
        collection_paused=facts.collection_paused,
        resumes_at=facts.resumes_at,
        **_coming(scope, facts),
    )


def _coming(scope: Scope, facts: StripeSubscriptionFacts) -> dict[str, Any]:
    """Return what the subscription is to become, where that is a plan of ours."""
    if not facts.next_stripe_price_id:
        return {}
    prices = Price.objects.within(scope).select_related("plan_version")
    price = prices.filter(stripe_account=facts.account, stripe_price_id=facts.next_stripe_price_id).first()
    if price is None:
        return {}
    return {
        "next_plan_id": price.plan_version.plan_id,
        "next_quantity": facts.next_quantity,
        "next_at": facts.next_at,
        "next_awaits": facts.next_awaits,
    }


def _make_room(scope: Scope, row: Subscription, status: str, moment: datetime, cause: str) -> None:
    """End the free plan that a paid one takes the place of, or mark the newcomer as one beside another.

    What is an add-on to a plan that runs takes no place, and neither does a free add-on give way.
    """
    live = live_of(scope, row.customer_id, row.organization_id)
    live = live.exclude(price__in=one_time_prices(scope))
    adds = any(row.plan_id in other.plan_version.add_ons for other in live)
    for other in live.filter(stripe_subscription_id="", beside_another=False).exclude(pk=row.pk):
        if status != Subscription.Status.INCOMPLETE and not adds:
            step = lifecycle.plan_cancel(State.of(other), moment, immediately=True)
            if step is not None:
                take(scope, other, step, moment, cause)
    row.beside_another = live.exclude(pk=row.pk).exists()


def _settle(scope: Scope, customer_id: UUID, moment: datetime) -> None:
    """End and resume what the clock has, among the subscriptions that Stripe does not know."""
    for row in live_of(scope, customer_id, None).filter(stripe_subscription_id=""):
        step = lifecycle.pass_time(State.of(row), moment)
        if step is not None:
            take(scope, row, step, moment, "system:clock")


def _of_stripe(scope: Scope, facts: StripeSubscriptionFacts) -> ScopedQuerySet[Subscription]:
    rows = Subscription.objects.within(scope).select_related("customer")
    return rows.filter(stripe_account=facts.account, stripe_subscription_id=facts.stripe_subscription_id)


def locked_by_id(scope: Scope, subscription_id: str | UUID) -> Subscription:
    """Return a subscription, held together with its customer; raise `SubscriptionNotFound`."""
    require_change()
    found = Subscription.objects.within(scope).fetch(subscription_id, SubscriptionNotFound)
    lock_customer(scope, found.customer_id)
    rows = Subscription.objects.within(scope).locked().select_related("plan", "plan_version", "customer", "price")
    return rows.fetch(found.pk, SubscriptionNotFound)


def _live_customer(scope: Scope, customer_id: str | UUID) -> Customer:
    rows = Customer.objects.within(scope).filter(deleted_at__isnull=True)
    return rows.fetch(customer_id, CustomerNotFound)


def _customer(scope: Scope, facts: StripeSubscriptionFacts) -> Customer:
    """Return whose new subscription this is: metadata of ours names them, else the Stripe customer does."""
    links = StripeCustomer.objects.within(scope).filter(account_id=facts.account)
    link = links.filter(stripe_customer_id=facts.stripe_customer_id).first()
    customer_id = facts.customer_id or (link.customer_id if link else None)
    customer = Customer.objects.within(scope).filter(Q(pk=customer_id)).first() if customer_id else None
    if customer is None:
        raise UnknownStripeReference
    if facts.organization_id is not None:
        known = Organization.objects.within(scope).filter(pk=facts.organization_id)
        if not known.exists():
            raise UnknownStripeReference
    return customer


def _has_others(scope: Scope, organization_id: UUID, customer_id: UUID) -> bool:
    places = OrganizationMember.objects.within(scope).filter(organization_id=organization_id)
    return places.exclude(customer_id=customer_id).exists()
