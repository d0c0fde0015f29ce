"""The sandbox's own controls under /_sandbox/: what a test or a demonstration needs and Stripe has no API for."""

import re
from collections.abc import Callable
from datetime import datetime

from billing.stripe.sandbox.clock import advance
from billing.stripe.sandbox.connect import (
    all_connected,
    connected,
    disconnect,
    issue_token,
    open_account,
    set_capabilities,
)
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.customers import BEHAVIOURS, fetch_customer
from billing.stripe.sandbox.disputes import close, open_dispute
from billing.stripe.sandbox.errors import StripeError, missing_object, unknown_route
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.faults import add_fault, clear_faults, list_faults
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.rendering import render
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.store import Json, Store

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
RECENT = 500
Control = Callable[[Store, Settings, Json], Json]


def inside(store: Store, settings: Settings, given: Json) -> Context:
    """The connected account that a control names."""
    if "account" not in given:
        raise missing("account")
    if connected(store, given["account"]) is None:
        raise missing_object("account", given["account"], "account")
    return Context.of(store, settings, given["account"])


def health(store: Store, settings: Settings, given: Json) -> Json:
    """That the sandbox answers, and as what."""
    del given
    waiting = store.rows("SELECT count(*) AS n FROM deliveries WHERE state = 'pending'")[0]["n"]
    return {"status": "ok", "livemode": False, "apiVersion": settings.api_version, "pendingDeliveries": waiting}


def new_account(store: Store, settings: Settings, given: Json) -> Json:
    """A connected account in one call."""
    with store.change():
        platform = Context.of(store, settings, store.note("platform"))
        profile = {"name": given.get("name", "Test account")}
        account = open_account(
            platform, {"business_profile": profile, "email": given.get("email"), "country": given.get("country", "US")}
        )
    return {"id": account["id"]}


def accounts(store: Store, settings: Settings, given: Json) -> Json:
    """Every connected account and what time it is there."""
    del given
    found = all_connected(store)
    return {"data": [{"id": each["id"], "now": Context.of(store, settings, each["id"]).now} for each in found]}


def new_key(store: Store, settings: Settings, given: Json) -> Json:
    """A secret key of the account's own, as its owner has one at Stripe: for scripts that use Stripe's SDK."""
    account = inside(store, settings, given).account
    return {"account": account, "secretKey": issue_token(store, account)}


def change_account(store: Store, settings: Settings, given: Json) -> Json:
    """Let the account lose or regain its ability to charge, or disconnect from its own side."""
    ctx = inside(store, settings, given)
    if given.get("disconnect"):
        return disconnect(store, settings, ctx.account)
    with store.change():
        return render(ctx, set_capabilities(ctx, charges_enabled=bool(given.get("chargesEnabled", True))))


def read_clock(store: Store, settings: Settings, given: Json) -> Json:
    """What time it is on an account, and when something is due there next."""
    ctx = inside(store, settings, given)
    found = store.rows("SELECT min(due) AS due FROM objects WHERE account = ?", ctx.account)
    return {"account": ctx.account, "now": ctx.now, "due": found[0]["due"]}


def move_clock(store: Store, settings: Settings, given: Json) -> Json:
    """Move an account's clock: `advance` in seconds or as `3d`, or `to` a moment (seconds or ISO 8601)."""
    ctx = inside(store, settings, given)
    if "to" in given:
        return advance(store, settings, ctx.account, to=moment(given["to"]))
    if "advance" not in given:
        raise missing("advance")
    return advance(store, settings, ctx.account, by=duration(given["advance"]))


def duration(value: object) -> int:
    """Seconds from a number or from a text such as `90m`, `36h`, `3d`, `2w`."""
    found = re.fullmatch(r"(\d{1,9})([smhdw]?)", str(value))
    if found is None:
        raise StripeError(f"Invalid duration: {value}", param="advance")
    return int(found[1]) * UNITS[found[2] or "s"]


def moment(value: object) -> int:
    """Seconds since the epoch from a number or from ISO 8601 text with an offset."""
    if isinstance(value, int):
        return value
    try:
        return int(datetime.fromisoformat(str(value)).timestamp())
    except ValueError as problem:
        raise StripeError(f"Invalid moment: {value}", param="to") from problem


