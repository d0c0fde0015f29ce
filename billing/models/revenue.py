"""What each day came to."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class RevenueDay(AppOwned):
    """How an app stood when a day of its clock (UTC) ended, and what that day brought, in one currency.

    `mrr_cents` is what `paying` subscriptions come to by the month, before discounts and taxes. `paid_cents` and
    `refunded_cents` are what was paid and given back, of invoices: all days together are what the invoices say.
    """

    day = models.DateField()
    currency = models.CharField(max_length=3)
    mrr_cents = models.BigIntegerField(default=0)
    paying = models.PositiveIntegerField(default=0)
    started = models.PositiveIntegerField(default=0)
    churned = models.PositiveIntegerField(default=0)
    trials_started = models.PositiveIntegerField(default=0)
    trials_converted = models.PositiveIntegerField(default=0)
    trials_lost = models.PositiveIntegerField(default=0)
    paid_cents = models.BigIntegerField(default=0)
    refunded_cents = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "day", "currency"], name="one_row_per_day_and_currency"),
        )
