"""One call of the API: whose key, which account, a reply kept for its Idempotency-Key, the route, the answer."""

import hashlib
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import urlencode

import orjson

from billing.stripe.sandbox import (  # noqa: F401 - importing a module registers its routes
    catalogue,
    checkout,
    connect,
    customers,
    discounts,
    disputes,
    endings,
    events,
    meters,
    payments,
    portal,
    receivables,
    schedules,
    subscriptions,
)
from billing.stripe.sandbox.connect import account_of_token, connected
from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.errors import StripeError, bad_key, foreign_account, no_key, unknown_route
from billing.stripe.sandbox.forms import check, decode
from billing.stripe.sandbox.routes import Route, match
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.store import Json, Store

LONGEST_KEY = 255


@dataclass
class Reply:
    """What goes back to the caller."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


def key_of(headers: Mapping[str, str]) -> str:
    """The API key of a request, sent as a bearer token or as the user name of basic authentication."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(rest, validate=True).decode().partition(":")[0]
        except (BadBase64, UnicodeDecodeError):
            return ""
    return ""


def account_for(store: Store, settings: Settings, headers: Mapping[str, str]) -> str:
    """The account that a request acts on: the platform's own, or the connected one that it names."""
    key = key_of(headers)
    if not key:
        raise no_key()
    named = headers.get("stripe-account")
    if compare_digest(key.encode(), settings.secret_key.encode()):
        own: str = store.note("platform")
        if named in (None, own):
            return own
        if not connected(store, str(named)):
            raise foreign_account(key, str(named))
        return str(named)
    account = account_of_token(store, key)
    if account is None:
        raise bad_key(key)
    if named not in (None, account):
        raise foreign_account(key, str(named))
    return account


def call(store: Store, settings: Settings, method: str, path: str, query: str, body: str,
         headers: Mapping[str, str]) -> Reply:  # fmt: skip
    """Answer one call of the API, or raise Stripe's error."""
    account = account_for(store, settings, headers)
    found = match(method, path)
    if found is None:
        raise unknown_route(method, path)
    each, ids = found
    given = decode(query, body)
    key = headers.get("idempotency-key")
    if method != "POST" or not key:
        return perform(Context.of(store, settings, account, request_id=new_id("req", 14)), each, ids, given)
    if len(key) > LONGEST_KEY:
        raise StripeError(f"Idempotency keys may be at most {LONGEST_KEY} characters.", kind="idempotency_error")
    return perform_once(store, settings, account, key, each, ids, given)


def perform_once(
    store: Store, settings: Settings, account: str, key: str, each: Route, ids: dict[str, str], given: Json
) -> Reply:
    """Perform a call once for its key, and answer it the same way ever after.

    The reply is written in the transaction of the change itself, so a kill between the two
    cannot double anything. Refused requests changed nothing and are not kept, as at Stripe.
    """
    parameters = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
    asked = hashlib.sha256(f"{each.method} {each.path} {urlencode(ids)} ".encode() + parameters).hexdigest()
    ctx = Context.of(store, settings, account, request_id=new_id("req", 14), idempotency_key=key)
    with store.change():
        kept = store.rows("SELECT * FROM replies WHERE account = ? AND key = ?", account, key)
        if kept:
            if kept[0]["asked"] != asked:
                raise StripeError(
                    "Keys for idempotent requests can only be used with the same parameters they were first used"
                    f" with. Try using a key other than '{key}' if you meant to execute a different request.",
                    kind="idempotency_error",
                )
            headers = {"Idempotent-Replayed": "true", "Original-Request": kept[0]["request_id"]}
            return Reply(kept[0]["status"], orjson.loads(kept[0]["body"]), headers)
        reply = perform(ctx, each, ids, given)
        store.rows(
            "INSERT INTO replies (account, key, asked, request_id, status, body) VALUES (?, ?, ?, ?, ?, ?)",
            account, key, asked, str(ctx.request_id), reply.status, orjson.dumps(reply.body).decode(),
        )  # fmt: skip
        reply.headers["Original-Request"] = str(ctx.request_id)
        return reply


def perform(ctx: Context, each: Route, ids: dict[str, str], given: Json) -> Reply:
    """Check the parameters and run the route, in one transaction; a declined payment keeps what it wrote."""
    clean = check(each.schema, given)
    request = {"Request-Id": str(ctx.request_id)}
    with ctx.store.change():
        try:
            return Reply(200, each.run(ctx, ids, clean), request)
        except StripeError as refusal:
            if not refusal.keeps_changes:
                raise
            return Reply(refusal.status, refusal.body, request)
