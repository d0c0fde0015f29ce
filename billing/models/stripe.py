"""Stripe's side: the connected account, and which of its objects stand for which rows.

Object ids are unique within a Stripe account only, so every link names the account too.
"""

from __future__ import annotations

from django.db import models

from billing.models.catalogue import Plan, PlanVersion, Price
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class StripeConnection(AppOwned):
    """The tenant's own Stripe account behind an app, and how it fares.

    No secret is kept: calls go out with the platform's key and the account named. Several apps
    may share an account. `events_cursor` is the newest event that the sweep has seen, `in_step_at`
    when our rows last equalled Stripe's.
    """

    class Status(models.TextChoices):
        CONNECTED = "connected"
        DISCONNECTED = "disconnected"

    id_prefix = "conn"

    account_id = models.CharField(max_length=64)
    livemode = models.BooleanField(default=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.CONNECTED)
    charges_enabled = models.BooleanField(default=False)
    payouts_enabled = models.BooleanField(default=False)
    details_submitted = models.BooleanField(default=False)
    requirements_due = models.JSONField(default=list)
    default_currency = models.CharField(max_length=3, blank=True)
    country = models.CharField(max_length=2, blank=True)
    events_cursor = models.CharField(max_length=255, blank=True)
    in_step_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    connected_at = models.DateTimeField(default=wall_clock)
    disconnected_at = models.DateTimeField(null=True)
    disconnected_by = models.CharField(max_length=80, blank=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id"],
                condition=models.Q(status="connected"),
                name="one_live_connection_per_app",
            ),
        )
        indexes = (models.Index(fields=["account_id"], name="connection_of_account"),)


class StripeObject(AppOwned):
    """An object that we made on a connected account, and the row it stands for.

    `digest` covers what was last pushed: an equal one needs no call.
    """

    class Kind(models.TextChoices):
        PRODUCT = "product"
        COUPON = "coupon"
        PROMOTION_CODE = "promotion_code"
        METER = "meter"
        OVERAGE = "overage"
        PORTAL = "portal"

    kind = models.CharField(max_length=16, choices=Kind)
    local_id = models.UUIDField()
    account_id = models.CharField(max_length=64)
    stripe_id = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, blank=True)
    pushed_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "account_id", "kind", "stripe_id"],
                name="one_row_per_stripe_object",
            ),
            models.UniqueConstraint(
                fields=["app_id", "account_id", "kind", "local_id"],
                name="one_stripe_object_per_row",
            ),
        )


class StripeCustomer(AppOwned):
    """A customer's counterpart on a connected account."""

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    account_id = models.CharField(max_length=64)
    stripe_customer_id = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "account_id", "stripe_customer_id"],
                name="one_customer_per_stripe_customer",
            ),
            models.UniqueConstraint(
                fields=["app_id", "account_id", "customer"],
                name="one_stripe_customer_per_customer",
            ),
        )


class StripeIntent(AppOwned):
    """A write to Stripe that was decided on, recorded before the call.

    A call that never answered is resolved by sending the same idempotency key again; so the row
    outlives the process. `detail` holds ids and amounts alone, never an address.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        FAILED = "failed"

    id_prefix = "intent"

    kind = models.CharField(max_length=40)
    target = models.CharField(max_length=80)
    account_id = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    idempotency_key = models.CharField(max_length=255)
    request_digest = models.BinaryField(default=b"")
    detail = models.JSONField(default=dict)
    stripe_id = models.CharField(max_length=255, blank=True)
    error_code = models.CharField(max_length=80, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "idempotency_key"], name="one_intent_per_idempotency_key"),
        )
        indexes = (
            models.Index(
                fields=["app_id", "created_at"],
                condition=models.Q(state="pending"),
                name="intent_pending",
            ),
        )


class Checkout(AppOwned):
    """A Stripe-hosted checkout page that was made for a customer. Its public id is Stripe's.

    Only one may be open for a customer and plan, since a page lives a day and two of them would
    charge twice: the older is `superseded` and expired at Stripe. `options` holds what the page is to ask for:
    `promotionCodes`, `automaticTax`, `taxIds`.
    """

    class Status(models.TextChoices):
        CREATING = "creating"
        OPEN = "open"
        COMPLETE = "complete"
        SUPERSEDED = "superseded"
        EXPIRED = "expired"
        FAILED = "failed"

    id_prefix = "chk"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    organization_id = models.UUIDField(null=True)
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+", db_constraint=False)
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+", db_constraint=False)
    price = models.ForeignKey(Price, models.PROTECT, null=True, related_name="+", db_constraint=False)
    quantity = models.PositiveIntegerField(default=1)
    trial_days = models.PositiveIntegerField(default=0)
    coupon_code = models.CharField(max_length=80, blank=True)
    options = models.JSONField(default=dict, db_default={})
    success_url = models.CharField(max_length=2048)
    cancel_url = models.CharField(max_length=2048)
    account_id = models.CharField(max_length=64)
    stripe_session_id = models.CharField(max_length=255, blank=True)
    url = models.CharField(max_length=4096, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.CREATING)
    intent = models.ForeignKey(StripeIntent, models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "account_id", "stripe_session_id"],
                condition=~models.Q(stripe_session_id=""),
                name="one_checkout_per_stripe_session",
            ),
            models.UniqueConstraint(
                fields=["app_id", "customer", "plan"],
                condition=models.Q(status__in=["creating", "open"]),
                name="one_open_checkout_per_customer_and_plan",
            ),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="checkout_quantity_is_positive"),
        )
        indexes = (models.Index(fields=["customer", "-id"], name="checkout_of_customer"),)


# A page that is to be had, or is being made; and what somebody could still pay on, until Stripe has expired it.
STANDING = (Checkout.Status.CREATING, Checkout.Status.OPEN)
PAYABLE = (*STANDING, Checkout.Status.SUPERSEDED)


class StripeEvent(AppOwned):
    """That an event came, for one app on its account: never what was in it.

    `recovered` marks one that had to be looked for: it never arrived, or was never worked off.
    """

    class State(models.TextChoices):
        RECEIVED = "received"
        DONE = "done"
        IGNORED = "ignored"
        FAILED = "failed"

    account_id = models.CharField(max_length=64)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=255, blank=True)
    created = models.DateTimeField()
    received_at = models.DateTimeField(default=wall_clock)
    processed_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)
    recovered = models.BooleanField(default=False, db_default=False)
    error_class = models.CharField(max_length=80, blank=True)
    error_code = models.CharField(max_length=80, blank=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "account_id", "event_id"], name="stripe_event_claimed_once"),
        )
        indexes = (
            models.Index(fields=["app_id", "-id"], name="stripe_event_newest"),
            models.Index(
                fields=["received_at"],
                condition=models.Q(state="received"),
                name="stripe_event_waiting",
            ),
        )


class StripeLease(AppOwned):
    """Who may fetch and record a Stripe object just now: the holder of `token` until `until`.

    `wanted` is set by whoever came meanwhile: the holder then fetches once more, so nobody waits.
    """

    account_id = models.CharField(max_length=64)
    object_id = models.CharField(max_length=255)
    token = models.UUIDField()
    until = models.DateTimeField()
    wanted = models.BooleanField(default=False)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "account_id", "object_id"], name="one_lease_per_stripe_object"),
        )
