"""Coupons: what is taken off a price, and the code that a customer gives for it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class Coupon(AppOwned):
    """A code and what it takes off: a Coupon and a Promotion Code on the account that was connected when it was made.

    Until Stripe has made both, `stripe_promotion_id` is empty; asking for the same coupon again then goes on
    where the first call was cut off. Who has it keeps it when it is archived.
    """

    class Duration(models.TextChoices):
        ONCE = "once"
        REPEATING = "repeating"
        FOREVER = "forever"

    id_prefix = "coup"

    code = models.CharField(max_length=80)
    percent_off = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    amount_off_cents = models.PositiveBigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    duration = models.CharField(max_length=9, choices=Duration, default=Duration.ONCE)
    duration_in_months = models.PositiveSmallIntegerField(null=True)
    max_redemptions = models.PositiveIntegerField(null=True)
    expires_at = models.DateTimeField(null=True)
    stripe_account = models.CharField(max_length=64)
    stripe_coupon_id = models.CharField(max_length=255, blank=True)
    stripe_promotion_id = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=wall_clock)
    archived_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                "app_id",
                "stripe_account",
                Lower("code"),
                condition=models.Q(archived_at__isnull=True),
                name="one_coupon_per_code",
            ),
            models.CheckConstraint(
                condition=models.Q(percent_off__isnull=True) ^ models.Q(amount_off_cents__isnull=True),
                name="coupon_takes_one_thing_off",
            ),
        )
        indexes = (models.Index(fields=["app_id", "-id"], name="coupon_newest"),)
