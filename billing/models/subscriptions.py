"""Subscriptions, their history, and references to invoices."""

from __future__ import annotations

from django.db import models

from billing.models.catalogue import Plan, PlanVersion, Price
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


class Subscription(AppOwned):
    """A customer's (or an organization's) plan over time.

    What decides access is kept as dates, so that it changes on time even when no event comes:
    see billing/lifecycle.py. `facts_at` is when Stripe was asked for what stands here; facts from
    before it change nothing. Subscriptions without a Stripe id are to free plans.

    `beside_another` marks one that was found live at Stripe while another already was: it is
    recorded as it is, and shown, but does not break the rule for those that we make.

    What starts with `next_` is a change that waits: for the period's end, or for its payment.
    `revoked_at` is when a refund or a dispute took access away. `remind_at` is when the customer is to
    be told something: `trial_told_end` is the trial's end that they know of, `dunned` how often they
    were asked to pay since it was due.
    """

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete"
        TRIALING = "trialing"
        ACTIVE = "active"
        PAST_DUE = "past_due"
        PAUSED = "paused"
        CANCELED = "canceled"

    id_prefix = "sub"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    organization_id = models.UUIDField(null=True)
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+", db_constraint=False)
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+", db_constraint=False)
    price = models.ForeignKey(Price, models.PROTECT, null=True, related_name="+", db_constraint=False)
    quantity = models.PositiveIntegerField(default=1)
    status = models.CharField(max_length=10, choices=Status)
    current_period_start = models.DateTimeField(null=True)
    current_period_end = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)
    cancel_at = models.DateTimeField(null=True)
    canceled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    cancel_reason = models.CharField(max_length=255, blank=True)
    trial_start = models.DateTimeField(null=True)
    trial_end = models.DateTimeField(null=True)
    trial_converted_at = models.DateTimeField(null=True)
    trial_has_card = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True)
    resumes_at = models.DateTimeField(null=True)
    past_due_since = models.DateTimeField(null=True)
    grace_period_ends_at = models.DateTimeField(null=True)
    next_plan_id = models.UUIDField(null=True)
    next_quantity = models.PositiveIntegerField(null=True)
    next_at = models.DateTimeField(null=True)
    next_awaits = models.CharField(max_length=10, blank=True, default="", db_default="")
    revoked_at = models.DateTimeField(null=True)
    remind_at = models.DateTimeField(null=True)
    trial_told_end = models.DateTimeField(null=True)
    dunned = models.PositiveSmallIntegerField(default=0, db_default=0)
    access_from = models.DateTimeField(null=True)
    access_until = models.DateTimeField(null=True)
    beside_another = models.BooleanField(default=False)
    stripe_account = models.CharField(max_length=64, blank=True)
    stripe_subscription_id = models.CharField(max_length=255, blank=True)
    facts_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "app_id", "id"], name="subscription_of_app"),
            models.UniqueConstraint(
                fields=["app_id", "stripe_account", "stripe_subscription_id"],
                condition=~models.Q(stripe_subscription_id=""),
                name="one_subscription_per_stripe_id",
            ),
            models.UniqueConstraint(
                fields=["app_id", "customer"],
                condition=~models.Q(status="canceled") & models.Q(beside_another=False, organization_id__isnull=True),
                name="one_live_subscription_per_customer",
            ),
            models.UniqueConstraint(
                fields=["app_id", "organization_id"],
                condition=~models.Q(status="canceled") & models.Q(beside_another=False, organization_id__isnull=False),
                name="one_live_subscription_per_organization",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[
                        "incomplete",
                        "trialing",
                        "active",
                        "past_due",
                        "paused",
                        "canceled",
                    ]
                ),
                name="subscription_status_is_known",
            ),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="subscription_quantity_is_positive"),
        )
        indexes = (
            models.Index(fields=["app_id", "-id"], name="subscription_newest"),
            models.Index(fields=["customer", "-id"], name="subscription_of_customer"),
            models.Index(fields=["organization_id"], name="subscription_of_org"),
            models.Index(fields=["plan_version"], name="subscription_of_version"),
            models.Index(
                fields=["remind_at"],
                condition=models.Q(remind_at__isnull=False),
                name="subscription_to_remind",
            ),
        )


class SubscriptionTransition(AppOwned):
    """One step in a subscription's history: what changed, when, and who or what caused it.

    `cause` reads `stripe:evt_…`, `key_…`, `mem_…`, `staff_…`, `cust_…` or `system:…`. Rows are never
    altered; the roles' rights see to it.
    """

    id_prefix = "tra"

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="transitions", db_constraint=False)
    name = models.CharField(max_length=40)
    from_status = models.CharField(max_length=10, blank=True)
    to_status = models.CharField(max_length=10)
    cause = models.CharField(max_length=300)
    occurred_at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    class Meta(AppOwned.Meta):
        indexes = (models.Index(fields=["subscription", "-id"], name="transition_newest"),)


class InvoiceReference(AppOwned):
    """That an invoice exists at Stripe, and its totals. Lines, addresses and payment are Stripe's.

    What was paid once at a checkout page has no invoice at Stripe: it stands here under its payment's id, and
    `checkout_id` names the purchase. The hosted page shows the customer's name, so its address is sealed under
    their key.
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        OPEN = "open"
        PAID = "paid"
        UNCOLLECTIBLE = "uncollectible"
        VOID = "void"

    id_prefix = "inv"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, related_name="+", db_constraint=False)
    stripe_account = models.CharField(max_length=64)
    stripe_invoice_id = models.CharField(max_length=255)
    checkout_id = models.UUIDField(null=True)
    number = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=13, choices=Status)
    amount_due_cents = models.BigIntegerField(default=0)
    amount_paid_cents = models.BigIntegerField(default=0)
    amount_refunded_cents = models.BigIntegerField(default=0)
    attempt_count = models.PositiveIntegerField(default=0)
    disputed = models.BooleanField(default=False)
    action_required = models.BooleanField(default=False)
    currency = models.CharField(max_length=3)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    hosted_invoice_url = Sealed(subject="customer_id", null=True, mask="")
    facts_at = models.DateTimeField()
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "stripe_account", "stripe_invoice_id"],
                name="one_reference_per_invoice",
            ),
        )
        indexes = (
            models.Index(fields=["app_id", "-id"], name="invoice_newest"),
            models.Index(fields=["customer", "-id"], name="invoice_of_customer"),
        )
