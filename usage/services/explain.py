"""How an answer came about, step by step, and the smallest change that would make it a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import F, Q

from accounts.granted import counting
from billing.lifecycle import status_at
from billing.models import Access, EntitlementOverride, Feature, PlanVersion, Subscription
from billing.services.access import current_subscription
from billing.services.grants import Catalogue
from billing.states import State
from stackbe.kernel.clock import render
from stackbe.kernel.errors import Forbidden
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential
from usage.decisions import opens
from usage.services.credits import spendable
from usage.services.figures import LEVELS
from usage.services.reservations import live_holds
from usage.services.summary import standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from usage.decisions import Decision, Granted
    from usage.services.figures import Figures

MOST_PLANS = 200
Step = dict[str, str]


def explained(scope: Scope, customer_id: UUID, feature: str, granted: Granted, decision: Decision) -> dict[str, Any]:
    """Return `explanation`, the steps in the order in which they count, and `wouldAllow`, null where nothing is amiss.

    It names who granted what, so a customer's own session may not ask for it.
    """
    if scope.credential == Credential.SESSION:
        raise Forbidden("An explanation is for the app's backend: ask with an API key.")
    subscription = current_subscription(scope, customer_id)
    known = Feature.objects.within(scope).filter(key=feature, archived_at__isnull=True).first()
    metric = known.metric if known and known.metric else feature
    figures = next(iter(standing(scope, customer_id, [metric])), None)
    steps = [
        *_of_subscription(scope, customer_id, subscription, granted),
        *_of_plan(granted, subscription, feature),
        *_of_override(scope, customer_id, subscription, granted, feature),
    ]
    if figures is not None:
        steps += _of_usage(scope, customer_id, figures)
    steps.append(_step("answer", _answer(decision, figures)))
    if known is None and not decision.has_access:
        would_allow: dict[str, str] | None = _definition(feature)
    else:
        would_allow = _smallest_change(scope, subscription, feature, granted, decision, figures)
    return {"explanation": steps, "wouldAllow": would_allow}


def _answer(decision: Decision, figures: Figures | None) -> str:
    if not decision.has_access:
        return f"It may not be used: {decision.reason}."
    by = figures.refused_by(1) if figures is not None else None
    if figures is None or by is None:
        return "It may be used."
    used_up = {"plan": "what was granted", "spend_cap": "what overage may cost"}.get(by, f"the limit of this {by}")
    return f"It is granted, and no more of {figures.metric} can be counted now: {used_up} is used up."


def _step(name: str, detail: str, *, by: str | None = None, until: datetime | str | None = None) -> Step:
    end = until if isinstance(until, str) else render(until)
    return {"step": name, "detail": detail} | ({"by": by} if by else {}) | ({"until": end} if end else {})


def _of_subscription(scope: Scope, customer_id: UUID, row: Subscription | None, granted: Granted) -> list[Step]:
    """Say which subscription there is, in what state, and whether it or the default plan counts."""
    access = Access.objects.within(scope).filter(customer_id=customer_id).first()
    until = access.access_until if access and granted.answered_by == "access" else None
    steps = []
    if row is not None:
        whose = f" of the organization {encode('org', row.organization_id)}" if row.organization_id else ""
        status = status_at(State.of(row), granted.moment)
        detail = f"The subscription {row.public_id}{whose} to the plan {row.plan.slug} is {status}."
        steps.append(_step("subscription", detail, until=until))
        if status == Subscription.Status.TRIALING:
            steps.append(_step("trial", "It is in trial.", until=row.trial_end))
        if status == Subscription.Status.PAST_DUE:
            over = row.grace_period_ends_at is None or row.grace_period_ends_at <= granted.moment
            said = "and the grace period is over" if over else "and access goes on for the grace period"
            steps.append(_step("grace", f"A payment is due, {said}.", until=row.grace_period_ends_at))
        if status == Subscription.Status.PAUSED:
            steps.append(_step("pause", "It is paused.", until=row.resumes_at))
    elif granted.answered_by == "access":
        steps.append(_step("subscription", f"What they have comes from {granted.source}.", until=until))
    else:
        steps.append(_step("subscription", "They have no subscription."))
    if granted.answered_by == "default":
        steps.append(_step("default_plan", f"So the app's default plan counts: {granted.source}."))
    elif granted.answered_by is None:
        steps.append(_step("default_plan", "Nothing of it grants access now, and the app has no default plan."))
    return steps


def _of_plan(granted: Granted, row: Subscription | None, feature: str) -> list[Step]:
    if granted.answered_by is None:
        return []
    version = ""
    if row is not None and granted.answered_by == "access":
        version = f" (version {row.plan_version.number} of {row.plan.slug})"
    if feature not in granted.values:
        return [_step("plan", f"{granted.source}{version} does not grant {feature}.")]
    return [_step("plan", f"{granted.source}{version} grants {feature} = {_shown(granted.values[feature])}.")]


def _of_override(
    scope: Scope, customer_id: UUID, subscription: Subscription | None, granted: Granted, feature: str
) -> list[Step]:
    """Say what was granted beside the plan: to the subscription, then to the customer, whose own counts."""
    whose = Q(customer_id=customer_id, subscription_id__isnull=True)
    if subscription is not None and granted.answered_by == "access":
        whose |= Q(subscription_id=subscription.id)
    rows = EntitlementOverride.objects.within(scope).filter(whose, feature=feature)
    steps = []
    for row in sorted(rows, key=lambda row: row.subscription_id is None):
        over = row.expires_at is not None and row.expires_at <= granted.moment
        said = "has run out" if over else f"sets it to {_shown(row.value)}"
        of = "An override" if row.subscription_id is None else "An override of the subscription"
        steps.append(_step("override", f"{of} {said}: {row.reason}", by=row.granted_by, until=row.expires_at))
    grant = counting(granted.overrides.get(feature), granted.moment)
    if grant is not None and (not steps or grant.get("source") == "addon"):
        name, what = ("add_on", "An add-on") if grant.get("source") == "addon" else ("override", "An override")
        steps.append(_step(name, f"{what} makes it {_shown(grant['value'])}.", until=grant["until"]))
    return steps


def _of_usage(scope: Scope, customer_id: UUID, figures: Figures) -> list[Step]:
    """Say what was used of a metered feature, what credits and holds there are, and its windows."""
    most = "without a limit" if figures.limit is None else f"of {figures.limit}, a {figures.mode} limit"
    steps = [_step("usage", f"{figures.used} used {most}.", until=figures.ends)]
    if figures.carried > 0:
        steps.append(_step("rollover", f"{figures.carried} rolled over from the period before.", until=figures.ends))
    steps += [
        _step(
            "credits",
            f"{row.remaining} left of the {row.quantity} credits {row.public_id}.",
            by=row.granted_by,
            until=row.expires_at,
        )
        for row in spendable(scope, customer_id)
        if row.metric.name == figures.metric
    ]
    steps += [
        _step("hold", f"{held.quantity} held by {held.public_id}.", until=held.expires_at)
        for held in live_holds(scope, customer_id)
        if held.metric.name == figures.metric
    ]
    return steps + [
        _step("window", f"{window.used} of {window.limit} used in this {window.per}.", until=window.ends)
        for window in figures.windows
    ]


def _more_of_it(feature: str, figures: Figures | None) -> dict[str, str] | None:
    """Return what would let more of a granted feature be used, None where more can be."""
    by = figures.refused_by(1) if figures is not None else None
    if figures is None or by is None:
        return None
    if by in {"day", "hour"}:
        return {"change": "wait", "detail": f"Wait for the next {by}.", "metric": figures.metric}
    if figures.aggregation in LEVELS:
        return {"change": "override", "detail": f"Override {feature} with a higher limit.", "feature": feature}
    return {"change": "credits", "detail": f"Grant credits of {figures.metric}.", "metric": figures.metric}


def _smallest_change(
    scope: Scope,
    row: Subscription | None,
    feature: str,
    granted: Granted,
    decision: Decision,
    figures: Figures | None,
) -> dict[str, str] | None:
    if decision.has_access:
        return _more_of_it(feature, figures)
    if decision.source == "override":
        # It wins over every plan, so no plan would help.
        taken_back = feature in granted.values and opens(granted.values[feature])
        detail = "Take the override of {} back." if taken_back else "Override {} with a value that grants it."
        return {"change": "override", "detail": detail.format(feature), "feature": feature}
    status = status_at(State.of(row), granted.moment) if row is not None else None
    if granted.answered_by != "access" and row is not None and _would_grant(scope, row, feature):
        if status == Subscription.Status.PAST_DUE:
            return {"change": "payment", "detail": f"Pay what is due for {row.public_id}."}
        if status == Subscription.Status.PAUSED:
            return {"change": "resume", "detail": f"Resume {row.public_id}."}
    add_ons = row.plan_version.add_ons if row is not None and granted.answered_by == "access" else ()
    cheapest = _cheapest_plan(scope, feature, add_ons)
    if cheapest is not None:
        plan = cheapest.plan
        detail = f"Subscribe to the plan {plan.slug}." if row is None else f"Change to the plan {plan.slug}."
        if plan.pk in add_ons:
            detail = f"Subscribe to the add-on {plan.slug}, beside what they have."
        return {"change": "plan", "detail": detail, "planId": plan.public_id}
    return {"change": "override", "detail": f"Override {feature} for this customer.", "feature": feature}


def _definition(feature: str) -> dict[str, str]:
    """Return what helps where no feature has the key, most often a typo: nothing can grant it before."""
    detail = f"No feature has the key {feature}: correct it, or define the feature with POST /v1/features."
    return {"change": "feature", "detail": detail, "feature": feature}


def _would_grant(scope: Scope, row: Subscription, feature: str) -> bool:
    granted = Catalogue(scope).grants_of(row.plan_version, row.quantity).entitlements
    return feature in granted and opens(granted[feature])


def _cheapest_plan(scope: Scope, feature: str, add_ons: Sequence[UUID]) -> PlanVersion | None:
    """Return the newest version of the plan that grants a feature for the least, None where none does.

    What other plans have for an add-on comes last: it is bought beside them, unless `add_ons` of one's own lists it.
    """
    rows = PlanVersion.objects.within(scope).filter(plan__active=True, number=F("plan__version"))
    versions = list(rows.select_related("plan").prefetch_related("prices").order_by("id")[:MOST_PLANS])
    beside_others = {add_on for version in versions for add_on in version.add_ons} - set(add_ons)
    catalogue = Catalogue(scope)
    found = []
    for version in versions:
        granted = catalogue.grants_of(version).entitlements
        if feature in granted and opens(granted[feature]):
            price = next((price.unit_amount_cents for price in version.live_prices()), None)
            found.append((version.plan_id in beside_others, price is None, price or 0, version.id, version))
    return min(found)[-1] if found else None


def _shown(value: Any) -> str:
    if value is None:
        return "no limit"
    return str(value).lower() if isinstance(value, bool) else str(value)
