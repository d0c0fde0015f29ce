"""Subscriptions and invoices over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Prefetch

from accounts.services.customers import find_customer
from billing.models import InvoiceReference, Price, Subscription, SubscriptionTransition
from billing.serializers.subscriptions import (
    ChangeInput,
    ExpandQuery,
    InvoiceOutput,
    InvoicesQuery,
    SubscriptionAccessOutput,
    SubscriptionInput,
    SubscriptionOutput,
    SubscriptionsQuery,
    TransitionOutput,
)
from billing.services import subscriptions as services
from billing.stripe import changes
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import now
from stackbe.kernel.serializers import PageQuery
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

    from stackbe.kernel.scope import Scope


class Subscriptions(ApiView):
    """All subscriptions of the app's customers."""

    @operation(query=SubscriptionsQuery, output=SubscriptionOutput, many=True)
    def get(self, request: Request) -> Response:
        """List subscriptions, newest first, ended ones too."""
        asked = self.query()
        prices = Prefetch("plan_version__prices", Price.objects.within(self.scope))
        rows = Subscription.objects.within(self.scope).select_related("plan", "plan_version").prefetch_related(prices)
        rows = rows.filter(**_narrowed(self.scope, asked, "status"))
        return self.page(rows, asked, expand=asked.get("expand", ()))

    @operation(input=SubscriptionInput, output=SubscriptionOutput, status=201)
    def post(self, request: Request) -> Response:
        """Subscribe a customer, or an organization that they run, to a free plan; or a customer to a cardless trial.

        What costs money is bought with POST /v1/checkout/session.
        """
        return self.reply(services.open_free_subscription(self.scope, **self.parse()))


class OneSubscription(ApiView):
    """One subscription."""

    @operation(query=ExpandQuery, output=SubscriptionOutput)
    def get(self, request: Request, subscription_id: str) -> Response:
        """Show a subscription."""
        expand = self.query().get("expand", ())
        return self.reply(services.find_subscription(self.scope, subscription_id), expand=expand)

    @operation(input=ChangeInput, output=SubscriptionOutput, network=True, extra_statuses=(503,))
    def patch(self, request: Request, subscription_id: str) -> Response:
        """Change a subscription's plan, quantity or rhythm.

        What costs more takes hold now, once it is paid for; what costs less with the next period, as does a shorter
        rhythm of the same plan. `when`
        says otherwise. Terms that hold already take back a change that waits.
        """
        changed = changes.change_subscription(self.scope, subscription_id, **self.parse())
        with reading(self.scope):
            return self.reply(services.find_subscription(self.scope, changed))


class SubscriptionHistory(ApiView):
    """How a subscription came to be what it is."""

    @operation(query=PageQuery, output=TransitionOutput, many=True)
    def get(self, request: Request, subscription_id: str) -> Response:
        """List a subscription's transitions, newest first, each with its cause."""
        found = services.find_subscription(self.scope, subscription_id)
        rows = SubscriptionTransition.objects.within(self.scope).filter(subscription=found)
        return self.page(rows, self.query())


class SubscriptionAccess(ApiView):
    """Whether a subscription grants access."""

    @operation(output=SubscriptionAccessOutput)
    def get(self, request: Request, subscription_id: str) -> Response:
        """Say whether a subscription grants access now: active, trialing, or past due inside its grace."""
        found = services.find_subscription(self.scope, subscription_id)
        return self.reply(services.access_of(found, now(self.scope)))


class Invoices(ApiView):
    """References to invoices."""

    @operation(query=InvoicesQuery, output=InvoiceOutput, many=True)
    def get(self, request: Request) -> Response:
        """List references to invoices, newest first. The invoices themselves are at Stripe."""
        asked = self.query()
        rows = InvoiceReference.objects.within(self.scope).filter(**_narrowed(self.scope, asked))
        return self.page(rows, asked)


def _narrowed(scope: Scope, asked: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the filters that a query asks for."""
    filters = {name: asked[name] for name in names if name in asked}
    if "customer_id" in asked:
        filters["customer_id"] = find_customer(scope, public_id=asked["customer_id"]).id
    return filters
