"""The routes that speak with Stripe between two changes: checkout, portal, and what ends, pauses or changes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.services.customers import find_customer
from billing.models import Price
from billing.serializers.subscriptions import (
    LARGEST_QUANTITY,
    CurrentQuery,
    PauseInput,
    PreviewInput,
    PreviewOutput,
    SubscriptionOutput,
)
from billing.services.subscriptions import current_subscription, find_subscription
from billing.stripe import changes, checkout, endings, pages, pausing, portal
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import Boolean, Email, Input, Integer, Metadata, Output, Text, Url
from stackbe.kernel.transactions import reading

LONGEST_TRIAL_DAYS = 730


class CustomerObject(Input):
    """A customer as an object: an id, or what one is made of."""

    id = Text(max_length=40, required=False)
    email = Email(required=False)
    name = Text(required=False, allow_null=True)
    external_id = Text(required=False, allow_null=True)
    metadata = Metadata(required=False)


class CustomerReference(serializers.Field[Any, Any, Any, Any]):
    """An id, an e-mail address or an object."""

    def to_internal_value(self, data: Any) -> Any:
        """Return a string or the object's validated values."""
        if isinstance(data, str):
            field: serializers.Field[Any, Any, Any, Any] = Email() if "@" in data else Text(max_length=40)
            return field.run_validation(data)
        form = CustomerObject(data=data)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class CustomerReferenceSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # its registry is untyped
    """How the API's document describes it."""

    target_class = CustomerReference

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema."""
        return {"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}]}


class CheckoutInput(Input):
    """What is to be bought, by whom, and where the browser goes afterwards.

    `interval` and `currency` choose among a plan's prices; without them it is the first. `allowPromotionCodes` lets
    the page ask for a code.
    """

    customer_id = Text(max_length=40, required=False)
    email = Email(required=False)
    customer = CustomerReference(required=False)
    plan_id = Text(max_length=40)
    success_url = Url()
    cancel_url = Url()
    interval = serializers.ChoiceField(choices=Price.Interval.choices, required=False)
    currency = Text(min_length=3, max_length=3, required=False)
    coupon_code = Text(max_length=80, required=False)
    allow_promotion_codes = Boolean(required=False)
    quantity = Integer(min_value=1, max_value=LARGEST_QUANTITY, required=False)
    organization_id = Text(max_length=40, required=False)
    trial_days = Integer(min_value=0, max_value=LONGEST_TRIAL_DAYS, required=False)


class CheckoutOutput(Output):
    """Stripe's session: send the customer's browser to `url`."""

    id = serializers.CharField()
    url = serializers.CharField()


class CancelInput(Input):
    """When to end, and why (kept with the subscription). `onlyHere` ends here what is on an account that was left."""

    immediately = Boolean(default=False)
    only_here = Boolean(default=False)
    reason = Text(required=False)


class CheckoutSession(ApiView):
    """A Stripe-hosted page on the tenant's own account."""

    @operation(input=CheckoutInput, output=CheckoutOutput, status=201, network=True, extra_statuses=(503,))
    def post(self, request: Request) -> Response:
        """Start a checkout."""
        made = checkout.open_checkout(self.scope, self.parse(), self.claim.id if self.claim else None)
        return self.reply(made)


class PortalInput(Input):
    """Whose portal, and where its way back leads."""

    customer_id = Text(max_length=40)
    organization_id = Text(max_length=40, required=False, allow_null=True)
    return_url = Url()


class PortalOutput(Output):
    """Send the customer's browser to `url`; it is theirs for a few minutes."""

    url = serializers.CharField()


class PortalSession(ApiView):
    """Stripe's customer portal on the tenant's own account."""

    @operation(input=PortalInput, output=PortalOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request) -> Response:
        """Open the portal for a customer, or of what an organization pays for one who runs it."""
        claim_id = self.claim.id if self.claim else None
        return self.reply(portal.open_portal(self.scope, claim_id=claim_id, **self.parse()))


class CurrentSubscription(ApiView):
    """What a customer is subscribed to now, asked of Stripe where a checkout is still open."""

    @operation(query=CurrentQuery, output=SubscriptionOutput, network=True)
    def get(self, request: Request) -> Response:
        """Show the subscription that a customer has now, their own or their organization's.

        Who comes back from a checkout before its webhook has come gets a true answer: the session is
        fetched, within 2 seconds.
        """
        asked = self.query()
        with reading(self.scope):
            customer = find_customer(self.scope, public_id=asked["customer_id"])
        pages.settle_open_checkouts(self.scope, customer.pk)
        with reading(self.scope):
            found = current_subscription(self.scope, customer)
            return self.reply(found, expand=asked.get("expand", ()))


class SubscriptionPreview(ApiView):
    """What a change would cost."""

    @operation(input=PreviewInput, output=PreviewOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request) -> Response:
        """Preview what a change of plan or quantity would cost, as Stripe computes it. Nothing is changed."""
        return self.reply(changes.preview_change(self.scope, **self.parse()))


class SubscriptionScheduledChange(ApiView):
    """A change that waits for the period's end, or for its payment."""

    @operation(output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def delete(self, request: Request, subscription_id: str) -> Response:
        """Take back a change that waits. Harmless where none does."""
        kept = changes.withdraw_change(self.scope, subscription_id)
        with reading(self.scope):
            return self.reply(find_subscription(self.scope, kept))


class SubscriptionPause(ApiView):
    """A pause of a subscription."""

    @operation(input=PauseInput, output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request, subscription_id: str) -> Response:
        """Pause access and payment, until a date or until it is resumed."""
        claim_id = self.claim.id if self.claim else None
        paused = pausing.pause_subscription(self.scope, subscription_id, claim_id=claim_id, **self.parse())
        with reading(self.scope):
            return self.reply(find_subscription(self.scope, paused))


class SubscriptionResume(ApiView):
    """The end of a pause."""

    @operation(output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request, subscription_id: str) -> Response:
        """Resume a paused subscription now."""
        self.parse()
        claim_id = self.claim.id if self.claim else None
        resumed = pausing.resume_subscription(self.scope, subscription_id, claim_id=claim_id)
        with reading(self.scope):
            return self.reply(find_subscription(self.scope, resumed))


class SubscriptionCancel(ApiView):
    """The end of a subscription."""

    @operation(input=CancelInput, output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request, subscription_id: str) -> Response:
        """Cancel a subscription."""
        claim_id = self.claim.id if self.claim else None
        ended = endings.cancel_subscription(self.scope, subscription_id, claim_id=claim_id, **self.parse())
        with reading(self.scope):
            return self.reply(find_subscription(self.scope, ended))


class SubscriptionReactivate(ApiView):
    """The end of a subscription taken back."""

    @operation(output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def post(self, request: Request, subscription_id: str) -> Response:
        """Take back a cancellation that has not come yet."""
        self.parse()
        kept = endings.reactivate_subscription(
            self.scope, subscription_id, claim_id=self.claim.id if self.claim else None
        )
        with reading(self.scope):
            return self.reply(find_subscription(self.scope, kept))
