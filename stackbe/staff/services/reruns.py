"""What staff set going again: a job that was given up, an event of Stripe's, a delivery. Each is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection

from billing.models import StripeEvent
from billing.stripe.inbox import kind_of
from billing.stripe.queue import defer_sync
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Conflict
from stackbe.kernel.transactions import change
from stackbe.staff.roles import Power
from stackbe.staff.services import refuse_without, staff_scope, worded
from webhooks.services.events import redeliver_event

if TYPE_CHECKING:
    from accounts.models import User
    from webhooks.models import Delivery


def retry_job(user: User, job: Any, reason: str) -> None:
    """Put a job that was given up back into the queue. Raises `Conflict` for one that is not given up any more."""
    refuse_without(user, Power.RETRY)
    reason = worded(reason)
    with change(staff_scope(user)) as unit, connection.cursor() as cursor:
        cursor.execute("select status, task_name from procrastinate_jobs where id = %s for update", [job.pk])
        row = cursor.fetchone()
        if row is None or row[0] != "failed":
            raise Conflict("This job is not given up: it waits, runs or is done.")
        cursor.execute("select procrastinate_retry_job_v2(%s, %s, null, null, null)", [job.pk, wall_clock()])
        audit(unit.scope, "job.retried", f"job_{job.pk}", detail={"reason": reason, "task": row[1]})


def rerun_event(user: User, event: StripeEvent) -> None:
    """Have an event of Stripe's worked off once more: its object is fetched again, which is harmless."""
    refuse_without(user, Power.RERUN)
    kind = kind_of(event.type)
    if kind is None or not event.object_id:
        raise Conflict("Nothing is fetched for events of this type.")
    with change(staff_scope(user, event.tenant_id, event.app_id)) as unit:
        defer_sync(unit.scope, event.account_id, kind, event.object_id, cause=f"stripe:{event.event_id}")
        audit(unit.scope, "stripe_event.rerun", event.public_id, detail={"event": event.event_id})


def deliver_again(user: User, delivery: Delivery) -> None:
    """Send an event once more to the endpoint of a delivery, under the same id."""
    refuse_without(user, Power.RERUN)
    with change(staff_scope(user, delivery.tenant_id, delivery.app_id)) as unit:
        redeliver_event(unit.scope, delivery.event_id, endpoint_id=delivery.endpoint_id)
        audit(unit.scope, "delivery.rerun", delivery.public_id)
