"""/v1/coupons"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.errors import CouponNotFound
from billing.models import Coupon
from billing.serializers.catalogue import LARGEST_AMOUNT
from billing.stripe import coupons
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import (
    Boolean,
    Input,
    Integer,
    Output,
    PageQuery,
    Pattern,
    QueryBoolean,
    Text,
    Timestamp,
)

CODE = r"^[A-Za-z0-9-]{1,80}$"
CODE_SENTENCE = "Must be 1 to 80 letters, digits and dashes."
ALL_PERCENT = 100
LONGEST_MONTHS = 120
MOST_REDEMPTIONS = 1_000_000_000


@extend_schema_field(OpenApiTypes.DOUBLE)
class Percent(serializers.Field[Decimal, Any, float, Any]):
    """A share in percent, to two places."""

    def to_internal_value(self, data: Any) -> Decimal:
        """Return it exactly."""
        if isinstance(data, bool) or not isinstance(data, int | float) or not 0 < data <= ALL_PERCENT:
            raise serializers.ValidationError("Must be a number above 0, and at most 100.")
        exact = Decimal(str(data))
        if exact != round(exact, 2):
            raise serializers.ValidationError("At most two decimal places.")
        return exact

    def to_representation(self, value: Decimal) -> float:
        """Return a number, whole where it is."""
        return int(value) if value == int(value) else float(value)


class CouponInput(Input):
    """What a code takes off, how long, how often and until when."""

    code = Pattern(CODE, CODE_SENTENCE, max_length=80)
    percent_off = Percent(required=False)
    amount_off_cents = Integer(required=False, min_value=1, max_value=LARGEST_AMOUNT)
    currency = Text(required=False, min_length=3, max_length=3)
    duration = serializers.ChoiceField(choices=Coupon.Duration.choices, required=False)
    duration_in_months = Integer(required=False, min_value=1, max_value=LONGEST_MONTHS)
    max_redemptions = Integer(required=False, min_value=1, max_value=MOST_REDEMPTIONS)
    expires_at = Timestamp(required=False)


class CouponOutput(Output):
    """A coupon; `active` until it is archived or expires. Whether it is used up, Stripe knows."""

    id = Text()
    code = Text()
    percent_off = Percent(allow_null=True)
    amount_off_cents = Integer(allow_null=True)
    currency = Text(allow_null=True)
    duration = serializers.ChoiceField(choices=Coupon.Duration.choices)
    duration_in_months = Integer(allow_null=True)
    max_redemptions = Integer(allow_null=True)
    expires_at = Timestamp(allow_null=True)
    active = Boolean()
    stripe_coupon_id = Text()
    stripe_promotion_code_id = Text()
    created_at = Timestamp()

    def to_representation(self, instance: Coupon) -> dict[str, Any]:
        """Return the shape above."""
        share = instance.percent_off
        return {
            "id": instance.public_id,
            "code": instance.code,
            "percentOff": None if share is None else Percent().to_representation(share),
            "amountOffCents": instance.amount_off_cents,
            "currency": instance.currency or None,
            "duration": instance.duration,
            "durationInMonths": instance.duration_in_months,
            "maxRedemptions": instance.max_redemptions,
            "expiresAt": render(instance.expires_at),
            "active": coupons.redeemable(self.context["scope"], instance),
            "stripeCouponId": instance.stripe_coupon_id,
            "stripePromotionCodeId": instance.stripe_promotion_id,
            "createdAt": render(instance.created_at),
        }


class CouponsQuery(PageQuery):
    """What the list of coupons can be narrowed by."""

    code = Text(required=False, max_length=80)
    active = QueryBoolean(required=False)


class Coupons(ApiView):
    """All coupons of the app."""

    @operation(query=CouponsQuery, output=CouponOutput, many=True)
    def get(self, request: Request) -> Response:
        """List coupons, newest first, archived ones too."""
        asked = self.query()
        return self.page(coupons.list_coupons(self.scope, asked.get("code"), active=asked.get("active")), asked)

    @operation(input=CouponInput, output=CouponOutput, status=201, network=True, extra_statuses=(503,))
    def post(self, request: Request) -> Response:
        """Make a coupon and its code on the connected Stripe account. Its terms are fixed from then on."""
        return self.reply(coupons.create_coupon(self.scope, self.parse()))


class OneCoupon(ApiView):
    """One coupon."""

    @operation(output=CouponOutput)
    def get(self, request: Request, coupon_id: str) -> Response:
        """Show a coupon."""
        return self.reply(coupons.made_coupons(self.scope).fetch(coupon_id, CouponNotFound))

    @operation(status=204, network=True, extra_statuses=(503,))
    def delete(self, request: Request, coupon_id: str) -> Response:
        """Archive a coupon: nobody redeems it any more, and who has it keeps it."""
        coupons.archive_coupon(self.scope, coupon_id)
        return self.reply()
