"""Credits: units that a customer has beside the plan's allowance."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Min, Q, Sum

from accounts.services.customers import hold_customer
from billing.services.copies import refresh_state
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, render
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import ScopedQuerySet, owned_by
from stackbe.kernel.transactions import require_change
from usage.models import Credit, CreditUse
from usage.services.figures import LEVELS
from usage.services.metrics import metric_named

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Customer
    from stackbe.kernel.scope import Scope

USUAL_PRIORITY = 50


def grant_credit(
    scope: Scope,
    customer: Customer,
    *,
    metric: str,
    quantity: int,
    reason: str,
    expires_at: datetime | None = None,
    priority: int = USUAL_PRIORITY,
    checkout_id: UUID | None = None,
    granted_by: str = "",
) -> Credit:
    """Grant units of a metric that are spent after the plan's allowance, until they expire.

    Of several grants the one with the least `priority` goes first, then what expires first, then the oldest. The
    app is told with the customer's whole state. Raises `MetricNotFound`.
    """
    require_change()
    hold_customer(scope, customer.id)
    counted = metric_named(scope, metric)
    if counted.aggregation in LEVELS:
        sentence = "Credits are spent by metrics that add up. Raise the limit of a level with an override."
        raise ValidationFailed(fields={"metric": [sentence]})
    moment = now(scope)
    if expires_at is not None and expires_at <= moment:
        raise ValidationFailed(fields={"expiresAt": ["Must lie in the future."]})
    row = Credit(
        **owned_by(scope),
        customer=customer,
        metric=counted,
        quantity=quantity,
        remaining=quantity,
        priority=priority,
        expires_at=expires_at,
        reason=reason,
        granted_by=granted_by or scope.actor,
        checkout_id=checkout_id,
        created_at=moment,
    )
    row.save(force_insert=True)
    audit(
        scope,
        "credit.granted",
        row.public_id,
        subject_id=customer.id,
        detail={
            "metric": metric,
            "quantity": quantity,
            "priority": priority,
            "expiresAt": render(expires_at),
            "reason": reason,
        },
    )
    refresh_state(scope, customer.id)
    return row


def revoke_credits(scope: Scope, customer_id: UUID, checkout_id: UUID) -> int:
    """Let what is left of a purchase's credits expire now, since it was paid back; return how many credits that were.

    What was spent stays spent. Repeating it is harmless.
    """
    moment = now(scope)
    rows = _of_purchase(scope, customer_id, checkout_id).filter(revoked_at__isnull=True)
    for row in rows:
        ends = moment if row.expires_at is None else min(moment, row.expires_at)
        row.revoked_at, row.lasted_until, row.expires_at = moment, row.expires_at, ends
    return _moved(scope, customer_id, list(rows), "credit.revoked")


def restore_credits(scope: Scope, customer_id: UUID, checkout_id: UUID) -> int:
    """Let credits that were revoked be spent again, until they would have expired; return how many there were."""
    rows = _of_purchase(scope, customer_id, checkout_id).filter(revoked_at__isnull=False)
    for row in rows:
        row.revoked_at, row.lasted_until, row.expires_at = None, None, row.lasted_until
    return _moved(scope, customer_id, list(rows), "credit.restored")


def _of_purchase(scope: Scope, customer_id: UUID, checkout_id: UUID) -> ScopedQuerySet[Credit]:
    require_change()
    hold_customer(scope, customer_id)
    return Credit.objects.within(scope).locked().filter(customer_id=customer_id, checkout_id=checkout_id)


def _moved(scope: Scope, customer_id: UUID, rows: list[Credit], action: str) -> int:
    for row in rows:
        row.save(update_fields=["revoked_at", "lasted_until", "expires_at"])
        audit(scope, action, row.public_id, subject_id=customer_id, detail={"remaining": row.remaining})
    if rows:
        refresh_state(scope, customer_id)
    return len(rows)


def credits_of(scope: Scope, customer_id: UUID, metric: str | None = None) -> ScopedQuerySet[Credit]:
    """Return a customer's credits, of one metric where it is named. Raises `MetricNotFound`."""
    rows = Credit.objects.within(scope).filter(customer_id=customer_id).select_related("metric")
    return rows if metric is None else rows.filter(metric=metric_named(scope, metric))


def spendable(scope: Scope, customer_id: UUID) -> list[Credit]:
    """Return the credits that can be spent now, in the order in which they will be."""
    rows = credits_of(scope, customer_id).filter(remaining__gt=0)
    rows = rows.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now(scope)))
    return sorted(rows, key=lambda row: (row.metric.name, row.priority, row.expires_at is None, row.expires_at, row.id))


def next_expiry(scope: Scope, customer_id: UUID, moment: datetime) -> datetime | None:
    """Return when the next of a customer's credits expires with something left, None where none will."""
    rows = Credit.objects.within(scope).filter(customer_id=customer_id, remaining__gt=0, expires_at__gt=moment)
    found: datetime | None = rows.aggregate(next=Min("expires_at"))["next"]
    return found


def balances(scope: Scope, customer_id: UUID, metric: str | None = None) -> dict[str, int]:
    """Return what can be spent now by metric, 0 where all was spent or has expired."""
    rows = credits_of(scope, customer_id, metric).order_by()
    live = Q(expires_at__isnull=True) | Q(expires_at__gt=now(scope))
    found = rows.values_list("metric__name").annotate(left=Sum("remaining", filter=live)).order_by("metric__name")
    return {name: left or 0 for name, left in found}


def preload_uses(scope: Scope, rows: list[Credit]) -> dict[UUID, list[dict[str, Any]]]:
    """Return, by credit, what each period spent of it, oldest first."""
    uses = CreditUse.objects.within(scope).filter(credit__in=rows, quantity__gt=0).select_related("counter")
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for use in uses.order_by("counter__period_start"):
        shown = {
            "quantity": use.quantity,
            "periodStart": render(use.counter.period_start),
            "usedAt": render(use.used_at),
        }
        found[use.credit_id].append(shown)
    return found
