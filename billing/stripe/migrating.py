"""Taking one subscriber after the other to their plan's newest version, as any change of plan is made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing.models import PlanMigration, Subscription
from billing.services.migrations import next_in_line, note, sentence_of
from billing.states import RENEWAL
from billing.stripe.changes import change_subscription
from billing.stripe.errors import StripeUnavailable
from stackbe.kernel.errors import ApiError
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


def migrate_next(scope: Scope, migration_id: UUID) -> bool:
    """Take the next subscriber of a run to the newest version; False once the run is over.

    Who cannot go is noted with the reason and left as they are. With Stripe down it raises `StripeUnavailable`, and
    the same subscriber is the next again.
    """
    with change(scope):
        taken = next_in_line(scope, migration_id)
    if taken is None:
        return False
    run, row, again = taken
    why = ""
    if row is not None and not (again and _is_planned(run, row)):
        try:
            change_subscription(scope, row.public_id, newest=True, when=run.when, prorate=run.prorate)
        except StripeUnavailable:
            raise
        except ApiError as refused:
            why = sentence_of(refused)
    with change(scope):
        note(scope, run.pk, run.in_hand or run.pk, why=why)
    return True


def _is_planned(run: PlanMigration, row: Subscription) -> bool:
    """Say whether the worker that was cut off had got as far as to schedule this one."""
    return row.next_awaits == RENEWAL and row.next_plan_id == run.plan_id
