"""What an app takes in: the last 30 days that were written."""

from __future__ import annotations

from typing import Any

from accounts.dashboard.frame import AppPage
from billing.services.revenue import summary
from stackbe.kernel.currencies import in_units


class Revenue(AppPage):
    """Monthly recurring revenue, churn, trials, payments and refunds."""

    section = "subscriptions"
    resource = "subscriptions"
    template = "dashboard/revenue.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the figures by currency, each with its series for the charts."""
        found = summary(self.scope)
        for each in found:
            code = each["currency"]
            named = [(f"{day.day} {day:%b}", row) for day, row in each["days"]]
            each["mrr_series"] = [(name, float(in_units(row.mrr_cents, code)) if row else 0) for name, row in named]
            each["paid_series"] = [(name, float(in_units(row.paid_cents, code)) if row else 0) for name, row in named]
        return {"found": found}
