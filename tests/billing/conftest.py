"""A catalogue to sell from, and a Stripe that says what the test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import App
from billing import metrics
from billing.facts import StripeInvoiceFacts, StripeSubscriptionFacts
from billing.models import Price, StripeCustomer
from billing.services.invoices import record_invoice
from billing.services.subscriptions import apply_stripe_subscription
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import decode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, Company
from webhooks.models import Event

ACCOUNT = "acct_acme"
NOW = wall_clock().replace(microsecond=0)
START = NOW - timedelta(days=1)
END = START + timedelta(days=31)
FIRST_FETCH = NOW - timedelta(hours=12)


@pytest.fixture(autouse=True)
def known_metrics(monkeypatch):
    """Give every app two metrics, in place of those that the usage app would know."""
    monkeypatch.setattr(metrics, "_lookups", [lambda _: {"api_calls": "billing_period", "seats_used": "never"}])


@pytest.fixture
def features(acme_api: Api) -> None:
    """Features of every type."""
    for feature in (
        {"key": "sso", "type": "boolean"},
        {"key": "projects", "type": "number"},
        {"key": "support", "type": "string"},
        {"key": "regions", "type": "list"},
        {"key": "calls", "type": "metered", "metric": "api_calls"},
    ):
        assert acme_api.post("/features", feature).status_code == 201


@pytest.fixture
def make_plan(acme_api: Api, features: None) -> Callable[..., Any]:
    """Make a plan over HTTP and return it as the API shows it."""

    def make(name: str = "Pro", **fields: Any) -> Any:
        body = {"name": name, "priceCents": 2900, "currency": "usd", "interval": "month"} | fields
        response = acme_api.post("/plans", body)
        assert response.status_code == 201, response.content
        return response.json()

    return make


@pytest.fixture
def customer(acme_api: Api) -> Any:
    """A customer of Acme's, as the API shows her."""
    response = acme_api.post("/customers", {"email": "ada@example.com", "name": "Ada"})
    assert response.status_code == 201, response.content
    return response.json()


class Stripe:
    """Says of one customer's subscription what the test wants to be true."""

    def __init__(self, company: Company, customer: Any) -> None:
        self.company = company
        self.customer_id = decode("cust", customer["id"])
        self.facts: StripeSubscriptionFacts | None = None

    def know(self, plan: Any) -> str:
        """Give the plan's price a Stripe id, as the push does, and link the customer."""
        stripe_id = f"price_{plan['slug']}_{plan['version']}"
        with change(self.company.scope):
            row = Price.objects.within(self.company.scope).fetch(plan["prices"][0]["id"])
            row.stripe_account, row.stripe_price_id = ACCOUNT, stripe_id
            row.save()
            StripeCustomer.unscoped.get_or_create(
                **owned_by(self.company.scope),
                customer_id=self.customer_id,
                account_id=ACCOUNT,
                stripe_customer_id="cus_ada",
            )
        return stripe_id

    def subscribe(self, plan: Any, **facts: Any) -> Any:
        """Start a subscription at Stripe and have us told."""
        self.facts = StripeSubscriptionFacts(
            account=ACCOUNT,
            stripe_subscription_id=facts.pop("stripe_subscription_id", "sub_stripe"),
            stripe_customer_id="cus_ada",
            stripe_price_id=self.know(plan),
            status=facts.pop("status", "active"),
            fetched_at=facts.pop("fetched_at", FIRST_FETCH),
            **({"current_period_start": START, "current_period_end": END} | facts),
        )
        return self.tell()

    def becomes(self, **changes: Any) -> Any:
        """Change what Stripe says and have us told, an hour later unless another time is given."""
        assert self.facts is not None
        changes.setdefault("fetched_at", self.facts.fetched_at + timedelta(hours=1))
        self.facts = replace(self.facts, **changes)
        return self.tell()

    def tell(self, cause: str = "stripe:evt_1") -> Any:
        """Apply the facts as they stand."""
        assert self.facts is not None
        with change(self.company.scope):
            return apply_stripe_subscription(self.company.scope, self.facts, cause)

    def invoice(self, **facts: Any) -> Any:
        """Have us told of an invoice."""
        told = {
            "account": ACCOUNT,
            "stripe_invoice_id": "in_1",
            "stripe_customer_id": "cus_ada",
            "stripe_subscription_id": "sub_stripe",
            "status": "open",
            "currency": "usd",
            "amount_due_cents": 2900,
            "number": "A-1",
            "hosted_invoice_url": "https://invoice.stripe.com/i/1",
            "fetched_at": FIRST_FETCH,
        }
        with change(self.company.scope):
            return record_invoice(self.company.scope, StripeInvoiceFacts(**(told | facts)), "stripe:evt_2")


@pytest.fixture
def stripe(acme: Company, customer: Any) -> Stripe:
    """What Stripe says of Ada."""
    return Stripe(acme, customer)


@pytest.fixture
def at(acme: Company, monkeypatch) -> Callable[[datetime], None]:
    """Move Acme's test app to a moment of its own clock."""

    def move(moment: datetime) -> None:
        offset = moment - wall_clock()
        with change(acme.scope):
            app = App.objects.within(acme.scope).get(pk=acme.app_id)
            app.clock_offset_ms = int(offset.total_seconds() * 1000)
            app.save()
        object.__setattr__(acme.scope, "clock_offset", offset)

    return move


@pytest.fixture
def events(acme: Company) -> Callable[..., list[str]]:
    """Return the types of the events that Acme's app was told of, oldest first."""

    def types(*prefixes: str) -> list[str]:
        with reading(acme.scope):
            found = Event.objects.within(acme.scope).order_by("id").values_list("type", flat=True)
            return [kind for kind in found if not prefixes or kind.startswith(prefixes)]

    return types
