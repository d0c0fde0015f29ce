"""Packs of credits: plans that are paid once and end in units of a metric.

What a unit is, a higher app knows; it says here how one is granted, and which metrics have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from billing.metrics import resets_by_metric
from billing.services.features import unknown_sentence
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from billing.models import Checkout
    from stackbe.kernel.scope import Scope


class Purse(Protocol):
    """Where purchased units go."""

    def counts(self, scope: Scope, metric: str) -> bool:
        """Say whether a metric adds up, so that units of it can be spent."""

    def put(self, scope: Scope, checkout: Checkout, pack: Mapping[str, Any], cause: str) -> None:
        """Give the buyer of a checkout its units, once however often it is asked."""

    def take_back(self, scope: Scope, customer_id: UUID, checkout_id: UUID) -> None:
        """Let what is left of a checkout's units be spent no more. What was spent stays spent."""

    def return_again(self, scope: Scope, customer_id: UUID, checkout_id: UUID) -> None:
        """Let it be spent again, for as long as it was to last."""


_purses: list[Purse] = []


def register(purse: Purse) -> None:
    """Say where purchased units go."""
    _purses[:] = [purse]


def checked_packs(scope: Scope, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a plan's credits as they are stored. Raises `ValidationFailed` with the row named."""
    known, seen, stored = resets_by_metric(scope), set(), []
    for place, row in enumerate(rows):
        metric, wrong = row["metric"], ""
        if metric not in known:
            wrong = unknown_sentence("metric", metric, known)
        elif metric in seen:
            wrong = "This metric is listed twice."
        elif not _purses[0].counts(scope, metric):
            wrong = "Credits are spent by metrics that add up."
        if wrong:
            raise ValidationFailed(fields={f"credits.{place}.metric": [wrong]})
        seen.add(metric)
        days = row.get("expires_in_days")
        stored.append({"metric": metric, "quantity": row["quantity"], "expiresInDays": days})
    return stored


def follow_credits(scope: Scope, customer_id: UUID, checkout_id: UUID, *, went_back: bool) -> None:
    """Take a purchase's credits back for money that went back, or return them for a dispute that was won."""
    require_change()
    move = _purses[0].take_back if went_back else _purses[0].return_again
    move(scope, customer_id, checkout_id)


def give_credits(scope: Scope, checkout: Checkout, cause: str) -> None:
    """Give a customer the credits that they paid for: so many of each as packs were bought."""
    require_change()
    moment = now(scope)
    for row in checkout.plan_version.credits:
        days = row.get("expiresInDays")
        pack = {
            "metric": row["metric"],
            "quantity": row["quantity"] * checkout.quantity,
            "expires_at": None if days is None else moment + timedelta(days=days),
            "reason": f"Bought: {checkout.plan.name}",
        }
        _purses[0].put(scope, checkout, pack, cause)
