"""Rate limits that no 60 seconds ever exceed, counted where all processes see them.

The window is cut into 20 sub-windows and the current one plus the 20 before it are counted whole,
so any stretch as long as the window lies inside what is counted: a sliding window that errs to the
strict side by at most a twentieth. The counter is one row of an UNLOGGED table, moved by a single
statement on an autocommit connection: exact under races, and lost (harmlessly) in a crash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import RateLimited
from stackbe.kernel.statements import Statement

MINUTE = 60
TEN_MINUTES = 600
HOUR = 3600
DAY = 24 * HOUR
# Every window in use is one of these; `forget_idle_buckets` reads a bucket's age with them.
WINDOWS = (MINUTE, TEN_MINUTES, HOUR, DAY)
SUBWINDOWS = 20
# Buckets come in lines, since a name never holds a line's end; their limits with commas between.
TAKE_EACH = Statement(
    "kernel_take_each",
    "select bool_and(t.ok) from unnest(string_to_array(%s, E'\\n'), string_to_array(%s, ',')::integer[])"
    " as b(bucket, allowed) cross join lateral kernel_take(b.bucket, %s, b.allowed, 1, %s) as t",
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a bucket answered: may it pass, how much is left, when more frees up."""

    ok: bool
    limit: int
    remaining: int
    reset_at: float  # Unix seconds
    window_seconds: int

    def headers(self) -> dict[str, str]:
        """Return the X-RateLimit headers and those of draft-ietf-httpapi-ratelimit-headers."""
        wait = max(0, math.ceil(self.reset_at - wall_clock().timestamp()))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset_at)),
            "RateLimit-Policy": f'"default";q={self.limit};w={self.window_seconds}',
            "RateLimit": f'"default";r={self.remaining};t={wait}',
        }

    @property
    def retry_after_seconds(self) -> int:
        """Return whole seconds until a refused caller may try again, at least 1."""
        return max(1, math.ceil(self.reset_at - wall_clock().timestamp()))


class Bucket(NamedTuple):
    """What a call is counted against."""

    name: str
    limit: int
    window_seconds: int


def take(bucket: str, limit: int, window_seconds: int = MINUTE, cost: int = 1) -> Allowance:
    """Count one call against a bucket, unless that would exceed its limit.

    A refused call is not counted. `cost=0` only looks.
    """
    at_ms = int(wall_clock().timestamp() * 1000)
    with connection.cursor() as cursor:
        cursor.execute(
            "select ok, remaining, reset_ms from kernel_take(%s, %s, %s, %s, %s)",
            [bucket, at_ms, limit, cost, window_seconds * 1000],
        )
        ok, remaining, reset_ms = cursor.fetchone()
    return Allowance(ok, limit, remaining, reset_ms / 1000, window_seconds)


def take_each(buckets: Sequence[tuple[str, int]], window_seconds: int) -> bool:
    """Count one call against each of several (bucket, limit), in one round trip; say whether all of them let it pass.

    Each counts by itself: one that refuses keeps no other from counting. Whoever takes several names them in one
    order of kinds, the particular before the general, so that no two calls wait for each other in a ring.
    """
    at_ms = int(wall_clock().timestamp() * 1000)
    names, allowed = "\n".join(name for name, _ in buckets), ",".join(str(limit) for _, limit in buckets)
    return bool(TAKE_EACH.row(names, allowed, at_ms, window_seconds * 1000)[0])


def require(bucket: str, limit: int, window_seconds: int = MINUTE) -> Allowance:
    """Count one call or raise `RateLimited` with the seconds to wait."""
    allowance = take(bucket, limit, window_seconds)
    if not allowance.ok:
        raise RateLimited(retry_after_seconds=allowance.retry_after_seconds)
    return allowance


def failed_credentials(caller: str, cost: int = 1) -> Allowance:
    """Count one refused credential of an address; `cost=0` looks how many more it may send."""
    return take(f"failed:{caller}", settings.FAILED_CREDENTIALS_PER_MINUTE, cost=cost)


def forget_idle_buckets() -> int:
    """Delete buckets in which nothing has been counted for two windows; return how many.

    A bucket keeps the number of its sub-window and not its length, so one that is recent by any of the
    windows stays.
    """
    at_ms = int(wall_clock().timestamp() * 1000)
    newest = [at_ms * SUBWINDOWS // (window * 1000) for window in WINDOWS]
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from kernel_ratebucket b where not exists ("
            " select from unnest(%s::bigint[]) as slot where b.slot between slot - %s and slot + 1)",
            [newest, 2 * SUBWINDOWS],
        )
        return int(cursor.rowcount)
