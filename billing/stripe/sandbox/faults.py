"""Faults on demand: what can go wrong between Stripe and us, made to go wrong."""

import random

from billing.stripe.sandbox.context import new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.store import Json, Store

WEBHOOK_FAULTS = ("duplicate", "reorder", "delay", "drop")
API_FAULTS = ("api_500", "api_hang", "api_cut")
NOTE = "faults"
ALWAYS = 100
LONGEST_SECONDS, MOST_COPIES = 3600, 100


def add_fault(store: Store, given: Json) -> Json:
    """Put a fault in force.

    `account`, `type` (a webhook's event type) and `path` (the beginning of an API path)
    narrow it, `percent` makes it occasional and `count` ends it after so many times.
    """
    kind = given.get("kind")
    if kind not in WEBHOOK_FAULTS + API_FAULTS:
        raise StripeError(f"Invalid kind: must be one of {', '.join(WEBHOOK_FAULTS + API_FAULTS)}", param="kind")
    fault: Json = {
        "id": new_id("fault"),
        "kind": kind,
        "account": given.get("account"),
        "type": given.get("type"),
        "path": given.get("path"),
        "percent": given.get("percent", ALWAYS),
        "count": given.get("count"),
        "seconds": min(max(given.get("seconds", 2), 0), LONGEST_SECONDS),
        "copies": min(max(given.get("copies", 2), 1), MOST_COPIES),
    }
    with store.change():
        store.write_note(NOTE, [*list_faults(store), fault])
    return fault


def list_faults(store: Store) -> list[Json]:
    """The faults in force."""
    found: list[Json] = store.note(NOTE, [])
    return found


def clear_faults(store: Store, fault_id: str | None = None) -> None:
    """End one fault, or all."""
    with store.change():
        store.write_note(NOTE, [fault for fault in list_faults(store) if fault_id not in (None, fault["id"])])


def spend(store: Store, account: str, kinds: tuple[str, ...], subject: str) -> list[Json]:
    """The faults that strike now, counted down; `subject` is an event type or an API path."""
    with store.change():
        struck, left = [], []
        faults = list_faults(store)
        for fault in faults:
            narrowed = fault["type"] if fault["kind"] in WEBHOOK_FAULTS else fault["path"]
            hits = (
                fault["kind"] in kinds
                and fault["account"] in (None, account)
                and (narrowed is None or subject.startswith(narrowed))
                and random.random() * ALWAYS < fault["percent"]  # noqa: S311 - no secret depends on it
            )
            if hits:
                struck.append(fault)
                fault = {**fault, "count": None if fault["count"] is None else fault["count"] - 1}  # noqa: PLW2901
            if fault["count"] is None or fault["count"] > 0:
                left.append(fault)
        if left != faults:
            store.write_note(NOTE, left)
        return struck
