"""Reservations: units that are held until the real amount is known."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from usage.errors import ReservationClosed, ReservationNotFound
from usage.models import Counter, Metric, Reservation
from usage.services.metrics import metric_named
from usage.services.summary import standing
from usage.services.track import judged, run_step

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet
    from usage.services.figures import Figures

USUAL_SECONDS = 900
HELD, CONFIRMED = Reservation.Status.HELD, Reservation.Status.CONFIRMED
RELEASED, EXPIRED = Reservation.Status.RELEASED, Reservation.Status.EXPIRED


def reserve(
    scope: Scope, *, customer_id: UUID, metric: str, quantity: int, expires_in_seconds: int = USUAL_SECONDS
) -> tuple[Reservation, Figures]:
    """Hold units of a metric for a customer; nobody else can use them until they are confirmed, released or expire.

    Raises what `run_track` does: over a limit nothing is held.
    """
    require_change()
    counted = metric_named(scope, metric)
    if counted.aggregation != Metric.Aggregation.SUM:
        raise ValidationFailed(fields={"metric": ["Only what is added up (sum) can be held."]})
    moment = now(scope)
    row = run_step(scope, "hold", customer_id, metric, quantity)
    figures = judged(metric, row)
    held = Reservation(
        **owned_by(scope),
        id=new_id(),
        customer_id=customer_id,
        metric=counted,
        counter_id=row[-1],
        quantity=quantity,
        expires_at=moment + timedelta(seconds=expires_in_seconds),
        created_at=moment,
    )
    held.save(force_insert=True)
    return held, figures


def find_reservation(scope: Scope, reservation_id: str) -> Reservation:
    """Return a reservation of a customer who is not deleted, or raise `ReservationNotFound`."""
    rows = Reservation.objects.within(scope).select_related("metric", "counter").filter(customer__deleted_at=None)
    return rows.fetch(reservation_id, ReservationNotFound)


def show(scope: Scope, reservation_id: str) -> tuple[Reservation, Figures | None]:
    """Return a reservation and where its customer stands now, or raise `ReservationNotFound`."""
    found = find_reservation(scope, reservation_id)
    return found, _standing(scope, found)


def reservations_of(scope: Scope, customer_id: UUID, status: str | None = None) -> ScopedQuerySet[Reservation]:
    """Return a customer's reservations, of one status by the app's clock where one is given."""
    rows = Reservation.objects.within(scope).filter(customer_id=customer_id).select_related("metric")
    if status is None:
        return rows
    ran_out = Q(status=HELD, expires_at__lte=now(scope))
    if status == EXPIRED:
        return rows.filter(Q(status=EXPIRED) | ran_out)
    return rows.filter(status=status).exclude(ran_out)


def confirm(scope: Scope, reservation_id: str, *, quantity: int) -> tuple[Reservation, Figures | None]:
    """Count the real amount in place of what was held, in the period that it was held in.

    Up to what was held it always counts; what goes beyond needs room like any other usage, and is refused whole
    where there is none: the hold stays. Confirming again with the same quantity answers the same. Raises
    `ReservationClosed`, `ReservationExpired`, `UsageLimitExceeded`.
    """
    require_change()
    found = find_reservation(scope, reservation_id)
    if found.status == CONFIRMED and found.confirmed_quantity == quantity:
        return found, _standing(scope, found)
    row = run_step(scope, "confirm", found.customer_id, found.metric.name, quantity, reservation_id=found.id)
    if row[0] == "closed":
        found.refresh_from_db()
        if found.status == CONFIRMED and found.confirmed_quantity == quantity:
            return found, _standing(scope, found)
    figures = judged(found.metric.name, row)
    found.refresh_from_db()
    return found, figures


def release(scope: Scope, reservation_id: str) -> tuple[Reservation, Figures | None]:
    """Give back what was held. Releasing again, or what has expired, is harmless; raises for what was confirmed."""
    require_change()
    found = find_reservation(scope, reservation_id)
    found = close(scope, found, RELEASED)
    if found.status == CONFIRMED:
        raise ReservationClosed("This reservation was confirmed. What was counted can be corrected with usage/sync.")
    return found, _standing(scope, found)


def close(scope: Scope, found: Reservation, status: Reservation.Status) -> Reservation:
    """End a hold under its counter's lock, where it has not ended yet: what ran out has expired, whoever asks.

    Raises `ReservationNotFound` where it was erased with its customer meanwhile.
    """
    moment = now(scope)
    counter = Counter.objects.within(scope).locked().filter(pk=found.counter_id).first()
    if counter is None:
        raise ReservationNotFound
    row = Reservation.objects.within(scope).locked().select_related("metric").get(pk=found.pk)
    if row.status == HELD:
        row.status = row.status_at(moment) if row.status_at(moment) == EXPIRED else status
        row.closed_at = moment
        row.save(update_fields=["status", "closed_at"])
        counter.held -= row.quantity
        counter.save(update_fields=["held"])
    return row


def expire(scope: Scope, reservation_id: UUID) -> None:
    """Close a hold whose time has run out; by the clock it held nothing any more already."""
    require_change()
    found = Reservation.objects.within(scope).filter(pk=reservation_id).first()
    if found is not None and found.status_at(now(scope)) == EXPIRED:
        close(scope, found, EXPIRED)


def live_holds(scope: Scope, customer_id: UUID) -> list[Reservation]:
    """Return what is held for a customer now, newest first."""
    return list(reservations_of(scope, customer_id, HELD).order_by("-id"))


def _standing(scope: Scope, found: Reservation) -> Figures | None:
    """Return where the customer stands now, None where the metric was archived."""
    return next(iter(standing(scope, found.customer_id, [found.metric.name])), None)