def set_payment(store: Store, settings: Settings, given: Json) -> Json:
    """How a customer's payments go from now on: succeed, decline or authenticate."""
    ctx = inside(store, settings, given)
    for name in ("customer", "payment"):
        if name not in given:
            raise missing(name)
    if given["payment"] not in BEHAVIOURS:
        raise StripeError(f"Invalid payment: must be one of {', '.join(BEHAVIOURS)}", param="payment")
    with store.change():
        customer = fetch_customer(ctx, given["customer"])
        record(ctx, {**customer, "_payment": given["payment"]})
    return {"customer": given["customer"], "payment": given["payment"]}


def dispute(store: Store, settings: Settings, given: Json) -> Json:
    """Open a dispute on a `charge`, or decide the `dispute` as `won` or `lost`."""
    ctx = inside(store, settings, given)
    with store.change():
        if "dispute" in given:
            status = given.get("status", "lost")
            if status not in ("won", "lost"):
                message = "Invalid status: must be one of won, lost"
                raise StripeError(message, param="status")
            return render(ctx, close(ctx, ctx.fetch("dispute", given["dispute"], "dispute"), status))
        if "charge" not in given:
            raise missing("charge")
        return render(ctx, open_dispute(ctx, given["charge"], given.get("reason", "fraudulent")))


def deliveries(store: Store, settings: Settings, given: Json) -> Json:
    """Webhook deliveries, newest first, by account and state."""
    del settings
    sql, values = "SELECT * FROM deliveries WHERE 1", []
    for name in ("account", "state", "event"):
        if name in given:
            sql += f" AND {name} = ?"
            values.append(given[name])
    rows = store.rows(f"{sql} ORDER BY id DESC LIMIT {RECENT}", *values)
    return {"data": [dict(row) for row in rows]}


def redeliver(store: Store, settings: Settings, given: Json) -> Json:
    """Send a delivery again now, or with `event` every delivery of that event."""
    del settings
    if "id" not in given and "event" not in given:
        raise missing("id")
    found = store.rows(
        "INSERT INTO deliveries (account, event, type, endpoint, due) SELECT DISTINCT account, event, type, endpoint, 0"
        " FROM deliveries WHERE id = ? OR event = ? RETURNING id",
        given.get("id"),
        given.get("event"),
    )
    return {"redelivered": len(found)}


def new_fault(store: Store, settings: Settings, given: Json) -> Json:
    """Put a fault in force."""
    del settings
    return add_fault(store, given)


def faults(store: Store, settings: Settings, given: Json) -> Json:
    """The faults in force."""
    del settings, given
    return {"data": list_faults(store)}


def end_faults(store: Store, settings: Settings, given: Json) -> Json:
    """End the fault named by `id`, or all of them."""
    del settings
    clear_faults(store, given.get("id"))
    return {"data": list_faults(store)}


TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        (
            "account",
            "charge",
            "country",
            "customer",
            "dispute",
            "email",
            "event",
            "kind",
            "name",
            "path",
            "payment",
            "reason",
            "state",
            "status",
            "type",
        ),
        str,
    ),
    **dict.fromkeys(("advance", "id", "to"), (int, str)),
    **dict.fromkeys(("chargesEnabled", "disconnect"), bool),
    **dict.fromkeys(("copies", "count", "percent"), int),
    "seconds": (int, float),
}
"""What a control may be given, whichever it is."""

CONTROLS: dict[tuple[str, str], Control] = {
    ("GET", "/_sandbox/health"): health,
    ("GET", "/_sandbox/accounts"): accounts,
    ("POST", "/_sandbox/accounts"): new_account,
    ("POST", "/_sandbox/account"): change_account,
    ("POST", "/_sandbox/keys"): new_key,
    ("GET", "/_sandbox/clock"): read_clock,
    ("POST", "/_sandbox/clock"): move_clock,
    ("POST", "/_sandbox/payment"): set_payment,
    ("POST", "/_sandbox/disputes"): dispute,
    ("GET", "/_sandbox/deliveries"): deliveries,
    ("POST", "/_sandbox/redeliver"): redeliver,
    ("GET", "/_sandbox/faults"): faults,
    ("POST", "/_sandbox/faults"): new_fault,
    ("DELETE", "/_sandbox/faults"): end_faults,
}


def run_control(store: Store, settings: Settings, method: str, path: str, given: Json) -> Json:
    """Answer one call of the control API."""
    control = CONTROLS.get((method, path))
    if control is None:
        raise unknown_route(method, path)
    for name, value in given.items():
        if name not in TYPES:
            raise StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        if not isinstance(value, TYPES[name]):
            raise StripeError(f"Invalid {name}: {value!r}", param=name)
    return control(store, settings, given)
