"""A sandbox inside the test's own process and an app that sells through it, both taken back after each life.

Everything speaks HTTP as elsewhere, but nothing happens by itself: the sandbox has neither courier nor ticker, so
that whoever writes a history decides which event is delivered, when, how often, or never.
"""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import threading
import urllib.error
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from accounts.models import App
from billing.stripe import reconcile
from billing.stripe.connect import connect_sandbox_account
from billing.stripe.sandbox import server as served
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.deliveries import endpoints, sign
from billing.stripe.sandbox.settings import Settings, read_settings
from billing.stripe.sandbox.store import wall_time
from billing.stripe.scopes import app_scope
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
COUPON = "HALF"
# Name → price by the month, and what is special about it.
PLANS: dict[str, tuple[int, dict[str, Any]]] = {
    "Lite": (900, {}),
    "Pro": (2900, {}),
    "Team": (9900, {}),
    "Year": (29000, {"interval": "year"}),
    "Trial": (1900, {"trialDays": 14}),
    "Open": (1500, {"trialDays": 14, "trialRequiresCard": False}),
}


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

    def told(self, account: str, after: int) -> list[tuple[int, Delivery]]:
        """Return what our Connect endpoint would be told by now, oldest first, numbered, from a number on."""
        store, settings = self.server.store, self.server.settings
        context = Context.of(store, settings, account)
        ours = next(each for each in endpoints(context) if each["_connect"])
        rows = store.rows("SELECT id, event FROM deliveries WHERE account = ? AND id > ? ORDER BY id", account, after)
        path = ours["url"].removeprefix(settings.base_url)
        found = []
        for row in rows:
            body = json.dumps(context.fetch("event", row["event"])).encode()
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
    """An app that sells six plans, and all that its customer and the owner of its account can do."""

    def __init__(self, sandbox: HeldSandbox) -> None:
        """Sell, and have everything settled before the first life."""
        self.sandbox = sandbox
        self.company: Company = found_company("Acme")
        self.account_id = connect_sandbox_account(self.company.scope).account_id
        self.api = Api(self.company.key)
        self.plans = {name: self._sell(name, price, more) for name, (price, more) in PLANS.items()}
        made = self.api.post("/coupons", {"code": COUPON, "percentOff": 50, "duration": "repeating",
                                          "durationInMonths": 2, "maxRedemptions": 2})  # fmt: skip
        assert made.status_code == 201, made.content
        self.customer = self.api.post("/customers", {"email": EMAIL}).json()["id"]
        self.customer_id = decode("cust", self.customer)
        run_jobs()
        self.prices = {
            name: next(price["id"] for price in self.at_stripe("GET", "/v1/prices?limit=100")["data"]
                       if price["unit_amount"] == cents)
            for name, (cents, _) in PLANS.items()
        }  # fmt: skip
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
        """Do what the owner of the account can do at Stripe; an empty object where Stripe refuses it, or is to fail."""
        try:
            return self.sandbox.call(method, path, body, account=self.account_id)
        except http.client.RemoteDisconnected:
            return {}
        except urllib.error.HTTPError as refusal:
            with refusal:
                if refusal.code >= 500 and b"unknown error" not in refusal.read():
                    raise
            return {}

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Return what the account has of a kind, newest first."""
        return list(self.at_stripe("GET", f"/v1/{kind}?limit=100").get("data", []))

    def control(self, name: str, **given: Any) -> None:
        """Do to the account what Stripe has no API for."""
        self.sandbox.call("POST", f"/_sandbox/{name}", {"account": self.account_id, **given})

    def press(self, url: str, action: str) -> int:
        """Press a button on a page; return the status."""
        try:
            return self.sandbox.press(url, action)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            if refusal.code >= 500:
                raise
            return refusal.code

    def pass_days(self, days: int) -> None:
        """Let time pass at Stripe and here, of which nobody tells anybody."""
        self.control("clock", advance=f"{days}d")
        with change(self.company.scope):
            app = App.objects.within(self.company.scope).get()
            app.clock_offset_ms += timedelta(days=days) // timedelta(milliseconds=1)
            app.save(update_fields=["clock_offset_ms"])

    @property
    def scope(self) -> Scope:
        """Return the app's scope by its clock as it is now."""
        found = app_scope(self.company.app_id, "test")
        assert found is not None
        return found

    def _sell(self, name: str, price_cents: int, more: dict[str, Any]) -> str:
        body = {"name": name, "priceCents": price_cents, "currency": "usd", "interval": "month", **more}
        made = self.api.post("/plans", body)
        assert made.status_code == 201, made.content
        return str(made.json()["id"])
