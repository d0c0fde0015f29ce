"""The one place that reads the time.

A test app's clock can be moved, so code that decides anything by time asks `now(scope)`, and
SQL takes the moment as an argument. Real-world deadlines (sign-in links, leases, retries, rate
limits) ask `wall_clock()`, which no app can move.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.utils import timezone


class HasClock(Protocol):
    """Anything that carries an app's clock offset."""

    @property
    def clock_offset(self) -> timedelta:
        """How far the app's clock is ahead of real time."""


def wall_clock() -> datetime:
    """Return the real time, UTC, aware."""
    return timezone.now()


def now(scope: HasClock) -> datetime:
    """Return the time as the app sees it, UTC, aware."""
    return wall_clock() + scope.clock_offset


def render(moment: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with `Z` and milliseconds, as the public API writes times."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
