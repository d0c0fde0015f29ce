"""An app's customers over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.serializers import (
    CustomerInput,
    CustomerListQuery,
    CustomerOutput,
    CustomerPatch,
    CustomerQuery,
    DeletedOutput,
    ExportOutput,
    UpsertQuery,
)
from accounts.services import customers as services
from billing.events import subscription_as_event
from billing.services.access import current_subscription
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

OK = 200


class Customers(ApiView):
    """All customers of the app."""

    @operation(query=CustomerListQuery, output=CustomerOutput, many=True)
    def get(self, request: Request) -> Response:
        """List customers, newest first.

        `q` finds an exact e-mail, an e-mail's domain, or the beginning of an id or an externalId.
        """
        asked = self.query()
        narrowed = {name: asked.get(name) for name in ("email", "external_id", "q")}
        return self.page(services.search_customers(self.scope, **narrowed), asked)

    @operation(
        input=CustomerInput,
        query=UpsertQuery,
        output=CustomerOutput,
        status=201,
        extra_statuses=(200, 409),
    )
    def post(self, request: Request) -> Response:
        """Create a customer. With `upsert=true` an address that exists answers 200 and its customer."""
        upsert, asked = self.query()["upsert"], self.parse()
        if not upsert:
            return self.reply(services.create_customer(self.scope, **asked))
        customer, created = services.get_or_create_customer(self.scope, **asked)
        response = self.reply(customer)
        if not created:
            response.status_code = OK
        return response


class OneCustomer(ApiView):
    """One customer."""

    @operation(query=CustomerQuery, output=CustomerOutput)
    def get(self, request: Request, customer_id: str) -> Response:
        """Show a customer; with `expand=subscription` what they are subscribed to now, or null."""
        asked = self.query()
        customer = services.find_customer(self.scope, public_id=customer_id)
        if "subscription" not in asked.get("expand", ()):
            return self.reply(customer)
        found = current_subscription(self.scope, customer.id)
        shown = None if found is None else subscription_as_event(found, now(self.scope))
        return self.reply(customer, subscription=shown)

    @operation(input=CustomerPatch, output=CustomerOutput, extra_statuses=(409,))
    def patch(self, request: Request, customer_id: str) -> Response:
        """Change a customer. Metadata keys merge; null takes a value away."""
        return self.reply(services.update_customer(self.scope, customer_id, **self.parse()))

    @operation(output=DeletedOutput, status=202)
    def delete(self, request: Request, customer_id: str) -> Response:
        """Delete a customer: gone from every answer now, erased once Stripe has cancelled."""
        customer = services.delete_customer(self.scope, customer_id)
        return self.reply({"id": customer.public_id, "deleted": True})


class CustomerExport(ApiView):
    """What is held on one customer."""

    @operation(output=ExportOutput, network=True)  # a reading that is audited opens its own change
    def get(self, request: Request, customer_id: str) -> Response:
        """Export everything held on a customer as one JSON document."""
        with change(self.scope):
            return self.reply(services.export_customer(self.scope, customer_id))
