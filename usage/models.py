"""Metrics and what customers used of them. Never a request's content: there is no field for one."""

from __future__ import annotations

from django.db import models

from accounts.models import Customer
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class Metric(AppOwned):
    """Something that an app counts, such as `api_calls`."""

    class Aggregation(models.TextChoices):
        SUM = "sum"
        MAX = "max"
        LAST = "last"
        UNIQUE = "unique"

    class Resets(models.TextChoices):
        BILLING_PERIOD = "billing_period"
        MONTH = "month"
        DAY = "day"
        NEVER = "never"

    id_prefix = "met"

    name = models.CharField(max_length=64)
    aggregation = models.CharField(max_length=8, choices=Aggregation, default=Aggregation.SUM)
    unit = models.CharField(max_length=40, blank=True)
    resets = models.CharField(max_length=16, choices=Resets, default=Resets.BILLING_PERIOD)
    created_at = models.DateTimeField(default=wall_clock)
    archived_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "name"], name="one_metric_per_name"),
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="metric_of_app"),
        )


class Counter(AppOwned):
    """What a customer used of a metric in one period.

    `latest_at` is the time of the event that a metric of the last value shows: one from before it,
    however late it arrives, changes nothing. `billed` is what was reported to Stripe beyond the plan's
    allowance, `billing` what is on its way there.
    """

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="+")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    used = models.BigIntegerField(default=0)
    latest_at = models.DateTimeField(null=True)
    billed = models.BigIntegerField(default=0, db_default=0)
    billing = models.BigIntegerField(default=0, db_default=0)
    updated_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["customer", "metric", "period_start"], name="one_counter_per_period"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="nothing_is_unused"),
        )


class Crossing(AppOwned):
    """A threshold that was just passed; the worker turns it into `usage.threshold_reached`."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="+")
    period_start = models.DateTimeField()
    percent = models.PositiveSmallIntegerField()
    used = models.BigIntegerField()
    allowed = models.BigIntegerField()
    crossed_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["customer", "metric", "period_start", "percent"],
                name="one_crossing_per_threshold",
            ),
        )
