"""/v1/customers/:id/credits"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Customer
from accounts.services.customers import find_customer
from billing.stripe.pages import settle_open_checkouts
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.paging import keyset_page
from stackbe.kernel.transactions import reading
from usage.credit_shapes import CreditInput, CreditOutput, CreditsQuery, LedgerOutput
from usage.services.credits import balances, credits_of, grant_credit


class CustomerCredits(ApiView):
    """What a customer has beside the plan."""

    @operation(query=CreditsQuery, output=LedgerOutput, network=True)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return what a customer can spend, and every credit with what became of it.

        While a checkout page of theirs is open, Stripe is asked first: who comes back from paying has the credits.
        """
        asked = self.query()
        with reading(self.scope):
            customer = find_customer(self.scope, public_id=customer_id)
        settle_open_checkouts(self.scope, customer.id)
        with reading(self.scope):
            return self._ledger(customer, asked)

    def _ledger(self, customer: Customer, asked: dict[str, Any]) -> Response:
        metric = asked.get("metric")
        balance = balances(self.scope, customer.id, metric)
        rows, cursor = keyset_page(credits_of(self.scope, customer.id, metric), asked["limit"], asked.get("cursor"))
        context: dict[str, Any] = {"scope": self.scope}
        CreditOutput.prepare(rows, context)
        shown = [CreditOutput(row, context=context).data for row in rows]
        page = {"hasMore": cursor is not None, "nextCursor": cursor}
        return Response({"balance": balance, "ledger": shown, **page})

    @operation(input=CreditInput, output=CreditOutput, status=201)
    def post(self, request: Request, customer_id: str) -> Response:
        """Grant units of a metric, spent after the plan's allowance.

        Of several grants the one with the least priority goes first, then what expires first, then the oldest.
        """
        customer = find_customer(self.scope, public_id=customer_id)
        return self.reply(grant_credit(self.scope, customer, **self.parse()))
