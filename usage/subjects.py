"""What usage holds on a person, and how it is let go."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from stackbe.kernel import subjects
from stackbe.kernel.clock import render
from stackbe.kernel.scope import Scope
from usage.models import Counter, Credit, Crossing, Reservation


def export_usage(scope: Scope, subject_id: UUID) -> dict[str, Any]:
    """Return a person's counts period by period, their credits and what was held for them."""
    granted = Credit.objects.within(scope).filter(customer_id=subject_id).select_related("metric")
    held = Reservation.objects.within(scope).filter(customer_id=subject_id).select_related("metric")
    return {
        "counts": export_counts(scope, subject_id),
        "credits": [
            {
                "metric": row.metric.name,
                "quantity": row.quantity,
                "remaining": row.remaining,
                "reason": row.reason,
                "expiresAt": render(row.expires_at),
                "createdAt": render(row.created_at),
            }
            for row in granted.order_by("id")
        ],
        "reservations": [
            {
                "metric": row.metric.name,
                "quantity": row.quantity,
                "confirmedQuantity": row.confirmed_quantity,
                "createdAt": render(row.created_at),
            }
            for row in held.order_by("id")
        ],
    }


def export_counts(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return a person's counts, period by period."""
    rows = Counter.objects.within(scope).filter(customer_id=subject_id).select_related("metric")
    return [
        {
            "metric": row.metric.name,
            "periodStart": render(row.period_start),
            "periodEnd": render(row.period_end),
            "used": row.used,
        }
        for row in rows.order_by("period_start", "id")
    ]


def erase_usage(scope: Scope, subject_id: UUID) -> int:
    """Delete a person's counts, credits and reservations, and the keys that guarded them.

    Credits and counters are held first, in the order in which the atomic step takes them, so that what is being
    counted is waited for and goes too.
    """
    for held in (Credit.objects, Counter.objects):
        list(held.within(scope).filter(customer_id=subject_id).locked().order_by("id").values_list("pk"))
    gone = Reservation.objects.within(scope).filter(customer_id=subject_id).delete()[0]
    gone += Credit.objects.within(scope).filter(customer_id=subject_id).delete()[0]
    gone += Counter.objects.within(scope).filter(customer_id=subject_id).delete()[0]
    gone += Crossing.objects.within(scope).filter(customer_id=subject_id).delete()[0]
    with connection.cursor() as cursor:
        for statement in (
            "delete from usage_record where customer_id = %s",
            "delete from usage_uniquevalue where customer_id = %s",
            "delete from usage_bucket where customer_id = %s",
        ):
            cursor.execute(statement, [subject_id])
            gone += cursor.rowcount
    return gone


subjects.register(
    "usage",
    models=("usage.Counter", "usage.Credit", "usage.CreditUse", "usage.Crossing", "usage.Reservation"),
    export=export_usage,
    erase=erase_usage,
)
