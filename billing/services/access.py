"""What customers may do, worked out when something changes so that a check only reads.

`refresh_access` is called by whatever changes a subscription, an override or a plan. It writes the
customer's Access row and, where something did change, tells the app with the whole state, under a
version that only grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from accounts.granted import counting
from accounts.models import Customer, Organization, OrganizationMember
from billing.events import subscription_as_event
from billing.lifecycle import status_at
from billing.models import Access, DefaultAccess, EntitlementOverride, Plan, Subscription
from billing.queue import defer_announcement, defer_refresh
from billing.services.grants import NOTHING, Catalogue, beside_plan, layered, with_add_ons
from billing.state import compose_state, next_dates
from billing.states import State
from stackbe.kernel.clock import now, render, wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

# So many customers in one change: each costs some tens of milliseconds, and their rows stay locked until it ends.
AT_ONCE = 20
NO_STATUS = "none"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "plan_id", "plan_name", "status", "source", "subscription_id", "organization_id", "entitlements",
    "limits", "overrides", "period_start", "period_end", "access_from", "access_until", "changes_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for a customer at one moment, overrides included.

    `source` is `plan:<slug>` or `organization`, empty where nothing is granted; `subscription_id` is
    the one behind it, None for the default plan.
    """

    plan_id: UUID | None
    plan_name: str | None
    status: str
    source: str
    entitlements: dict[str, Any]
    limits: dict[str, Any]
    overrides: dict[str, Any]
    subscription_id: UUID | None
    organization_id: UUID | None
    period_end: datetime | None
    version: int


def refresh_access(scope: Scope, customer_id: UUID, *, changed: UUID | None = None) -> Access | None:
    """Work out a customer's access anew; None for one who has neither subscription nor override.

    Emits `entitlements.updated` when it changed, when a date in it has passed since, or when it comes from the
    subscription that has just `changed`: the state shows that too.
    """
    require_change()
    moment = now(scope)
    row = Access.objects.within(scope).locked().filter(customer_id=customer_id).first()
    wanted = _worked_out(scope, customer_id, moment)
    if row is None:
        if wanted is None or _gone(scope, customer_id):
            return None
        fresh = Access(**owned_by(scope), customer_id=customer_id, version=0)
        Access.unscoped.bulk_create([fresh], ignore_conflicts=True)
        row = Access.objects.within(scope).locked().get(customer_id=customer_id)
        wanted = _worked_out(scope, customer_id, moment)
    wanted = dict(wanted or NOTHING_HELD)
    wanted |= {"changes_at": earliest(wanted["changes_at"], *next_dates(scope, customer_id, moment))}
    due = row.changes_at is not None and row.changes_at <= moment
    due = due or (changed is not None and wanted["subscription_id"] == changed)
    if not due and row.version and all(getattr(row, name) == wanted[name] for name in _COLUMNS):
        return row
    for name in _COLUMNS:
        setattr(row, name, wanted[name])
    row.version = next_version(row.version)
    row.updated_at = moment
    row.save(update_fields=[*_COLUMNS, "version", "updated_at"])
    announce(scope, customer_id)
    return row


