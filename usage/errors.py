"""What can go wrong with usage."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, Forbidden, NotFound


class MetricNotFound(NotFound):
    """No live metric of that name."""

    code = "METRIC_NOT_FOUND"
    message = "No such metric. Define it under /v1/metrics first."


class MetricInUse(Conflict):
    """An archived metric would leave plans that allow so much of what nobody counts."""

    message = "Plans or features count by this metric. Take it out of them first."


class UsageLimitExceeded(Conflict):
    """A hard limit: nothing was counted."""

    code = "USAGE_LIMIT_EXCEEDED"
    message = "This would pass the plan's limit for this metric. Nothing was counted."


class NoActiveSubscription(Forbidden):
    """Neither a subscription nor a default plan grants anything."""

    code = "NO_ACTIVE_SUBSCRIPTION"
    message = "This customer has no active subscription, and the app has no default plan."


class ReservationNotFound(NotFound):
    """No such reservation of the app's."""

    code = "RESERVATION_NOT_FOUND"
    message = "No such reservation."


class ReservationClosed(Conflict):
    """Confirmed with another quantity, or released: it holds nothing any more."""

    code = "RESERVATION_CLOSED"
    message = "This reservation is closed: it was confirmed with another quantity, or released. Make a new one."


class ReservationExpired(Conflict):
    """Its time ran out, so what it held is free again."""

    code = "RESERVATION_EXPIRED"
    message = "This reservation's time ran out and nothing is held any more. Track what was used, or make a new one."
