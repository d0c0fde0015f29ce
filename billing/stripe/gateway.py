"""The only module that calls Stripe.

One client with an explicit API version and bounded time. Every call for a tenant names its account
(direct charges: the money is the tenant's), every write carries an idempotency key derived from an
intent that was recorded first, and none happens inside a database transaction. What comes back is
cut down to `shapes.KEPT` here, so that card data goes no further than this file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, cast
from uuid import UUID

import stripe
from django.conf import settings
from stripe import oauth_error

from billing.stripe import shapes
from billing.stripe.errors import AccountLost, StripeObjectGone, StripeRefused, StripeUnavailable
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import forbid_transaction

Json = dict[str, Any]
log = logging.getLogger("stackbe.stripe")
CONNECT_SECONDS = 3
RETRIES = 1
TOLERANCE_SECONDS = 300
PAGE = 100
GONE, RUNNING, TOO_MANY, BROKEN = 404, 409, 429, 500
# The funds are the tenant's: parameters by which a platform would take a share or move the charge.
FORBIDDEN_PARAMETERS = ("application_fee", "transfer_data", "transfer_group", "on_behalf_of", "destination")
SENTENCES = {
    "coupon_expired": "This coupon has expired.",
    "resource_missing": "Stripe has no such object on this account.",
    "amount_too_small": "Stripe does not take amounts this small.",
    "amount_too_large": "Stripe does not take amounts this large.",
    "url_invalid": "Stripe did not accept one of the URLs.",
    "email_invalid": "Stripe did not accept the e-mail address.",
    "card_declined": "The payment was declined.",
    "subscription_payment_intent_requires_action": "The customer's bank wants the payment confirmed first.",
}
_clients = threading.local()


class SignatureRefused(Exception):
    """The bytes are not signed by the endpoint's secret, or not now."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A recorded wish to write: what a lost answer is resolved by. `id` is that of its row."""

    id: UUID

    def key(self, path: str, params: Json) -> str:
        """Return Stripe's Idempotency-Key: the same intent with the same content is the same write."""
        content = json.dumps([path, params], sort_keys=True, default=str).encode()
        return f"stackbe-{self.id}-{hashlib.sha256(content).hexdigest()[:16]}"


def client(patience_seconds: float | None = None) -> stripe.StripeClient:
    """Return this thread's client; `patience_seconds` bounds each attempt more closely and retries none."""
    seconds = patience_seconds or max(1.0, settings.STRIPE_TIMEOUT_SECONDS / (RETRIES + 1))
    shape = (settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_CONNECT_BASE, seconds)
    known: dict[Any, stripe.StripeClient] = _clients.__dict__.setdefault("known", {})
    if shape not in known:
        transport = stripe.RequestsClient(timeout=(min(CONNECT_SECONDS, seconds), seconds))
        known[shape] = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            stripe_version=settings.STRIPE_API_VERSION,
            base_addresses={"api": settings.STRIPE_API_BASE, "connect": settings.STRIPE_CONNECT_BASE},
            client_id=settings.STRIPE_CLIENT_ID,
            max_network_retries=0 if patience_seconds else RETRIES,
            http_client=transport,
        )
    return known[shape]


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """A tenant's Stripe account. There is no other way to reach a tenant's objects.

    All methods raise `StripeUnavailable` when Stripe cannot answer (a write may then have happened:
    repeat it under the same intent), `StripeRefused` when it says no, `AccountLost` when the account
    is no longer ours to act for, and RuntimeError inside a database transaction.
    """

    id: str
    patience_seconds: float | None = None

    def fetch(self, kind: str, object_id: str, *, expand: list[str] | None = None) -> Json:
        """Return an object as it is now, cut down to what may be kept."""
        params = {"expand": expand} if expand else {}
        return shapes.keep_object(self._call("get", f"{shapes.PATHS[kind]}/{object_id}", params, None))

    def create(self, kind: str, params: Json, *, intent: Intent) -> Json:
        """Make an object, once for the intent however often it is asked."""
        return shapes.keep_object(self._call("post", shapes.PATHS[kind], params, intent))

    def update(self, kind: str, object_id: str, params: Json, *, intent: Intent, action: str = "") -> Json:
        """Change an object, or have Stripe do something to it (`action`, such as `expire`)."""
        path = f"{shapes.PATHS[kind]}/{object_id}" + (f"/{action}" if action else "")
        return shapes.keep_object(self._call("post", path, params, intent))

    def delete(self, kind: str, object_id: str, params: Json, *, intent: Intent) -> Json:
        """Delete an object; a subscription is cancelled by it."""
        return shapes.keep_object(self._call("delete", f"{shapes.PATHS[kind]}/{object_id}", params, intent))

    def list(self, kind: str, params: Json | None = None, *, most: int = 1000, first: int = PAGE) -> Iterator[Json]:
        """Yield objects newest first, page after page, at most `most` of them.

        Who seldom reads far asks for a shorter `first` page.
        """
        asked: Json = {"limit": first, **(params or {})}
        seen = 0
        while True:
            page = self._call("get", shapes.PATHS[kind], asked, None)
            for body in page["data"]:
                yield shapes.keep_object(body)
                seen += 1
                if seen >= most:
                    return
            if not page.get("has_more") or not page["data"]:
                return
            asked = {**asked, "limit": PAGE, "starting_after": page["data"][-1]["id"]}

    def preview(self, params: Json) -> Json:
        """Return the invoice that a change would make, with its lines. Nothing is written, so it needs no intent."""
        body = self._call("post", "/v1/invoices/create_preview", params, None, writes=False)
        return {**shapes.keep_object(body), "lines": shapes.lines_of(body)}

    def account(self) -> Json:
        """Return the account itself: may it charge, what does Stripe still want of it."""
        return shapes.keep_object(self._call("get", "/v1/account", {}, None))

    def _call(self, method: str, path: str, params: Json, intent: Intent | None, *, writes: bool = True) -> Json:
        refuse_forbidden(params)
        options: Json = {"stripe_account": self.id}
        if intent is not None:
            options["idempotency_key"] = intent.key(f"{method} {path}", params)
        elif method != "get" and writes:
            raise RuntimeError("a write to Stripe needs a recorded intent")
        speaker = client(self.patience_seconds)
        return _ask(f"{method} {path}", lambda: speaker.raw_request(method, path, **options, **params))


