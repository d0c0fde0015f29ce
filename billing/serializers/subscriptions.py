"""Shapes of subscriptions, their history, and invoices."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.events import invoice_as_event, plan_as_event, subscription_as_event
from billing.models import InvoiceReference, Subscription, SubscriptionTransition
from billing.serializers.catalogue import ID_LENGTH, LONGEST_TRIAL, PlanOutput
from stackbe.kernel.clock import now, render
from stackbe.kernel.serializers import (
    Boolean,
    Input,
    Integer,
    Metadata,
    Output,
    PageQuery,
    Query,
    Text,
    Timestamp,
    camel,
)
from stackbe.kernel.transactions import current

EXPANDABLE = ("plan",)
# Columns of the history that hold ids of rows, and those that the API shows under no name.
ROWS = {"plan_id": "plan", "next_plan_id": "plan", "price_id": "price"}
OF_THE_BOOKS = frozenset({"plan_version_id", "next_awaits", "facts_at"})
LARGEST_QUANTITY = 1_000_000


class ExpandQuery(Query):
    """What to show in full in place of an id."""

    expand = serializers.ListField(child=serializers.ChoiceField(choices=EXPANDABLE), required=False, max_length=5)


class CurrentQuery(ExpandQuery):
    """Whose subscription."""

    customer_id = Text(max_length=ID_LENGTH)


class SubscriptionsQuery(PageQuery):
    """What the list of subscriptions can be narrowed by."""

    customer_id = Text(required=False, max_length=ID_LENGTH)
    status = serializers.ChoiceField(choices=Subscription.Status.choices, required=False)
    expand = serializers.ListField(child=serializers.ChoiceField(choices=EXPANDABLE), required=False, max_length=5)


class InvoicesQuery(PageQuery):
    """What the list of invoices can be narrowed by."""

    customer_id = Text(required=False, max_length=ID_LENGTH)


class SubscriptionInput(Input):
    """Who is to have which free plan: the customer, or an organization that they run as owner or admin.

    `trialDays` grants a cardless trial of that length, also to who has had one.
    """

    customer_id = Text(max_length=ID_LENGTH)
    plan_id = Text(max_length=ID_LENGTH)
    organization_id = Text(max_length=ID_LENGTH, required=False, allow_null=True)
    trial_days = Integer(min_value=0, max_value=LONGEST_TRIAL, required=False)


class ChangeInput(Input):
    """What a subscription is to become: another plan, quantity or rhythm; at once or with its next period.

    `interval` chooses among the plan's prices, such as the yearly one.
    """

    plan_id = Text(max_length=ID_LENGTH, required=False)
    quantity = Integer(min_value=1, max_value=LARGEST_QUANTITY, required=False)
    interval = serializers.ChoiceField(choices=("month", "year", "week"), required=False)
    prorate = Boolean(default=True)
    when = serializers.ChoiceField(choices=("now", "period_end"), required=False)


class PreviewInput(ChangeInput):
    """The same for a change that is only being considered."""

    subscription_id = Text(max_length=ID_LENGTH)


class PauseInput(Input):
    """Until when; without a date until it is resumed."""

    resumes_at = Timestamp(required=False, allow_null=True)


class PreviewLineOutput(Output):
    """One line of the invoice that a change would make. Credits are negative."""

    description = Text()
    amount_cents = Integer()
    quantity = Integer(allow_null=True)
    period_start = Timestamp(allow_null=True)
    period_end = Timestamp(allow_null=True)


class PreviewOutput(Output):
    """What a change would cost, and when: now, or at `effectiveAt`."""

    subscription_id = Text()
    plan_id = Text()
    quantity = Integer()
    when = serializers.ChoiceField(choices=("now", "period_end"))
    effective_at = Timestamp(allow_null=True)
    currency = Text(allow_null=True)
    amount_due_cents = Integer()
    total_cents = Integer()
    lines = PreviewLineOutput(many=True)


class ScheduledChangeOutput(Output):
    """What a subscription becomes: with its period's end, or once its payment is made."""

    plan_id = Text()
    quantity = Integer()
    awaits = serializers.ChoiceField(choices=("period_end", "payment"))
    effective_at = Timestamp(allow_null=True)
    expires_at = Timestamp(allow_null=True)


class SubscriptionOutput(Output):
    """A subscription as the API shows it; `plan` where `expand=plan` asks for it."""

    id = Text()
    status = serializers.ChoiceField(choices=Subscription.Status.choices)
    customer_id = Text()
    organization_id = Text(allow_null=True)
    plan_id = Text()
    plan = PlanOutput(required=False)
    quantity = Integer()
    current_period_start = Timestamp(allow_null=True)
    current_period_end = Timestamp(allow_null=True)
    cancel_at_period_end = Boolean()
    canceled_at = Timestamp(allow_null=True)
    trial_start = Timestamp(allow_null=True)
    trial_end = Timestamp(allow_null=True)
    trial_converted_at = Timestamp(allow_null=True)
    paused_at = Timestamp(allow_null=True)
    resumes_at = Timestamp(allow_null=True)
    grace_period_ends_at = Timestamp(allow_null=True)
    scheduled_change = ScheduledChangeOutput(allow_null=True)
    stripe_subscription_id = Text(allow_null=True)
    created_at = Timestamp()

    def to_representation(self, instance: Subscription) -> dict[str, Any]:
        """Return the shape above, its status by the app's clock."""
        shown = subscription_as_event(instance, now(self.context["scope"]))
        if "plan" in self.context.get("expand", ()):
            shown["plan"] = plan_as_event(instance.plan, instance.plan_version)
        return shown


class TransitionOutput(Output):
    """One step in a subscription's history. `changes` holds `[before, after]` by name, as the API calls it."""

    id = Text()
    transition = Text()
    from_status = Text(allow_null=True)
    to_status = Text()
    cause = Text()
    occurred_at = Timestamp()
    changes = Metadata()

    def to_representation(self, instance: SubscriptionTransition) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "id": instance.public_id,
            "transition": instance.name,
            "fromStatus": instance.from_status or None,
            "toStatus": instance.to_status,
            "cause": instance.cause,
            "occurredAt": render(instance.occurred_at),
            "changes": {
                camel(name): [_public(name, value) for value in pair]
                for name, pair in instance.detail.items()
                if name not in OF_THE_BOOKS
            },
        }


def _public(name: str, value: Any) -> Any:
    """Return a value of the history as the API shows it: the id of a row is that of what the column names."""
    return f"{ROWS[name]}_{value.removeprefix('row_')}" if name in ROWS and value else value


class SubscriptionAccessOutput(Output):
    """Whether a subscription grants access now, why, and until when (null: no end is known)."""

    has_access = Boolean()
    reason = Text()
    until = Timestamp(allow_null=True)

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        """Return what the service worked out."""
        return instance


class InvoiceOutput(Output):
    """The reference to an invoice at Stripe."""

    id = Text()
    number = Text(allow_null=True)
    status = serializers.ChoiceField(choices=InvoiceReference.Status.choices)
    amount_due_cents = Integer()
    amount_paid_cents = Integer()
    amount_refunded_cents = Integer()
    disputed = Boolean()
    currency = Text()
    period_start = Timestamp(allow_null=True)
    period_end = Timestamp(allow_null=True)
    hosted_invoice_url = Text(allow_null=True)
    created_at = Timestamp()

    def to_representation(self, instance: InvoiceReference) -> dict[str, Any]:
        """Return the shape above."""
        return invoice_as_event(instance)

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Open all keys of a page at once."""
        current().keys.preload([row.customer_id for row in rows])
