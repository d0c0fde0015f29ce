"""The subscriptions that run on a Stripe account, and a fresh look at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.models import Subscription
from billing.stripe.queue import defer_sync
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

SWEEP = "system:sweep"


def running_on(scope: Scope, account_id: str) -> ScopedQuerySet[Subscription]:
    """Return the app's subscriptions on an account that have not ended."""
    rows = Subscription.objects.within(scope).filter(stripe_account=account_id)
    return rows.exclude(status=Subscription.Status.CANCELED).exclude(stripe_subscription_id="")


def queue_running(scope: Scope, account_id: str) -> int:
    """Queue in the open change a fresh look at each of them; return how many there are."""
    require_change()
    found = list(running_on(scope, account_id).values_list("stripe_subscription_id", flat=True))
    for stripe_id in found:
        defer_sync(scope, account_id, "subscription", stripe_id, cause=SWEEP)
    return len(found)
