"""What a subscription can be: its states, what Stripe says of one, and a step from one state to the next.

Which steps there are is written in billing/lifecycle.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

INCOMPLETE, TRIALING, ACTIVE = "incomplete", "trialing", "active"
PAST_DUE, PAUSED, CANCELED = "past_due", "paused", "canceled"
STATUSES = (INCOMPLETE, TRIALING, ACTIVE, PAST_DUE, PAUSED, CANCELED)
UNPAID = "unpaid"
# What Stripe calls it → what we call it.
STATUS_OF = {
    "incomplete": INCOMPLETE,
    "incomplete_expired": CANCELED,
    "trialing": TRIALING,
    "active": ACTIVE,
    "past_due": PAST_DUE,
    UNPAID: PAST_DUE,
    "paused": PAUSED,
    "canceled": CANCELED,
}
_LIVE = frozenset({TRIALING, ACTIVE, PAST_DUE, PAUSED, CANCELED})
# Nothing leaves `canceled`, and nothing goes back to `incomplete`.
LEGAL: dict[str, frozenset[str]] = {
    INCOMPLETE: _LIVE | {INCOMPLETE},
    TRIALING: _LIVE,
    ACTIVE: _LIVE,
    PAST_DUE: _LIVE,
    PAUSED: _LIVE,
    CANCELED: frozenset({CANCELED}),
}
# What a change that is to come waits for.
RENEWAL, PAYMENT = "period_end", "payment"
NOTHING_NEXT: dict[str, Any] = {"next_plan_id": None, "next_quantity": None, "next_at": None, "next_awaits": ""}


@dataclass(frozen=True, slots=True)
class State:
    """All that may change in a subscription. Its names are those of the model's columns."""

    status: str
    plan_id: UUID
    plan_version_id: UUID
    price_id: UUID | None = None
    quantity: int = 1
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_converted_at: datetime | None = None
    trial_has_card: bool = False
    paused_at: datetime | None = None
    resumes_at: datetime | None = None
    past_due_since: datetime | None = None
    grace_period_ends_at: datetime | None = None
    next_plan_id: UUID | None = None
    next_quantity: int | None = None
    next_at: datetime | None = None
    next_awaits: str = ""
    revoked_at: datetime | None = None
    facts_at: datetime | None = None

    @classmethod
    def of(cls, row: Any) -> State:
        """Return the state that a row of the same column names holds."""
        return cls(**{name: getattr(row, name) for name in COLUMNS})

    @property
    def ends_at(self) -> datetime | None:
        """Return the moment for which the end is set, if it is."""
        if self.cancel_at is not None:
            return self.cancel_at
        if self.cancel_at_period_end:
            return self.trial_end if self.status == TRIALING else self.current_period_end
        return None


COLUMNS = tuple(field.name for field in fields(State))


@dataclass(frozen=True, slots=True)
class Facts:
    """What Stripe says of a subscription, its plan already looked up among our rows.

    `status` is Stripe's word. `as_of` is when Stripe was asked: facts from before what is recorded
    change nothing.
    """

    status: str
    plan_id: UUID
    plan_version_id: UUID
    as_of: datetime
    price_id: UUID | None = None
    quantity: int = 1
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_has_card: bool = False
    collection_paused: bool = False
    resumes_at: datetime | None = None
    next_plan_id: UUID | None = None
    next_quantity: int | None = None
    next_at: datetime | None = None
    next_awaits: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscription is to: a plan in a version, at a price, so many of it."""

    plan_id: UUID
    plan_version_id: UUID
    price_id: UUID | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One step: its name in the history, the event that tells the app, and the state after it.

    A step that changes nothing but when Stripe was last asked has no event.
    """

    name: str
    event: str
    before: State | None
    after: State

    @property
    def changed(self) -> dict[str, Any]:
        """Return `{column: (before, after)}` of what changed, `facts_at` aside."""
        was = asdict(self.before) if self.before else {}
        now = asdict(self.after)
        return {
            name: (was.get(name), value) for name, value in now.items() if name != "facts_at" and was.get(name) != value
        }
