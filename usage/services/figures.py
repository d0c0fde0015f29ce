"""Where a customer stands on a metric, and how the API shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from stackbe.kernel.clock import render

LEVELS = frozenset({"max", "last"})


@dataclass(frozen=True, slots=True)
class Window:
    """A limit inside the period: so many an hour or a day, and how many it has seen."""

    per: str
    limit: int
    used: int
    ends: datetime

    def as_json(self, held: int) -> dict[str, Any]:
        """Return the window as the API shows it."""
        return {
            "per": self.per,
            "limit": self.limit,
            "currentUsage": self.used,
            "remaining": max(0, self.limit - self.used - held),
            "resetsAt": render(self.ends),
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """Where a customer stands on a metric, in its unit; None means no limit.

    `limit` is the plan's allowance, what rolled over and the credits; `most` is where counting stops, which on a
    soft metric is its cap on overage.
    """

    outcome: str
    metric: str
    used: int
    limit: int | None
    starts: datetime
    ends: datetime | None
    mode: str = "soft"
    held: int = 0
    windows: tuple[Window, ...] = ()
    limited_by: str = ""
    aggregation: str = "sum"
    plan_limit: int | None = None
    credits: int = 0
    carried: int = 0
    overage_cap: int | None = None

    @classmethod
    def of_step(cls, metric: str, row: Sequence[Any]) -> Figures:
        """Return what the atomic step answered: a row of `track.SEEN`."""
        outcome, used, allowed, mode, starts, ends, held, windows, limited_by, *_ = row
        seen = windows_of(windows)
        return cls(outcome, metric, used, allowed, starts, ends, mode, held, seen, limited_by or "")

    @property
    def remaining(self) -> int | None:
        """Return what is left of the limit, beside what reservations hold."""
        return None if self.limit is None else max(0, self.limit - self.used - self.held)

    @property
    def most(self) -> int | None:
        """Return at how many counting stops."""
        if self.limit is None or self.mode == "hard":
            return self.limit
        return None if self.overage_cap is None else self.limit + self.overage_cap

    def refused_by(self, quantity: int) -> str | None:
        """Return which limit the atomic step would refuse so much by: plan, spend_cap, day or hour."""
        later = {"max": max(self.used, quantity), "last": quantity}.get(self.aggregation, self.used + quantity)
        if later <= self.used:
            return None
        if self.most is not None and later + self.held > self.most:
            return "plan" if self.mode == "hard" else "spend_cap"
        for window in self.windows:
            seen = quantity if self.aggregation in LEVELS else window.used + self.held + quantity
            if seen > window.limit:
                return window.per
        return None

    def allows(self, quantity: int) -> bool:
        """Say whether the atomic step would count so much: of a unique metric, so many new values."""
        return self.outcome != "no_plan" and self.refused_by(quantity) is None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the API shows them."""
        period = period_as_json(self.starts, self.ends)
        shown = {
            "metric": self.metric,
            "currentUsage": self.used,
            "limit": self.limit,
            "remaining": self.remaining,
            "held": self.held,
            "billingPeriod": period,
            "resetsAt": period["end"],
        }
        return shown | self.windows_as_json()

    def windows_as_json(self) -> dict[str, Any]:
        """Return the limits inside the period, where the plan sets any."""
        return {"windows": [window.as_json(self.held) for window in self.windows]} if self.windows else {}

    def as_refusal(self) -> dict[str, Any]:
        """Return the figures of the limit that refused: a window's own where it was one."""
        shown = self.as_json() | {"limitedBy": self.limited_by}
        for window in shown.get("windows", ()):
            if window["per"] == self.limited_by:
                shown |= {name: window[name] for name in ("currentUsage", "limit", "remaining", "resetsAt")}
        return shown

    def as_answer(self, quantity: int) -> dict[str, Any]:
        """Return the answer to whether so much more may be used; what refuses it says when to ask again."""
        by = None if self.outcome == "no_plan" else self.refused_by(quantity)
        left = [window.limit - window.used - self.held for window in self.windows]
        left += [self.remaining] if self.remaining is not None and self.mode == "hard" else []
        ends = next((window.ends for window in self.windows if window.per == by), self.ends)
        return {
            "allowed": self.allows(quantity),
            "currentUsage": self.used,
            "limit": self.limit,
            "planLimit": self.plan_limit,
            "addonCredits": self.credits,
            "rolledOver": self.carried,
            "effectiveLimit": self.limit,
            "held": self.held,
            "remaining": max(0, min(left)) if left else self.remaining,
            "limitedBy": by,
            "resetsAt": render(ends),
        } | self.windows_as_json()

    def as_reply(self) -> dict[str, Any]:
        """Return the reply to a call that was counted (now or before, under the same key)."""
        return {"success": True, "allowed": True, **self.as_json()}


def windows_of(text: str | None) -> tuple[Window, ...]:
    """Return the windows that the database described."""
    rows = orjson.loads(text) if text else ()
    return tuple(Window(row["per"], row["limit"], row["used"], datetime.fromisoformat(row["ends"])) for row in rows)


def period_as_json(starts: datetime, ends: datetime | None) -> dict[str, str | None]:
    """Return a period as the API shows it."""
    return {"start": render(starts), "end": render(ends)}
