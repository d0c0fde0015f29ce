"""The page about an app's Stripe account."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings

from accounts.dashboard.frame import AppPage
from billing.models import Plan, StripeConnection, StripeEvent
from billing.stripe.connect import health_in_words
from billing.stripe.drift import find_drift
from billing.stripe.reconcile import latest_repairs, repairs_since
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.scope import Role


def midnight(moment: datetime) -> datetime:
    """Return when the day of a moment began, UTC."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


class StripePage(AppPage):
    """Whether an account is connected, how it fares, and what of the catalogue it has."""

    section = "stripe"
    resource = "plans"
    template = "dashboard/stripe.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the connection, what stands in its way, where the two sides differ, and the latest events."""
        connection = StripeConnection.objects.within(self.scope).filter(status="connected").first()
        plans = Plan.objects.within(self.scope).filter(active=True)
        return {
            "connection": connection,
            "faults": health_in_words(connection) if connection else [],
            "plans": list(plans.order_by("pk")),
            "drift": find_drift(self.scope) if connection else [],
            "stripe_events": list(StripeEvent.objects.within(self.scope).order_by("-pk")[:10]) if connection else [],
            "repairs": repairs_since(self.scope, midnight(wall_clock())) if connection else 0,
            "repaired": latest_repairs(self.scope, 10) if connection else [],
            "is_sandbox": settings.STRIPE_SANDBOX,
            "may_connect": self.role.rank >= Role.ADMIN.rank,
        }