def refresh_default(scope: Scope) -> DefaultAccess | None:
    """Work out anew what customers without a subscription have; None where the app grants nothing.

    Where it changed, each of them is told of in the background.
    """
    require_change()
    row = DefaultAccess.objects.within(scope).locked().first()
    plan = Plan.objects.within(scope).filter(is_default=True).first()
    if plan is None:
        if row is not None:
            row.delete()
            defer_announcement(scope)
        return None
    granted = Catalogue(scope).grants_of(plan.current_version())
    wanted = {
        "plan_id": plan.id,
        "plan_name": plan.name,
        "source": f"plan:{plan.slug}",
        "entitlements": granted.entitlements,
        "limits": granted.limits,
    }
    if row is None:
        defer_announcement(scope)
        return DefaultAccess.unscoped.create(**owned_by(scope), **wanted, version=next_version(0))
    if any(getattr(row, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(row, name, value)
        row.version = next_version(row.version)
        row.updated_at = now(scope)
        row.save(update_fields=[*wanted, "version", "updated_at"])
        defer_announcement(scope)
    return row


def refresh_plan(scope: Scope, plan_id: UUID) -> None:
    """Work out anew the access of all who have a plan, also beside another: a few here, the rest later."""
    require_change()
    refresh_default(scope)
    refresh_batch(scope, plan_id)


def refresh_app(scope: Scope) -> None:
    """Work out anew the access of every customer: a feature or a metric means something else now."""
    require_change()
    refresh_default(scope)
    refresh_batch(scope, None)


def refresh_batch(scope: Scope, plan_id: UUID | None, after: UUID | None = None) -> None:
    """Refresh the next few customers, of a plan or of the app, and queue the ones after them."""
    require_change()
    rows = Access.objects.within(scope)
    if after is not None:
        rows = rows.filter(customer_id__gt=after)
    # Asked for one by one, since each has an index of its own.
    having = (rows,) if plan_id is None else tuple(rows.filter(each) for each in _having(scope, plan_id))
    next_of_each = (each.order_by("customer_id").values_list("customer_id", flat=True) for each in having)
    customers = sorted({customer_id for found in next_of_each for customer_id in found[: AT_ONCE + 1]})
    for customer_id in customers[:AT_ONCE]:
        refresh_access(scope, customer_id)
    if len(customers) > AT_ONCE:
        defer_refresh(scope, plan_id, after=customers[AT_ONCE - 1])


def _having(scope: Scope, plan_id: UUID) -> tuple[Q, ...]:
    """Return whose access comes from a plan: as their best, or beside it, their own or their organization's."""
    live = Subscription.objects.within(scope).filter(plan_id=plan_id).exclude(status=Subscription.Status.CANCELED)
    ours = live.filter(organization_id__isnull=False).values("organization_id")
    return (
        Q(plan_id=plan_id),
        Q(customer_id__in=live.filter(organization_id__isnull=True).values("customer_id")),
        Q(organization_id__in=ours),
    )


def effective(scope: Scope, customer_id: UUID) -> Effective:
    """Return what holds for a customer now, by the app's clock."""
    moment = now(scope)
    row = Access.objects.within(scope).filter(customer_id=customer_id).first()
    default = None
    if row is None or not in_force(row, moment):
        default = DefaultAccess.objects.within(scope).first()
    version = max(row.version if row else 0, default.version if default else 0)
    overrides = live_overrides(row, moment) if row else {}
    values = {name: grant["value"] for name, grant in overrides.items()}
    if row is not None and in_force(row, moment):
        return Effective(
            plan_id=row.plan_id,
            plan_name=row.plan_name,
            status=_status(row, moment),
            source=row.source,
            entitlements=row.entitlements | values,
            limits=row.limits,
            overrides=overrides,
            subscription_id=row.subscription_id,
            organization_id=row.organization_id,
            period_end=row.period_end,
            version=version,
        )
    return Effective(
        plan_id=default.plan_id if default else None,
        plan_name=default.plan_name if default else None,
        status=Subscription.Status.ACTIVE if default else _status(row, moment),
        source=default.source if default else "",
        entitlements=(default.entitlements if default else {}) | values,
        limits=default.limits if default else {},
        overrides=overrides,
        subscription_id=None,
        organization_id=None,
        period_end=None,
        version=version,
    )


def in_force(row: Access, moment: datetime) -> bool:
    """Say whether what a row grants holds at a moment."""
    begun = row.access_from is None or row.access_from <= moment
    return begun and (row.access_until is None or moment < row.access_until)


def live_overrides(row: Access, moment: datetime) -> dict[str, Any]:
    """Return `{feature: {value, until}}` of the overrides that count now."""
    found = {name: counting(grant, moment) for name, grant in row.overrides.items()}
    return {name: grant for name, grant in found.items() if grant is not None}


def entitlements_of(scope: Scope, customer_id: UUID) -> dict[str, Any]:
    """Return a customer's entitlements as GET /v1/entitlements shows them."""
    return _as_json(effective(scope, customer_id))


def access_as_state(scope: Scope, customer: Customer) -> dict[str, Any]:
    """Return what billing knows of a customer's state: organization, subscription, entitlements, version."""
    holds = effective(scope, customer.id)
    organization = None
    if holds.organization_id is not None:
        organization = Organization.objects.within(scope).filter(pk=holds.organization_id).first()
    subscription = current_subscription(scope, customer.id)
    return {
        "organization": organization and {"id": organization.public_id, "name": organization.name},
        "subscription": subscription and subscription_as_event(subscription, now(scope)),
        "entitlements": _as_json(holds),
        "version": holds.version,
    }


def current_subscription(scope: Scope, customer_id: UUID) -> Subscription | None:
    """Return the subscription that a customer has now: their own or their organization's, not ended."""
    moment = now(scope)
    for subscription in _by_rank(_subscriptions(scope, customer_id), moment):
        if status_at(State.of(subscription), moment) not in {"canceled", "incomplete"}:
            return subscription
    return None


def _as_json(holds: Effective) -> dict[str, Any]:
    return {
        "planId": holds.plan_id and encode("plan", holds.plan_id),
        "planName": holds.plan_name,
        "status": holds.status,
        "entitlements": holds.entitlements,
        "currentPeriodEnd": render(holds.period_end),
    }


def _status(row: Access | None, moment: datetime) -> str:
    """Return the status to show: what the row says, unless its dates have overtaken it."""
    if row is None or not row.status:
        return NO_STATUS
    if row.status == "paused" and in_force(row, moment):
        return "active"
    ended = row.access_until is not None and row.access_until <= moment
    return "canceled" if ended and row.status in {"trialing", "active"} else row.status


def _gone(scope: Scope, customer_id: UUID) -> bool:
    """Say whether a customer's deletion was asked for: what was let go is not worked out again."""
    return Customer.objects.within(scope).filter(pk=customer_id, deleted_at__isnull=False).exists()


def announce(scope: Scope, customer_id: UUID) -> None:
    """Tell the app of a customer's whole state as it is now."""
    customer = Customer.objects.within(scope).filter(pk=customer_id, deleted_at__isnull=True).first()
    if customer is not None:
        state = compose_state(scope, customer, access_as_state(scope, customer))
        emit(scope, "entitlements.updated", state, subject=customer_id)


def _subscriptions(scope: Scope, customer_id: UUID) -> list[Subscription]:
    places = OrganizationMember.objects.within(scope).filter(customer_id=customer_id)
    mine = Q(customer_id=customer_id, organization_id__isnull=True)
    ours = Q(organization_id__in=places.values("organization_id"))
    rows = Subscription.objects.within(scope).filter(mine | ours)
    return list(rows.select_related("plan", "plan_version"))


def _by_rank(rows: list[Subscription], moment: datetime) -> list[Subscription]:
    """Return the best first: in force, not an add-on to another, then paid, then one's own, then the newest."""
    listed = {plan for row in rows if _running(row, moment) for plan in row.plan_version.add_ons}

    def rank(row: Subscription) -> tuple[Any, ...]:
        begun = row.access_from is None or row.access_from <= moment
        open_ended = row.access_until is None or row.access_until > moment
        coming = open_ended and not begun
        paid = (bool(row.stripe_subscription_id), row.price_id is not None)
        ended = row.status == Subscription.Status.CANCELED
        own = row.organization_id is None
        return (begun and open_ended, row.plan_id not in listed, coming, not ended, paid, own, row.id.int)

    return sorted(rows, key=rank, reverse=True)


def _running(row: Subscription, moment: datetime) -> bool:
    """Say whether a subscription gives access at a moment."""
    begun = row.access_from is None or row.access_from <= moment
    return begun and (row.access_until is None or row.access_until > moment)


def _add_ons(ranked: list[Subscription], moment: datetime) -> list[Subscription]:
    """Return what was bought beside the best as its plan allows, the oldest first; it counts while both run."""
    if not ranked or not _running(ranked[0], moment):
        return []
    best = ranked[0]
    found = [row for row in ranked[1:] if row.plan_id in best.plan_version.add_ons and _running(row, moment)]
    return sorted((row for row in found if row.organization_id == best.organization_id), key=lambda row: row.id)


def _worked_out(scope: Scope, customer_id: UUID, moment: datetime) -> dict[str, Any] | None:
    """Return the columns of a customer's Access row, None where there is nothing to say."""
    ranked = _by_rank(_subscriptions(scope, customer_id), moment)
    best = ranked[0] if ranked else None
    add_ons = _add_ons(ranked, moment)
    overrides = _overrides(scope, customer_id, best, moment)
    overrides = [(row, ends) for row, ends in overrides if ends is None or ends > moment]
    if best is None and not overrides:
        return None
    granted: dict[str, Any] = {}
    wanted = dict(NOTHING_HELD)
    if best is not None:
        catalogue = Catalogue(scope)
        grants = catalogue.grants_of(best.plan_version, best.quantity) if best.plan_version_id else NOTHING
        granted = beside_plan(catalogue, grants, best.access_until, add_ons)
        wanted |= {
            "plan_id": best.plan_id,
            "plan_name": best.plan.name,
            "status": best.status,
            "source": "organization" if best.organization_id else f"plan:{best.plan.slug}",
            "subscription_id": best.id,
            "organization_id": best.organization_id,
            "entitlements": grants.entitlements,
            "limits": with_add_ons(catalogue, grants, add_ons).limits,
            "period_start": best.current_period_start,
            "period_end": best.current_period_end,
            "access_from": best.access_from,
            "access_until": best.access_until,
        }
    for override, ends in overrides:
        mine = {"value": override.value, "until": ends and ends.isoformat()}
        granted[override.feature] = layered(mine, ends, granted.get(override.feature))
    wanted["overrides"] = granted
    dates = [wanted["access_from"], wanted["access_until"]]
    dates += [ends for _, ends in overrides]
    dates += [date for other in ranked[1:] for date in (other.access_from, other.access_until)]
    wanted["changes_at"] = earliest(*(date for date in dates if date is not None and date > moment))
    return wanted


def _overrides(
    scope: Scope, customer_id: UUID, best: Subscription | None, moment: datetime
) -> list[tuple[EntitlementOverride, datetime | None]]:
    """Return what is granted beside the plan and when each ends: of the subscription that counts, then their own."""
    rows = EntitlementOverride.objects.within(scope)
    own = [(row, row.expires_at) for row in rows.filter(customer_id=customer_id, subscription_id__isnull=True)]
    if best is None or (best.access_from is not None and best.access_from > moment):
        return own
    # They end with the access that they come with.
    theirs = [
        (row, min((end for end in (row.expires_at, best.access_until) if end is not None), default=None))
        for row in rows.filter(subscription_id=best.id)
    ]
    return theirs + own


NOTHING_HELD: dict[str, Any] = {
    "plan_id": None, "plan_name": "", "status": "", "source": "", "subscription_id": None,
    "organization_id": None, "entitlements": {}, "limits": {}, "overrides": {}, "period_start": None,
    "period_end": None, "access_from": None, "access_until": NEVER, "changes_at": None,
}  # fmt: skip


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the first of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)


def next_version(version: int) -> int:
    """Return a greater version. It counts real milliseconds, so that the versions of a customer's own
    access and of the default plan's, which take turns, compare.
    """
    return max(version + 1, int(wall_clock().timestamp() * 1000))
