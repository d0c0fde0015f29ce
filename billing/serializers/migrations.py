"""Shapes of migrations: what one would do to whom, and how far one has come."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.models import PlanMigration, Subscription
from billing.services.migrations import outlook
from stackbe.kernel.clock import render
from stackbe.kernel.ids import encode
from stackbe.kernel.serializers import Boolean, Input, Integer, Output, PageQuery, Text, Timestamp

WHENS = PlanMigration.When.choices
LARGEST_VERSION = 1_000_000


class MigrationInput(Input):
    """Whom to migrate (those of one older version, or all), and when: with their next period, or now."""

    from_version = Integer(min_value=1, max_value=LARGEST_VERSION, required=False, allow_null=True)
    when = serializers.ChoiceField(choices=WHENS, default=PlanMigration.When.PERIOD_END)
    prorate = Boolean(default=True)


class MigrationPreviewQuery(PageQuery):
    """The same for a look at what would happen."""

    from_version = Integer(min_value=1, max_value=LARGEST_VERSION, required=False)
    when = serializers.ChoiceField(choices=WHENS, default=PlanMigration.When.PERIOD_END)


class MigrationPreviewOutput(Output):
    """What one subscriber pays per period now and would pay then, before discounts and taxes.

    Where `problem` is not null, it says why they would stay where they are.
    """

    subscription_id = Text()
    customer_id = Text()
    from_version = Integer()
    to_version = Integer()
    quantity = Integer()
    currency = Text(allow_null=True)
    amount_now_cents = Integer(allow_null=True)
    amount_then_cents = Integer(allow_null=True)
    interval = Text(allow_null=True)
    interval_count = Integer(allow_null=True)
    effective_at = Timestamp(allow_null=True)
    problem = Text(allow_null=True)

    def to_representation(self, instance: Subscription) -> dict[str, Any]:
        """Return the shape above."""
        seen = outlook(self.context["scope"], instance, self.context["when"])
        price = seen.price or instance.price
        return {
            "subscriptionId": instance.public_id,
            "customerId": encode("cust", instance.customer_id),
            "fromVersion": instance.plan_version.number,
            "toVersion": seen.to_version,
            "quantity": instance.quantity,
            "currency": price.currency if price else None,
            "amountNowCents": seen.cents_now,
            "amountThenCents": seen.cents_then,
            "interval": price.interval if price else None,
            "intervalCount": price.interval_count if price else None,
            "effectiveAt": render(seen.effective_at),
            "problem": seen.problem or None,
        }


class MigrationRefusalOutput(Output):
    """A subscription that stays where it is, and why."""

    subscription_id = Text()
    reason = Text()


class MigrationOutput(Output):
    """How far a migration has come. `scheduled` go over with their next period; `refused` stay as they are."""

    id = Text()
    plan_id = Text()
    from_version = Integer(allow_null=True)
    to_version = Integer()
    when = serializers.ChoiceField(choices=WHENS)
    prorate = Boolean()
    state = serializers.ChoiceField(choices=PlanMigration.State.choices)
    subscribers = Integer()
    moved = Integer()
    scheduled = Integer()
    refused = Integer()
    refusals = MigrationRefusalOutput(many=True)
    created_at = Timestamp()
    finished_at = Timestamp(allow_null=True)

    def to_representation(self, instance: PlanMigration) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "id": instance.public_id,
            "planId": encode("plan", instance.plan_id),
            "fromVersion": instance.from_version,
            "toVersion": instance.to_version,
            "when": instance.when,
            "prorate": instance.prorate,
            "state": instance.state,
            "subscribers": instance.subscribers,
            "moved": instance.moved,
            "scheduled": instance.scheduled,
            "refused": instance.refused,
            "refusals": [{"subscriptionId": e["subscription"], "reason": e["why"]} for e in instance.refusals],
            "createdAt": render(instance.created_at),
            "finishedAt": render(instance.finished_at),
        }
