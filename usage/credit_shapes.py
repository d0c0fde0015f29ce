"""Shapes of credits and reservations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from stackbe.kernel.clock import now
from stackbe.kernel.serializers import Input, Integer, Moment, Output, PageQuery, PublicId, Text, Timestamp
from stackbe.kernel.transactions import current
from usage.models import Credit, Reservation
from usage.serializers import Standing
from usage.services.credits import preload_uses
from usage.services.figures import Figures

MOST_UNITS = 10**12
LONGEST_HOLD = 86_400


class CreditInput(Input):
    """Units beside the plan's. The least `priority` is spent first."""

    metric = Text(max_length=64)
    quantity = Integer(min_value=1, max_value=MOST_UNITS)
    expires_at = Timestamp(required=False, allow_null=True)
    reason = Text(max_length=255)
    priority = Integer(min_value=0, max_value=100, required=False)


class CreditsQuery(PageQuery):
    """Of which metric."""

    metric = Text(max_length=64, required=False)


class CreditUseOutput(Output):
    """What one period spent of a credit."""

    quantity = serializers.IntegerField()
    period_start = Moment()
    used_at = Moment()


class CreditOutput(Output):
    """A credit and what became of it."""

    id = serializers.CharField(source="public_id")
    customer_id = PublicId("cust")
    metric = serializers.CharField(source="metric.name")
    quantity = serializers.IntegerField()
    remaining = serializers.IntegerField()
    priority = serializers.IntegerField()
    expires_at = Timestamp(allow_null=True)
    expired = serializers.SerializerMethodField()
    revoked_at = Timestamp(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    granted_by = serializers.CharField()
    created_at = Timestamp()
    uses = serializers.SerializerMethodField()

    def get_expired(self, row: Credit) -> bool:
        """Say whether it can be spent no more, by the app's clock."""
        return row.expires_at is not None and row.expires_at <= now(self.context["scope"])

    @extend_schema_field(CreditUseOutput(many=True))
    def get_uses(self, row: Credit) -> list[dict[str, Any]]:
        """Return what each period spent of it."""
        return list(self.context.get("uses", {}).get(row.id, ()))

    @staticmethod
    def prepare(rows: list[Any], context: dict[str, Any]) -> None:
        """Read what was spent of a page of credits at once, and open its keys."""
        context["uses"] = preload_uses(context["scope"], rows)
        current().keys.preload([row.customer_id for row in rows])


class LedgerOutput(Output):
    """What a customer can spend by metric, and every credit with what became of it, newest first."""

    balance = serializers.DictField(child=serializers.IntegerField())
    ledger = CreditOutput(many=True)
    has_more = serializers.BooleanField()
    next_cursor = serializers.CharField(allow_null=True)


class ReservationInput(Input):
    """So many units to hold, for so long."""

    customer_id = PublicId("cust")
    metric = Text(max_length=64)
    quantity = Integer(min_value=1, max_value=MOST_UNITS)
    expires_in_seconds = Integer(min_value=1, max_value=LONGEST_HOLD, required=False)


class ReservationsQuery(PageQuery):
    """Whose, and in which state by the app's clock."""

    customer_id = PublicId("cust")
    status = serializers.ChoiceField(choices=Reservation.Status.choices, required=False)


class ConfirmInput(Input):
    """The real amount; none is fine."""

    quantity = Integer(min_value=0, max_value=MOST_UNITS)


class ListedReservationOutput(Output):
    """A reservation."""

    id = serializers.CharField(source="public_id")
    customer_id = PublicId("cust")
    metric = serializers.CharField(source="metric.name")
    quantity = serializers.IntegerField()
    status = serializers.SerializerMethodField()
    confirmed_quantity = serializers.IntegerField(allow_null=True)
    expires_at = Timestamp()
    created_at = Timestamp()
    closed_at = Timestamp(allow_null=True)

    @extend_schema_field(serializers.ChoiceField(Reservation.Status.choices))
    def get_status(self, row: Reservation) -> str:
        """Return the status by the app's clock."""
        return row.status_at(now(self.context["scope"]))


class ReservationOutput(ListedReservationOutput):
    """A reservation, and where the customer stands."""

    usage = serializers.SerializerMethodField()

    @extend_schema_field(Standing(allow_null=True))
    def get_usage(self, row: Reservation) -> dict[str, Any] | None:
        """Return the customer's figures; null once the metric was archived."""
        figures: Figures | None = self.context["figures"]
        return None if figures is None else figures.as_json()
