"""What follows an attempt: delivered, tried again (when?), or given up."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MAX_ATTEMPTS = len(RETRY_DELAYS) + 1
LONGEST_WAIT = timedelta(hours=24)
JITTER = 0.1
ENDPOINT_PATIENCE = timedelta(days=5)
GONE = 410
_SUCCESS = range(200, 300)
_MAX_SECONDS_DIGITS = 9


class Outcome(StrEnum):
    """What an attempt means for its delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    GONE = "gone"  # the receiver wants no more: the delivery failed and the endpoint is disabled


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and, for a retry, how long to wait from now."""

    outcome: Outcome
    wait: timedelta | None = None


def judge_attempt(attempt: int, status: int | None, *, retry_after: str | None = None, now: datetime) -> Verdict:
    """Return what follows attempt number `attempt` (from 1) that was answered with `status`.

    None stands for no answer at all. Any 2xx delivers, 410 ends it and disables the endpoint,
    everything else (redirects too) is tried again on the schedule until ten attempts are spent.
    A `Retry-After` may ask for more patience than the schedule has, never for less, up to 24 h.
    """
    if status in _SUCCESS:
        return Verdict(Outcome.DELIVERED)
    if status == GONE:
        return Verdict(Outcome.GONE)
    if attempt >= MAX_ATTEMPTS:
        return Verdict(Outcome.FAILED)
    asked = parse_retry_after(retry_after, now=now)
    planned = jittered(RETRY_DELAYS[attempt - 1])
    return Verdict(Outcome.RETRY, min(max(planned, asked), max(planned, LONGEST_WAIT)))


def jittered(delay: timedelta) -> timedelta:
    """Return the delay moved by up to a tenth either way.

    Deliveries that failed together in one outage would come back as one wave otherwise.
    """
    return delay * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # spreads load, hides nothing


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta:
    """Return the wait that a `Retry-After` header asks for (RFC 9110, 10.2.3), zero if none.

    Seconds and HTTP dates are understood; anything else counts as not sent.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        if len(text) > _MAX_SECONDS_DIGITS:
            return LONGEST_WAIT
        return timedelta(seconds=int(text))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return timedelta()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta())


def endpoint_exhausted(failing_since: datetime | None, *, now: datetime) -> bool:
    """Say whether an endpoint has failed without a break for so long that it is disabled."""
    return failing_since is not None and now - failing_since >= ENDPOINT_PATIENCE
