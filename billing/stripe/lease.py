"""Who may fetch and record a Stripe object just now.

The object is fetched while its lease is held and no transaction is open, and recorded in a change that
checks the lease: so an older answer never overwrites a newer one, in whatever order events come. Who
finds the lease taken leaves word and goes; the holder then fetches once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from billing.models import StripeLease
from billing.stripe.errors import StripeUnavailable
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import ScopedQuerySet, owned_by
from stackbe.kernel.transactions import change, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

LASTS = timedelta(seconds=20)
# So long a holder is left to its work. Were it less than a look at Stripe takes, those who wait would take the lease
# from one another without end.
UNDISTURBED = timedelta(seconds=2)


class LeaseLost(StripeUnavailable):
    """Somebody else holds the lease by now: what we fetched may be old and is not recorded."""

    message = "Others are at work on the same object. Send the same request again shortly."


@dataclass(frozen=True, slots=True)
class Lease:
    """A hold on one object of one account."""

    scope: Scope
    account_id: str
    object_id: str
    token: UUID

    def row(self) -> ScopedQuerySet[StripeLease]:
        """Return the lease's row."""
        rows = StripeLease.objects.within(self.scope)
        return rows.filter(account_id=self.account_id, object_id=self.object_id)

    def check(self) -> None:
        """Hold the row until the change ends, or raise `LeaseLost`."""
        require_change()
        found = self.row().locked().first()
        if found is None or found.token != self.token:
            raise LeaseLost

    def finish(self) -> bool:
        """End the hold in the open change that recorded the object; True when it must be fetched again."""
        require_change()
        if self.row().filter(token=self.token, wanted=True).update(wanted=False, until=wall_clock() + LASTS):
            return True
        self.row().filter(token=self.token).delete()
        return False

    def give_up(self) -> None:
        """End the hold after a failure, so that the retry need not wait for it to run out."""
        with change(self.scope):
            self.row().filter(token=self.token).delete()


def take_lease(scope: Scope, account_id: str, object_id: str, *, take_over: bool = False) -> Lease | None:
    """Return a hold on an object, or None when somebody has one: they were left word to look again.

    Who would `take_over` comes back, and leaves no word: a holder that heard of each try would never come to an end.
    They take it from who has had it for two seconds: a holder that was killed says nothing, and one that lives finds
    its lease gone and records nothing.
    """
    lease = Lease(scope, account_id, object_id, new_id())
    while True:
        with change(scope):
            moment = wall_clock()
            wanted = StripeLease(
                **owned_by(scope), account_id=account_id, object_id=object_id, token=lease.token, until=moment + LASTS
            )
            StripeLease.unscoped.bulk_create([wanted], ignore_conflicts=True)
            row = lease.row().locked().first()
            if row is None:
                continue  # The holder ended between our two statements.
            if row.token == lease.token:
                return lease
            held_for = moment - (row.until - LASTS)
            if row.until > moment and not (take_over and held_for >= UNDISTURBED):
                if not take_over:
                    lease.row().update(wanted=True)
                return None
            lease.row().update(token=lease.token, until=moment + LASTS, wanted=False)
            return lease
