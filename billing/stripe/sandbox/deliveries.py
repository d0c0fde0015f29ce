"""Signed webhooks: who gets an event, when, how often it is tried, and what the faults do to it."""

import hashlib
import hmac
import http.client
import random
import sqlite3
import ssl
import threading
from urllib.parse import urlsplit

import orjson

from billing.stripe.event_types import EVENTS
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.faults import spend
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.store import Json, Store, wall_time

TIMEOUT_SECONDS = 10
IDLE_SECONDS = 1.0
PLATFORM, CONNECT = "we_platform", "we_connect"
DEAUTHORIZED = "account.application.deauthorized"


def wants(enabled: list[str], event_type: str) -> bool:
    """Whether an endpoint that listens to these types is sent an event of this one."""
    return any(
        name in ("*", event_type) or (name.endswith(".*") and event_type.startswith(name[:-1])) for name in enabled
    )


def built_in(ctx: Context) -> list[Json]:
    """The product's two endpoints on the platform's account, as the environment names them."""
    settings = ctx.settings
    named = [
        (PLATFORM, settings.platform_endpoint_id, settings.platform_secret, False),
        (CONNECT, settings.connect_endpoint_id, settings.connect_secret, True),
    ]
    return [
        {
            "id": name,
            "object": "webhook_endpoint",
            "api_version": settings.api_version,
            "application": None,
            "created": ctx.now,
            "description": "Built in",
            "enabled_events": list(EVENTS),
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": f"{settings.base_url}/webhooks/stripe/{path}",
            "_connect": connect,
            "_secret": secret,
        }
        for name, path, secret, connect in named
        if path and secret
    ]


def endpoints(ctx: Context) -> list[Json]:
    """The platform's endpoints and the account's own ones that could be told of this account's events."""
    known = built_in(ctx)
    known += ctx.store.select(ctx.platform, "webhook_endpoint")
    fitting = [endpoint for endpoint in known if endpoint["_connect"] == ctx.is_connected]
    if ctx.is_connected:
        fitting += [each for each in ctx.select("webhook_endpoint") if not each["_connect"]]
    return fitting


def left_platform(ctx: Context) -> bool:
    """Whether an account has disconnected: of what happens there the platform hears nothing more."""
    return ctx.is_connected and (ctx.find("account", ctx.account) or {}).get("_connected") is False


def enqueue(ctx: Context, event: Json) -> int:
    """Queue an event for its endpoints, bent by the faults in force; how many will be told."""
    chosen = [
        each for each in endpoints(ctx) if each["status"] == "enabled" and wants(each["enabled_events"], event["type"])
    ]
    if left_platform(ctx) and event["type"] != DEAUTHORIZED:
        chosen = [each for each in chosen if not each["_connect"]]
    if not chosen:
        return 0
    due, state, copies = wall_time(), "pending", 1
    for fault in spend(ctx.store, ctx.account, ("drop", "delay", "duplicate", "reorder"), event["type"]):
        if fault["kind"] == "drop":
            state = "dropped"
        elif fault["kind"] == "duplicate":
            copies = fault["copies"]
        else:
            due += fault["seconds"] * (1 if fault["kind"] == "delay" else random.random())  # noqa: S311 - no secret
    for endpoint in chosen:
        for _ in range(copies):
            ctx.store.rows(
                "INSERT INTO deliveries (account, event, type, endpoint, state, due) VALUES (?, ?, ?, ?, ?, ?)",
                ctx.account,
                event["id"],
                event["type"],
                endpoint["id"],
                state,
                due,
            )
    return len(chosen)


def sign(secret: str, payload: bytes, moment: int) -> str:
    """The `Stripe-Signature` header: an HMAC-SHA-256 over the moment and the raw body."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def post(url: str, payload: bytes, signature: str) -> int:
    """The receiver's status. Redirects are not followed: a webhook goes where it was registered."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature,
        }
        connection.request("POST", parts.path or "/", body=payload, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


class Courier(threading.Thread):
    """Sends what is due, one after another, and tries again later what was not taken."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Prepare to work; `start` sets it going."""
        super().__init__(name="courier", daemon=True)
        self._store, self._settings = store, settings
        self._woken, self._ending = threading.Event(), False

    def wake(self) -> None:
        """Something may have come due."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the delivery in hand and end."""
        self._ending = True
        self._woken.set()
        self.join(TIMEOUT_SECONDS + 1)

    def run(self) -> None:
        """Deliver until stopped."""
        while not self._ending:
            waiting = self.seconds_to_next()
            if waiting > 0:
                self._woken.wait(min(waiting, IDLE_SECONDS))
                self._woken.clear()
                continue
            self.deliver_one()

    def seconds_to_next(self) -> float:
        """How long until a delivery is due."""
        found = self._store.rows("SELECT min(due) AS due FROM deliveries WHERE state = 'pending'")
        return IDLE_SECONDS if found[0]["due"] is None else float(found[0]["due"]) - wall_time()

    def deliver_one(self) -> None:
        """Send the delivery that has waited longest and note how it went."""
        found = self._store.rows(
            "SELECT * FROM deliveries WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 1", wall_time()
        )
        if not found:
            return
        row = found[0]
        ctx = Context.of(self._store, self._settings, row["account"])
        endpoint = next((each for each in endpoints(ctx) if each["id"] == row["endpoint"]), None)
        event = ctx.find("event", row["event"])
        if endpoint is None or event is None:
            self.note(row, None, "the endpoint is gone", final=True)
            return
        payload = orjson.dumps(event, option=orjson.OPT_INDENT_2)
        signature = sign(endpoint["_secret"], payload, int(wall_time()))
        try:
            status, error = post(endpoint["url"], payload, signature), None
        except (OSError, http.client.HTTPException) as failure:
            status, error = None, type(failure).__name__
        self.note(row, status, error)

    def note(self, row: sqlite3.Row, status: int | None, error: str | None, *, final: bool = False) -> None:
        """Keep the outcome: delivered, to be tried again, or given up."""
        attempts = row["attempts"] + 1
        if status is not None and status // 100 == 2:  # noqa: PLR2004 - the class of success
            state, due = "delivered", row["due"]
        elif final or attempts > len(self._settings.retry_seconds):
            state, due = "failed", row["due"]
        else:
            state, due = "pending", wall_time() + self._settings.retry_seconds[attempts - 1]
        self._store.rows(
            "UPDATE deliveries SET state = ?, attempts = ?, due = ?, status = ?, error = ? WHERE id = ?",
            state,
            attempts,
            due,
            status,
            error,
            row["id"],
        )
