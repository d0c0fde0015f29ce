"""The names under which Stripe's background work is queued; billing/tasks.py does it.

Services may ask for work without importing the layer that carries it out. Arguments are ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from procrastinate.contrib.django import app

from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

PUSH_PLAN = "billing.push_plan"
PUSH_APP = "billing.push_catalogue"
SYNC_OBJECT = "billing.sync_stripe_object"
LOOK_AGAIN = "billing.look_again"
# A holder of a lease may have died with it: who was sent away looks again after so long.
LOOK_AGAIN_SECONDS = 10
QUEUE = "stripe"
# Behind what people wait for, such as a mail to sign in: a month's first day brings thousands of renewals.
BEHIND = -10
# The kind of a job that fetches nothing: the account cannot be asked any more.
DEAUTHORIZED = "deauthorized"


def defer_push_plan(scope: Scope, plan_id: UUID, *, say_again: bool = False) -> None:
    """Queue in the open change that a plan be brought to the tenant's Stripe account."""
    _defer(PUSH_PLAN, app_id=str(scope.app), plan_id=str(plan_id), say_again=say_again)


def defer_push_app(scope: Scope) -> None:
    """Queue in the open change that all of an app's plans be brought to its Stripe account."""
    _defer(PUSH_APP, app_id=str(scope.app))


def defer_sync(
    scope: Scope, account_id: str, kind: str, object_id: str, cause: str, *, unless_done: bool = False
) -> None:
    """Queue in the open change that a Stripe object be fetched and our rows follow it.

    `unless_done` leaves it where the object has been looked at since: a purchase brings several events about each of
    its objects, and one look shows what all of them tell.
    """
    names = {"app_id": str(scope.app), "account_id": account_id, "kind": kind, "object_id": object_id, "cause": cause}
    _defer(SYNC_OBJECT, **names, unless_done=unless_done)


def defer_look_again(scope: Scope, account_id: str, kind: str, object_id: str, cause: str) -> None:
    """Queue in the open change a later look at an object whose lease somebody holds."""
    require_change()
    app.configure_task(LOOK_AGAIN, queue=QUEUE, priority=BEHIND, schedule_in={"seconds": LOOK_AGAIN_SECONDS}).defer(
        app_id=str(scope.app), account_id=account_id, kind=kind, object_id=object_id, cause=cause
    )


def _defer(name: str, **arguments: str | bool) -> None:
    require_change()
    app.configure_task(name, queue=QUEUE, priority=BEHIND).defer(**arguments)