def authorize_url(state: str, redirect_uri: str) -> str:
    """Return where a developer's browser goes to connect an account."""
    params: Any = {"scope": "read_write", "state": state, "redirect_uri": redirect_uri}
    return client().oauth.authorize_url(params)


def exchange_code(code: str) -> Json:
    """Trade an OAuth code for the account's id. The tokens that come with it are dropped: we never use them."""
    params: Any = {"grant_type": "authorization_code", "code": code}
    answer = _ask("oauth token", lambda: client().oauth.token(params))
    return {"account": answer.get("stripe_user_id"), "livemode": bool(answer.get("livemode"))}


def deauthorize(account_id: str) -> None:
    """Give an account back to its owner. One that is gone already is no failure."""
    params: Any = {"stripe_user_id": account_id}
    try:
        _ask("oauth deauthorize", lambda: client().oauth.deauthorize(params))
    except (StripeRefused, AccountLost) as refused:
        log.info("account was not ours any more", extra={"failure": type(refused).__name__})


def platform_endpoints() -> list[Json]:
    """Return the endpoints of the platform's own account: where they are, what they listen to. Never a secret."""
    names = ("url", "status", "api_version", "enabled_events")
    page = _ask("get /v1/webhook_endpoints", lambda: client().raw_request("get", "/v1/webhook_endpoints", limit=PAGE))
    return [{name: body.get(name) for name in names} for body in page["data"]]


def verify_signature(body: bytes, header: str, secrets: list[str]) -> None:
    """Raise `SignatureRefused` unless one of the secrets signed exactly these bytes within 5 minutes of now.

    Stripe's SDK refuses an old timestamp but takes one from the future, hence the check of our own.
    """
    if not header.isascii():
        raise SignatureRefused("not a signature")
    moment = wall_clock().timestamp()
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret)
        except (stripe.SignatureVerificationError, UnicodeDecodeError, ValueError):
            continue
        signed_at = _signed_at(header)
        if signed_at is None or abs(moment - signed_at) > TOLERANCE_SECONDS:
            raise SignatureRefused("outside the tolerance")
        return
    raise SignatureRefused("no secret fits")


def _signed_at(header: str) -> int | None:
    stamps = [part[2:] for part in header.split(",") if part.startswith("t=")]
    return int(stamps[0]) if len(stamps) == 1 and stamps[0].isdecimal() else None


def refuse_forbidden(params: Any) -> None:
    """Raise when a parameter would take a share of a tenant's money."""
    if isinstance(params, dict):
        for name, value in params.items():
            if str(name).startswith(FORBIDDEN_PARAMETERS):
                raise RuntimeError(f"{name} must never be sent: the funds are the tenant's")
            refuse_forbidden(value)
    elif isinstance(params, list):
        for value in params:
            refuse_forbidden(value)


def _ask(what: str, call: Callable[[], Any]) -> Json:
    forbid_transaction(f"Stripe ({what})")
    started = time.monotonic()
    try:
        answer = call()
    except stripe.StripeError as failure:
        _translate(what, failure, time.monotonic() - started)
    if isinstance(answer, stripe.StripeResponse):
        return cast("Json", answer.data)
    data: Json = answer.to_dict(for_json=True)
    return data


def _translate(what: str, failure: stripe.StripeError, seconds: float) -> NoReturn:
    """Raise what our callers know. Logs and messages get Stripe's code, never its body or message."""
    code, param = str(failure.code or ""), str(getattr(failure, "param", None) or "")
    status = failure.http_status or 0
    log.warning(
        "stripe call failed",
        extra={"call": what.partition("?")[0], "failure": type(failure).__name__, "stripe_code": code,
               "status": status, "seconds": round(seconds, 2)},
    )  # fmt: skip
    if _is_outage(failure, status):
        raise StripeUnavailable from None
    if isinstance(failure, stripe.PermissionError | stripe.AuthenticationError):
        raise AccountLost from None
    if isinstance(failure, oauth_error.OAuthError):
        raise StripeRefused("Stripe did not accept the connection. Start again from the dashboard.") from None
    sentence = SENTENCES.get(code) or f"Stripe refused this request ({code or type(failure).__name__})."
    if param:
        sentence = f"{sentence} It names the parameter {param[:60]}."
    refused = StripeObjectGone if code == "resource_missing" or status == GONE else StripeRefused
    raise refused(sentence, stripe_code=code, param=param) from None


def _is_outage(failure: stripe.StripeError, status: int) -> bool:
    """Say whether repeating the same call later may succeed. A 409 is one that still runs under our key."""
    if isinstance(failure, stripe.APIConnectionError | stripe.RateLimitError):
        return True
    return status >= BROKEN or status in {TOO_MANY, RUNNING}
