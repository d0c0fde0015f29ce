"""/v1/customers/:id/state"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import CustomerNotFound
from accounts.models import Customer
from billing.services.access import access_as_state
from billing.state import compose_state
from stackbe.kernel.api import ApiView, operation
from usage.serializers import StateOutput


class CustomerState(ApiView):
    """Everything that an app needs to know of a customer, in one call."""

    @operation(output=StateOutput)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return a customer's subscription, entitlements and usage, with a version that orders copies."""
        live = Customer.objects.within(self.scope).filter(deleted_at__isnull=True)
        customer = live.fetch(customer_id, CustomerNotFound)
        return Response(compose_state(self.scope, customer, access_as_state(self.scope, customer)))
