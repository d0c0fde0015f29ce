"""A sandbox inside the test's own process and an app that sells through it, both taken back after each life.

We speak with it over HTTP as elsewhere, but nothing happens by itself: the sandbox has neither courier nor ticker, so
that whoever writes a history decides which event is delivered, when, how often, or never. What its customers and the
owner of the account do there, they do at the sandbox itself: no fault that is to strike us strikes them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.db import transaction

from accounts.models import App
from billing.stripe import gateway, reconcile
from billing.stripe.connect import complete_connection, connect_sandbox_account, disconnect
from billing.stripe.sandbox import server as served
from billing.stripe.sandbox.api import perform
from billing.stripe.sandbox.clock import advance
from billing.stripe.sandbox.connect import issue_code
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.controls import run_control
from billing.stripe.sandbox.deliveries import endpoints, sign
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.forms import decode as decode_form
from billing.stripe.sandbox.hosted import answer_page
from billing.stripe.sandbox.routes import match
from billing.stripe.sandbox.settings import Settings, read_settings
from billing.stripe.sandbox.store import wall_time
from billing.stripe.scopes import app_scope
from stackbe.kernel.clock import now
from stackbe.kernel.ids import decode
from stackbe.kernel.transactions import change
from tests.cast import Api, found_company
from tests.queue import run_jobs
from tests.stack import free_port
from tests.stripe.sandbox import SECRET_KEY, Delivery, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from stackbe.kernel.scope import Scope
    from tests.cast import Company

EMAIL = "ada@example.com"
COLLEAGUES = ("grace", "kim")
COUPON = "HALF"
PACK = 1000
MONTHLY: dict[str, Any] = {"currency": "usd", "interval": "month"}
PLANS: dict[str, dict[str, Any]] = {
    "Lite": {"priceCents": 900, **MONTHLY},
    "Pro": {"priceCents": 2900, **MONTHLY},
    "Team": {"priceCents": 9900, **MONTHLY},
    "Year": {"priceCents": 29000, "currency": "usd", "interval": "year"},
    "Trial": {"priceCents": 1900, **MONTHLY, "trialDays": 14},
    "Open": {"priceCents": 1500, **MONTHLY, "trialDays": 14, "trialRequiresCard": False},
    "Seats": {"prices": [{**MONTHLY, "scheme": "per_unit", "unitAmountCents": 700}], "seats": 1},
}
# What is paid once: units of a metric, and a plan that lasts.
PURCHASE: dict[str, Any] = {"currency": "usd", "interval": "one_time"}
ONCE: dict[str, dict[str, Any]] = {
    "Pack": {"priceCents": 1200, **PURCHASE, "credits": [{"metric": "calls", "quantity": PACK}]},
    "Lifetime": {"priceCents": 59000, **PURCHASE},
}


@dataclass(frozen=True)
class Start:
    """What the customer, or their organization, has bought before a life begins; all of it has been told."""

    plan: str
    quantity: int = 1
    coupon: str | None = None
    shared: bool = False
    strict: bool = False


class _Nobody:
    """Stands in the place of a thread that would do things on time."""

    def __init__(self, *_: Any) -> None:
        """Need nothing."""

    def start(self) -> None:
        """Do nothing, like all below."""

    wake = stop = start


@dataclass
class HeldSandbox(Sandbox):
    """The sandbox in this process: its state can be kept and brought back."""

    server: served.SandboxServer = field(repr=False, kw_only=True)
    kept: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(":memory:"), kw_only=True)

    def keep(self) -> None:
        """Remember all that the sandbox holds."""
        with self.server.store.lock:
            self.server.store._connection.backup(self.kept)

    def bring_back(self) -> None:
        """Forget what happened since."""
        with self.server.store.lock:
            self.kept.backup(self.server.store._connection)

    def call(self, method: str, path: str, body: Any = None, account: str | None = None) -> Any:
        """Do something to an account as its owner, or use a control; raise `StripeError` where that is refused."""
        store, settings = self.server.store, self.server.settings
        if path.startswith("/_sandbox/"):
            return run_control(store, settings, method, path, body or {})
        route, _, query = path.partition("?")
        found = match(method, route)
        assert found is not None, path
        assert account is not None, path
        given = decode_form(query, urllib.parse.urlencode(body or {}))
        reply = perform(Context.of(store, settings, account), *found, given)
        return reply.body if reply.status == 200 else {}

    def press(self, page_url: str, action: str) -> int:
        """Press a button on a hosted page; return the status."""
        path = urllib.parse.urlsplit(page_url).path
        try:
            return answer_page(self.server.store, self.server.settings, path, {}, {"action": action}).status
        except StripeError as problem:
            return problem.status

    def told(self, account: str, after: int) -> list[tuple[int, Delivery]]:
        """Return what our Connect endpoint would be told by now, oldest first, numbered, from a number on."""
        store, settings = self.server.store, self.server.settings
        rows = store.rows("SELECT id, event FROM deliveries WHERE account = ? AND id > ? ORDER BY id", account, after)
        if not rows:
            return []
        context = Context.of(store, settings, account)
        ours = next(each for each in endpoints(context) if each["_connect"])
        path = ours["url"].removeprefix(settings.base_url)
        found = []
        for row in rows:
            body = orjson.dumps(context.fetch("event", row["event"]))
            found.append((row["id"], Delivery(path, body, sign(ours["_secret"], body, int(wall_time())))))
        return found

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
        self.kept.close()


@contextmanager
def held_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldSandbox]:
    """Run a sandbox in this process, in memory, whose clock and webhooks move when they are moved."""
    monkeypatch.setattr(served, "Courier", _Nobody)
    monkeypatch.setattr(served, "Ticker", _Nobody)
    port = free_port()
    running = served.SandboxServer(("127.0.0.1", port), _settings(port), ":memory:")
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    sandbox = HeldSandbox(running.settings.public_url, door=None, process=None, server=running)  # type: ignore[arg-type]  # it has neither
    try:
        yield sandbox
    finally:
        sandbox.close()


def _settings(port: int) -> Settings:
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name.startswith("STRIPE_")}
    return read_settings(
        environment | {"STRIPE_SECRET_KEY": SECRET_KEY, "STRIPE_API_BASE": url, "BASE_URL": "http://localhost:8000"},
        public_url=url,
    )


class World:
    """An app that sells plans, a customer with an organization, and all that they and the account's owner can do."""

    def __init__(self, sandbox: HeldSandbox, start: Start | None = None) -> None:
        """Sell, and have everything settled before the first life."""
        self.sandbox, self.start = sandbox, start
        self.company: Company = found_company("Acme")
        self.account_id = connect_sandbox_account(self.company.scope).account_id
        self.api = Api(self.company.key)
        self._made("/metrics", {"name": "calls"})
        self.plans = {name: self._made("/plans", {"name": name, **more}) for name, more in (PLANS | ONCE).items()}
        self._made("/coupons", {"code": COUPON, "percentOff": 50, "duration": "repeating",
                                "durationInMonths": 2, "maxRedemptions": 2})  # fmt: skip
        self.customer = self._made("/customers", {"email": EMAIL})
        self.customer_id = decode("cust", self.customer)
        self.colleagues = {name: self._made("/customers", {"email": f"{name}@example.com"}) for name in COLLEAGUES}
        self.organization = self._made("/organizations", {"name": "Engines", "customerId": self.customer})
        run_jobs()
        if start is not None:
            self._begin(start)
        self.prices = {
            name: str(self.api.get(f"/plans/{plan}").json()["stripePriceId"]) for name, plan in self.plans.items()
        }
        reconcile.look_for_missed(self.company.scope, self.account_id)
        run_jobs()
        self.first = self.sandbox.told(self.account_id, 0)[-1][0]
        self.sandbox.keep()

    @contextmanager
    def one_life(self) -> Iterator[None]:
        """Let something happen that never was, afterwards: neither here nor at the sandbox."""
        block = transaction.atomic()
        block._from_testcase = True  # type: ignore[attr-defined]  # so that the kernel takes it for a test's own
        block.__enter__()
        try:
            yield
        finally:
            transaction.set_rollback(True)
            block.__exit__(None, None, None)
            self.sandbox.bring_back()

    def at_stripe(self, method: str, path: str, body: Any = None) -> Any:
        """Do what the owner of the account can do at Stripe; an empty object where Stripe refuses it."""
        try:
            return self.sandbox.call(method, path, body, account=self.account_id)
        except StripeError as refusal:
            if refusal.status >= 500:
                raise
            return {}

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Return what the account has of a kind, newest first."""
        return list(self.at_stripe("GET", f"/v1/{kind}?limit=100").get("data", []))

    def control(self, name: str, **given: Any) -> None:
        """Do to the account what Stripe has no API for."""
        self.sandbox.call("POST", f"/_sandbox/{name}", {"account": self.account_id, **given})

    def leave(self, side: str) -> None:
        """Disconnect the account, `here` or `there`."""
        if side == "here":
            disconnect(self.company.scope)
        else:
            self.control("account", disconnect=True)

    def come_back(self) -> None:
        """Connect the account again, as its owner does on Stripe's page. Raises as the gateway does."""
        given = gateway.exchange_code(issue_code(self.sandbox.server.store, self.account_id))
        complete_connection(self.company.scope, given["account"], livemode=given["livemode"])

    def pass_days(self, days: int) -> None:
        """Let time pass at Stripe and here, of which nobody tells anybody."""
        self._advance(days * 86400)
        with change(self.company.scope):
            app = App.objects.within(self.company.scope).get()
            app.clock_offset_ms += timedelta(days=days) // timedelta(milliseconds=1)
            app.save(update_fields=["clock_offset_ms"])

    def catch_up(self) -> None:
        """Let as much time pass at Stripe as has passed here: a clock that is moved takes no other account along."""
        there = Context.of(self.sandbox.server.store, self.sandbox.server.settings, self.account_id).now
        self._advance(max(0, int(now(self.scope).timestamp()) - there))

    def _advance(self, seconds: int) -> None:
        advance(self.sandbox.server.store, self.sandbox.server.settings, self.account_id, by=seconds)

    @property
    def scope(self) -> Scope:
        """Return the app's scope by its clock as it is now."""
        found = app_scope(self.company.app_id, "test")
        assert found is not None
        return found

    def be_strict(self) -> None:
        """Have access taken for money that goes back."""
        wanted = {"settings": {"revokeOnRefund": True, "revokeOnDispute": True}}
        assert self.api.patch(f"/apps/{self.company.app}", wanted).status_code == 200

    def checkout(self, plan: str, quantity: int | None, coupon: str | None, *, shared: bool) -> dict[str, Any]:
        """Return the body of a request for a page on which to buy, for oneself or for one's organization."""
        body: dict[str, Any] = {
            "email": EMAIL, "planId": self.plans[plan], "successUrl": "https://shop.example/thanks",
            "cancelUrl": "https://shop.example/prices",
        }  # fmt: skip
        body |= {"quantity": quantity} if quantity else {}
        body |= {"couponCode": coupon} if coupon else {}
        return body | ({"organizationId": self.organization} if shared else {})

    def _begin(self, start: Start) -> None:
        if start.strict:
            self.be_strict()
        body = self.checkout(start.plan, start.quantity, start.coupon, shared=start.shared)
        page = self.api.post("/checkout/session", body)
        assert page.status_code == 201, page.content
        assert self.sandbox.press(page.json()["url"], "pay") == 303
        for _, event in self.sandbox.told(self.account_id, 0):
            assert event.post().status_code == 200

    def _made(self, path: str, body: dict[str, Any]) -> str:
        made = self.api.post(path, body)
        assert made.status_code == 201, made.content
        return str(made.json()["id"])
