"""Stripe in the tests: the sandbox runs as its own process, and our settings point at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from billing.models import StripeConnection
from billing.services.ledger import find_faults
from billing.stripe.connect import connect_sandbox_account
from stackbe.kernel.transactions import reading
from tests.cast import Api, found_company
from tests.queue import run_jobs
from tests.stack import free_port
from tests.stripe import sandbox as process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cast import Company
    from tests.stripe.sandbox import Delivery, Sandbox


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker process; every test has accounts of its own on it."""
    running = process.start(free_port(), tmp_path_factory.mktemp("sandbox") / "state.sqlite")
    yield running
    process.stop(running)


@pytest.fixture(scope="session")
def cardlike_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose objects carry what looks like card data, for the scan of our tables."""
    folder = tmp_path_factory.mktemp("cardlike")
    running = process.start(free_port(), folder / "state.sqlite", cardlike=True)
    yield running
    process.stop(running)


@pytest.fixture
def stripe(sandbox_process: Sandbox, settings: Any) -> Iterator[Sandbox]:
    """The sandbox, free of faults, with our settings pointing at it."""
    settings.STRIPE_API_BASE = settings.STRIPE_CONNECT_BASE = sandbox_process.url
    settings.STRIPE_SANDBOX = True
    settings.STRIPE_TIMEOUT_SECONDS = 4
    yield sandbox_process
    sandbox_process.heal()


@pytest.fixture
def connected(stripe: Sandbox, acme: Company) -> StripeConnection:
    """Acme's app, connected to a fresh account."""
    return connect_sandbox_account(acme.scope)


class Shop:
    """An app that sells one plan through its connected account: what most tests of billing begin with."""

    def __init__(self, company: Company, sandbox: Sandbox, account_id: str) -> None:
        self.company, self.sandbox, self.account_id = company, sandbox, account_id
        self.muddled = False  # a test that writes into the books by hand says so
        self.handed_over: set[bytes] = set()
        self.api = Api(company.key)
        self.plan = self.add_plan("Pro", 2900)

    def add_plan(self, name: str, price_cents: int, **more: Any) -> str:
        """Sell another plan by the month; return its id."""
        body = {"name": name, "priceCents": price_cents, "currency": "usd", "interval": "month", **more}
        made = self.api.post("/plans", body)
        assert made.status_code == 201, made.json()
        return str(made.json()["id"])

    def look_through_books(self) -> None:
        """Fail where a payment was not announced once, or access has no cause."""
        if not self.muddled:
            with reading(self.company.scope):
                assert find_faults(self.company.scope) == []

    def order(self, email: str = "ada@example.com", **more: Any) -> dict[str, Any]:
        """Return the body of a checkout request."""
        return {
            "email": email,
            "planId": self.plan,
            "successUrl": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
            "cancelUrl": "https://shop.example/prices",
            **more,
        }

    def checkout(self, email: str = "ada@example.com", **more: Any) -> dict[str, Any]:
        """Open a checkout page; return `{id, url}`."""
        made = self.api.post("/checkout/session", self.order(email, **more))
        assert made.status_code == 201, made.json()
        return dict(made.json())

    def customer(self, email: str = "ada@example.com") -> str:
        """Return a customer's id."""
        return str(self.api.get(f"/customers?email={email}").json()["data"][0]["id"])

    def current(self, email: str = "ada@example.com") -> Any:
        """Return what a customer is subscribed to now."""
        return self.api.get(f"/subscriptions/current?customerId={self.customer(email)}")

    def deliver(self, *types: str, worked_off: bool = True) -> list[Delivery]:
        """Hand the events that came since the last time to the inbox, once each, and have them worked off."""
        found = [
            delivery
            for delivery in self.sandbox.deliveries(self.account_id, *types)
            if delivery.body not in self.handed_over
        ]
        for delivery in found:
            assert delivery.post().status_code == 200
            self.handed_over.add(delivery.body)
        if worked_off:
            run_jobs()
        return found

    def subscribe(self, email: str = "ada@example.com", **more: Any) -> dict[str, Any]:
        """Buy the plan, events and all; return the subscription."""
        self.sandbox.pay(self.checkout(email, **more)["url"])
        self.deliver()
        return dict(self.current(email).json())

    def events(self) -> list[str]:
        """Return the types of what the app was told, oldest first."""
        return [event["type"] for event in reversed(self.api.get("/events?limit=100").json()["data"])]


@pytest.fixture
def shop(connected: StripeConnection, acme: Company, stripe: Sandbox) -> Iterator[Shop]:
    """Acme sells a plan for 29 dollars a month; whatever a test did, the books are in order after it."""
    shop = Shop(acme, stripe, connected.account_id)
    yield shop
    shop.look_through_books()


@pytest.fixture
def committed_shop(stripe: Sandbox, committed: None) -> Iterator[Shop]:
    """The same for tests of races and of several connections: everything is committed for real."""
    company = found_company("Acme")
    connection = connect_sandbox_account(company.scope)
    shop = Shop(company, stripe, connection.account_id)
    yield shop
    shop.look_through_books()
