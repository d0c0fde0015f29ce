"""What customers may do, over HTTP. The single checks are the usage app's: they are its hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.errors import CustomerNotFound
from accounts.services.customers import find_customer
from billing.serializers.access import (
    EntitlementsOutput,
    EntitlementsQuery,
    OverrideInput,
    OverrideOutput,
)
from billing.services import overrides
from billing.services.access import entitlements_of
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.errors import MissingRequiredField
from stackbe.kernel.ids import encode
from stackbe.kernel.serializers import PageQuery

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Entitlements(ApiView):
    """All that a customer may do."""

    @operation(query=EntitlementsQuery, output=EntitlementsOutput)
    def get(self, request: Request) -> Response:
        """Show a customer's plan and everything it grants; with a session, the caller's own."""
        customer = find_customer(self.scope, public_id=self._whose())
        return self.reply(entitlements_of(self.scope, customer.id))

    def _whose(self) -> str:
        """Return the customer that is asked about; a session may ask about nobody else."""
        asked: str | None = self.query().get("customer_id")
        own = self.scope.customer_id and encode("cust", self.scope.customer_id)
        if own is not None and asked not in {None, own}:
            raise CustomerNotFound
        wanted = own or asked
        if wanted is None:
            raise MissingRequiredField(fields={"customerId": ["This field is required."]})
        return wanted


class EntitlementOverrides(ApiView):
    """The values of one customer beside their plan."""

    @operation(query=PageQuery, output=OverrideOutput, many=True)
    def get(self, request: Request, customer_id: str) -> Response:
        """List what a customer was granted beside their plan, newest first; what has expired counts no more."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.page(overrides.overrides_of(self.scope, customer), self.query())


class EntitlementOverride(ApiView):
    """A value for one customer beside their plan."""

    @operation(input=OverrideInput, output=OverrideOutput)
    def put(self, request: Request, customer_id: str, feature_key: str) -> Response:
        """Grant a customer a value of their own for a feature, whatever their plan says."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.reply(overrides.grant_override(self.scope, customer, feature_key, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, customer_id: str, feature_key: str) -> Response:
        """Take the grant back: the plan's value counts again."""
        customer = find_customer(self.scope, public_id=customer_id)
        overrides.withdraw_override(self.scope, customer, feature_key)
        return self.reply()


class SubscriptionOverrides(ApiView):
    """The values of one subscription beside its plan."""

    @operation(query=PageQuery, output=OverrideOutput, many=True)
    def get(self, request: Request, subscription_id: str) -> Response:
        """List what a subscription was granted beside its plan, newest first; what has expired counts no more."""
        return self.page(overrides.subscription_overrides(self.scope, subscription_id), self.query())


class SubscriptionOverride(ApiView):
    """A value for whoever one subscription serves."""

    @operation(input=OverrideInput, output=OverrideOutput)
    def put(self, request: Request, subscription_id: str, feature_key: str) -> Response:
        """Grant a subscription a value of its own for a feature, for as long as the subscription counts.

        It holds for the customer, or for every member of the organization. A customer's own override wins over it.
        """
        granted = overrides.grant_subscription_override(self.scope, subscription_id, feature_key, **self.parse())
        return self.reply(granted)

    @operation(status=204)
    def delete(self, request: Request, subscription_id: str, feature_key: str) -> Response:
        """Take the subscription's grant back: the plan's value counts again."""
        overrides.withdraw_subscription_override(self.scope, subscription_id, feature_key)
        return self.reply()
