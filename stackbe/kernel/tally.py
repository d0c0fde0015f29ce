"""Failures that leave no row behind, counted by the hour where all processes see them, for a day.

They are for people who look after the service, so that a count that is lost with the cache is no harm, and one
that cannot be written never fails the request that it tells of.
"""

from __future__ import annotations

import logging

from django.core.cache import caches
from django.db import DatabaseError

from stackbe.kernel.clock import wall_clock

SERVER_ERROR = "error"
HOUR = 3600
KEPT = 25 * HOUR
log = logging.getLogger("stackbe.tally")


def count(kind: str) -> None:
    """Count one failure of a kind."""
    key = _key(kind, _hour())
    try:
        if not caches["default"].add(key, 1, timeout=KEPT):
            caches["default"].incr(key)
    except (DatabaseError, ValueError, OSError):
        log.warning("a failure was not counted", extra={"kind": kind})


def hours(kind: str, number: int) -> list[int]:
    """Return how many there were in each of the last hours, the oldest first."""
    last = _hour()
    keys = [_key(kind, hour) for hour in range(last - number + 1, last + 1)]
    found = caches["default"].get_many(keys)
    return [int(found.get(key, 0)) for key in keys]


def _hour() -> int:
    return int(wall_clock().timestamp()) // HOUR


def _key(kind: str, hour: int) -> str:
    return f"tally:{kind}:{hour}"
