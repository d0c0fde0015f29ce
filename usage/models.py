"""Metrics and what customers used of them. Never a request's content: there is no field for one."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Customer
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


def usual_thresholds() -> list[int]:
    """Return at which percents of a limit an app is told, unless it chooses others."""
    return [80, 100]


class Metric(AppOwned):
    """Something that an app counts, such as `api_calls`.

    `thresholds` are the percents of a customer's limit at which the app is told.
    """

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
    thresholds = ArrayField(models.PositiveSmallIntegerField(), default=usual_thresholds)
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
    however late it arrives, changes nothing. `credited` is how much was paid from credits, `carried` what was
    left of the period before, `passed_on` what was left of this one for the next, and `held` what reservations
    hold (those that ran out included, until the worker closes them). `included` is what the plan included when
    it was last counted. The newest hour and day are kept here and move to `usage_bucket` when the next begin.
    `reached` are the thresholds that the app was told of, each with the limit that it was a percentage of. `billed`
    is what was reported to Stripe beyond the allowance, `billing` what is on its way there.
    """

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="+")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True)
    used = models.BigIntegerField(default=0)
    included = models.BigIntegerField(null=True)
    credited = models.BigIntegerField(default=0)
    carried = models.BigIntegerField(default=0)
    passed_on = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    hour_start = models.DateTimeField(null=True)
    hour_used = models.BigIntegerField(default=0)
    day_used = models.BigIntegerField(default=0)
    reached = models.JSONField(default=dict)
    latest_at = models.DateTimeField(null=True)
    billed = models.BigIntegerField(default=0, db_default=0)
    billing = models.BigIntegerField(default=0, db_default=0)
    updated_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["customer", "metric", "period_start"], name="one_counter_per_period"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="nothing_is_unused"),
            models.CheckConstraint(
                condition=models.Q(credited__gte=0, carried__gte=0, passed_on__gte=0, held__gte=0),
                name="counter_owes_nothing",
            ),
        )


class Credit(AppOwned):
    """Units granted to a customer beside the plan's allowance, spent after it.

    The least `priority` is spent first, then what expires first, then the oldest. `checkout_id` is the purchase that
    ended in it. One whose payment went back expired at `revoked_at`; until when it was to last stands in
    `lasted_until`.
    """

    id_prefix = "crd"

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="+")
    quantity = models.BigIntegerField()
    remaining = models.BigIntegerField()
    priority = models.PositiveSmallIntegerField(default=50)
    expires_at = models.DateTimeField(null=True)
    reason = Sealed(subject="customer_id")
    granted_by = models.CharField(max_length=80)
    checkout_id = models.UUIDField(null=True)
    revoked_at = models.DateTimeField(null=True)
    lasted_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["checkout_id", "metric"],
                condition=models.Q(checkout_id__isnull=False),
                name="one_credit_per_purchase_and_metric",
            ),
            models.CheckConstraint(
                condition=models.Q(remaining__gte=0, remaining__lte=models.F("quantity")),
                name="credit_remains_within_its_grant",
            ),
        )
        indexes = (
            models.Index(fields=["customer", "metric"], condition=models.Q(remaining__gt=0), name="credit_to_spend"),
            models.Index(fields=["customer", "-id"], name="credit_newest"),
        )


class CreditUse(AppOwned):
    """What one counter took of one credit."""

    credit = models.ForeignKey(Credit, models.CASCADE, related_name="uses")
    counter = models.ForeignKey(Counter, models.CASCADE, related_name="+")
    quantity = models.BigIntegerField()
    used_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["credit", "counter"], name="one_use_per_credit_and_period"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0), name="credit_use_is_no_gain"),
        )


class Reservation(AppOwned):
    """Units held for a customer until the real amount is known, given back, or the time runs out."""

    class Status(models.TextChoices):
        HELD = "held"
        CONFIRMED = "confirmed"
        RELEASED = "released"
        EXPIRED = "expired"

    id_prefix = "rsv"

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="+")
    counter = models.ForeignKey(Counter, models.CASCADE, related_name="reservations")
    quantity = models.BigIntegerField()
    confirmed_quantity = models.BigIntegerField(null=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.HELD)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=wall_clock)
    closed_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (models.CheckConstraint(condition=models.Q(quantity__gte=1), name="reservation_holds_some"),)
        indexes = (
            models.Index(fields=["counter"], condition=models.Q(status="held"), name="reservation_that_holds"),
            models.Index(
                fields=["app_id", "expires_at"], condition=models.Q(status="held"), name="reservation_that_ends"
            ),
            models.Index(fields=["customer", "-id"], name="reservation_newest"),
        )

    def status_at(self, moment: datetime) -> str:
        """Return the status by the clock: a hold whose time has run out has expired, closed or not."""
        ran_out = self.status == self.Status.HELD and self.expires_at <= moment
        return self.Status.EXPIRED if ran_out else self.status


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
                fields=["customer", "metric", "period_start", "percent", "allowed"],
                name="one_crossing_per_threshold",
            ),
        )
