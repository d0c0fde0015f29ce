"""Stripe's events as they come in: prove, place, claim, queue, answer.

Nothing is parsed before the signature over the raw bytes holds. What is kept of an event is that it
came; the object it names is fetched later, by the worker. One connection to the database, one change
for each app that shares the account, a few milliseconds.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.db import DatabaseError
from prometheus_client import Counter

from billing.models import StripeEvent
from billing.stripe import gateway
from billing.stripe.queue import DEAUTHORIZED, defer_sync
from billing.stripe.scopes import scopes_of_account
from stackbe.kernel import limits
from stackbe.kernel.errors import BadRequest, NotFound, PayloadTooLarge, RateLimited
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
BODY_BYTES = 512 * 1024
FORGERIES_PER_MINUTE = 60
# The beginning of an event's type → the kind of object that it tells of.
KINDS = {
    "checkout.session.": "checkout.session",
    "customer.subscription.": "subscription",
    "subscription_schedule.": "subscription_schedule",
    "invoice.": "invoice",
    "charge.dispute.": "dispute",
    "charge.refunded": "charge",
    "product.": "product",
    "price.": "price",
    "account.updated": "account",
}
INVOICE_EVENTS = frozenset({
    "invoice.finalized", "invoice.paid", "invoice.payment_failed", "invoice.payment_action_required",
    "invoice.voided", "invoice.marked_uncollectible", "invoice.updated",
})  # fmt: skip
DEAUTHORIZATION = "account.application.deauthorized"
EVENTS = Counter("stackbe_stripe_events_total", "Stripe events by what became of them.", ["outcome"])


class ForgedEvent(BadRequest):
    """The body is not what Stripe signed, or not when it was."""

    code = "STRIPE_SIGNATURE_INVALID"
    message = "The signature does not fit this body, this endpoint or this time."


@dataclass(frozen=True, slots=True)
class Told:
    """The little that is read of a proven event."""

    id: str
    type: str
    account_id: str
    created: datetime
    livemode: bool
    object_id: str


def receive(endpoint_id: str, body: bytes, signature: str, network: str) -> str:
    """Take in one event and return what became of it: queued, duplicate, foreign, unhandled or other_mode.

    `network` is the address that failures are counted by. Raises `NotFound` for an endpoint that is none
    of ours, `ForgedEvent` (nothing was written), `RateLimited` for who forges without end,
    `PayloadTooLarge`, and DatabaseError when it cannot be kept: Stripe then sends it again.
    """
    secrets, connect = _endpoint(endpoint_id)
    if len(body) > BODY_BYTES:
        raise PayloadTooLarge
    try:
        gateway.verify_signature(body, signature, secrets)
    except gateway.SignatureRefused as refused:
        EVENTS.labels("forged").inc()
        log.warning(
            "forged stripe event",
            extra={"why": str(refused), "endpoint": endpoint_id, "swapped": _is_swapped(body, signature, secrets)},
        )
        _count_forgery(network)
        raise ForgedEvent from None
    outcome = _take(_read(body), connect=connect)
    EVENTS.labels(outcome).inc()
    return outcome


def kind_of(event_type: str) -> str | None:
    """Return the kind of object that a type of event tells of; None for types that nobody asked for."""
    if event_type.startswith("invoice.") and event_type not in INVOICE_EVENTS:
        return None
    return next((kind for start, kind in KINDS.items() if event_type.startswith(start)), None)


def _endpoint(endpoint_id: str) -> tuple[list[str], bool]:
    """Return an endpoint's secrets, and whether it hears of connected accounts."""
    if endpoint_id == settings.STRIPE_CONNECT_ENDPOINT_ID:
        return list(settings.STRIPE_CONNECT_WEBHOOK_SECRETS), True
    if endpoint_id == settings.STRIPE_PLATFORM_ENDPOINT_ID:
        return list(settings.STRIPE_PLATFORM_WEBHOOK_SECRETS), False
    raise NotFound


def _is_swapped(body: bytes, signature: str, secrets: list[str]) -> bool:
    """Say whether the other endpoint's secret fits: the two were pasted the wrong way round."""
    every = {*settings.STRIPE_PLATFORM_WEBHOOK_SECRETS, *settings.STRIPE_CONNECT_WEBHOOK_SECRETS}
    with suppress(gateway.SignatureRefused):
        gateway.verify_signature(body, signature, sorted(every - set(secrets)))
        return True
    return False


def _count_forgery(network: str) -> None:
    allowed = True
    with suppress(DatabaseError):
        allowed = limits.take(f"stripe-inbox:{network}", FORGERIES_PER_MINUTE).ok
    if not allowed:
        raise RateLimited(retry_after_seconds=limits.MINUTE)


def _read(body: bytes) -> Told:
    """Return what an event says of itself. Its payload is not looked at beyond the object's id."""
    try:
        event = orjson.loads(body)
        told: Any = (event.get("data") or {}).get("object") or {}
        return Told(
            id=_plain(event["id"], 255),
            type=_plain(event["type"], 80),
            account_id=_plain(event.get("account") or "", 255),
            created=datetime.fromtimestamp(int(event["created"]), tz=UTC),
            livemode=bool(event.get("livemode")),
            object_id=_plain(told.get("id") or "", 255),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise BadRequest("This is not an event.") from None


def _plain(value: Any, longest: int) -> str:
    text = str(value)
    if "\0" in text:
        raise ValueError("no id holds a NUL byte, and no column could")
    return text[:longest]


def _take(told: Told, *, connect: bool) -> str:
    if told.livemode != settings.STRIPE_LIVE_MODE:
        return "other_mode"
    if not connect or not told.account_id:
        return "unhandled"  # The platform's own account sells nothing through us.
    if told.type != DEAUTHORIZATION and (kind_of(told.type) is None or not told.object_id):
        return "unhandled"
    scopes = scopes_of_account(told.account_id, "stripe")
    if not scopes:
        return "foreign"
    claimed = [claim_event(scope, told) for scope in scopes]
    return "queued" if any(claimed) else "duplicate"


def claim_event(scope: Scope, told: Told, *, recovered: bool = False) -> bool:
    """Claim an event for one app and queue its work, together or not at all; False if it was claimed before."""
    with change(scope):
        row = StripeEvent(
            **owned_by(scope), account_id=told.account_id, event_id=told.id, type=told.type,
            object_id=told.object_id, created=told.created, recovered=recovered,
        )  # fmt: skip
        StripeEvent.unscoped.bulk_create([row], ignore_conflicts=True)
        if not StripeEvent.objects.within(scope).filter(pk=row.pk).exists():
            return False
        kind = DEAUTHORIZED if told.type == DEAUTHORIZATION else kind_of(told.type)
        defer_sync(scope, told.account_id, str(kind), told.object_id, cause=f"stripe:{told.id}", unless_done=True)
    return True
