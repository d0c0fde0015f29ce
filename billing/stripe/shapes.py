"""What is kept of a Stripe object: an allow-list of keys for each kind.

Everything else is dropped as it arrives: payment methods, cards, bank accounts, addresses, names,
e-mails, phone numbers. A kind that is not listed keeps its id and nothing more.
"""

from __future__ import annotations

from typing import Any

PATHS = {
    "product": "/v1/products",
    "price": "/v1/prices",
    "coupon": "/v1/coupons",
    "promotion_code": "/v1/promotion_codes",
    "customer": "/v1/customers",
    "checkout.session": "/v1/checkout/sessions",
    "subscription": "/v1/subscriptions",
    "subscription_schedule": "/v1/subscription_schedules",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "billing.meter": "/v1/billing/meters",
    "billing.meter_event": "/v1/billing/meter_events",
    "charge": "/v1/charges",
    "dispute": "/v1/disputes",
    "payment_intent": "/v1/payment_intents",
    "event": "/v1/events",
    "billing_portal.configuration": "/v1/billing_portal/configurations",
    "billing_portal.session": "/v1/billing_portal/sessions",
}
MARK = "stackbe_"
ALWAYS = frozenset({"id", "object", "deleted"})
COMMON = ALWAYS | {"created", "livemode", "metadata"}
KEPT: dict[str, frozenset[str]] = {
    "account": COMMON
    | {"charges_enabled", "payouts_enabled", "details_submitted", "country", "default_currency", "requirements",
       "type"},
    "product": COMMON | {"active", "default_price", "name", "type", "unit_label", "updated"},
    "price": COMMON
    | {"active", "billing_scheme", "currency", "nickname", "product", "recurring", "tiers", "tiers_mode",
       "transform_quantity", "type", "unit_amount"},
    "plan": ALWAYS,
    "customer": COMMON | {"currency", "delinquent"},
    "coupon": COMMON | {"amount_off", "currency", "duration", "percent_off", "redeem_by", "max_redemptions", "valid"},
    "promotion_code": COMMON | {"active", "code", "coupon", "promotion", "expires_at", "max_redemptions"},
    "checkout.session": COMMON
    | {"client_reference_id", "customer", "expires_at", "invoice", "mode", "payment_intent", "payment_status", "status",
       "subscription", "url"},
    "subscription": COMMON
    | {"billing_cycle_anchor", "cancel_at", "cancel_at_period_end", "canceled_at", "cancellation_details",
       "collection_method", "currency", "customer", "discounts", "ended_at", "items", "latest_invoice",
       "pause_collection", "pending_update", "schedule", "start_date", "status", "trial_end", "trial_settings",
       "trial_start"},
    "subscription_schedule": COMMON | {"current_phase", "customer", "end_behavior", "phases", "status", "subscription"},
    "subscription_item": COMMON | {"current_period_end", "current_period_start", "price", "quantity", "subscription"},
    "invoice": COMMON
    | {"amount_due", "amount_paid", "amount_remaining", "attempt_count", "attempted", "billing_reason", "currency",
       "customer", "due_date", "hosted_invoice_url", "next_payment_attempt", "number", "parent", "period_end",
       "period_start", "status", "status_transitions", "subtotal", "total"},
    "invoice_payment": ALWAYS | {"amount_paid", "created", "currency", "invoice", "livemode", "payment", "status"},
    "charge": ALWAYS
    | {"amount", "amount_refunded", "created", "currency", "disputed", "livemode", "payment_intent", "refunded",
       "status"},
    "dispute": ALWAYS | {"amount", "charge", "created", "currency", "livemode", "payment_intent", "status"},
    "payment_intent": ALWAYS | {"amount", "created", "currency", "livemode", "status"},
    "event": ALWAYS | {"account", "created", "data", "livemode", "type"},
    "billing.meter": ALWAYS | {"event_name", "status"},
    "billing.meter_event": ALWAYS | {"identifier"},
    "billing_portal.configuration": ALWAYS | {"active", "created", "livemode"},
    "billing_portal.session": ALWAYS | {"created", "livemode", "url"},
    "list": frozenset({"object", "data", "has_more"}),
}  # fmt: skip


def keep(body: Any) -> Any:
    """Return a Stripe object with the keys that may be kept, nested objects likewise."""
    if isinstance(body, list):
        return [keep(each) for each in body]
    if not isinstance(body, dict):
        return body
    kind = body.get("object")
    if not isinstance(kind, str):
        return {name: marks(value) if name == "metadata" else keep(value) for name, value in body.items()}
    if kind == "event":
        return _event(body)
    allowed = KEPT.get(kind, ALWAYS)
    kept = {name: keep(value) for name, value in body.items() if name in allowed}
    if "metadata" in kept:
        kept["metadata"] = marks(kept["metadata"])
    if kind == "subscription_schedule":
        kept["phases"] = [_phase(phase) for phase in body.get("phases") or []]
    if kind in {"subscription", "customer"}:
        # That there is something to charge, not what it is: a trial without it ends in cancellation.
        settings = body.get("invoice_settings") or {}
        names = ("default_payment_method", "default_source")
        kept["has_payment_method"] = any(holder.get(name) for holder in (body, settings) for name in names)
    return kept


def _phase(phase: dict[str, Any]) -> dict[str, Any]:
    """Of a phase only what is sold in it and when: it may name a payment method too."""
    items = [{name: item.get(name) for name in ("price", "quantity")} for item in phase.get("items") or []]
    return {"items": keep(items), **{name: phase.get(name) for name in ("start_date", "end_date", "trial_end")}}


def keep_object(body: dict[str, Any]) -> dict[str, Any]:
    """Return one object likewise."""
    kept: dict[str, Any] = keep(body)
    return kept


def marks(metadata: Any) -> dict[str, str]:
    """Return the metadata that we wrote; what a tenant writes into theirs is no business of ours."""
    return {name: str(value) for name, value in (metadata or {}).items() if name.startswith(MARK)}


def _event(body: dict[str, Any]) -> dict[str, Any]:
    """Of an event's payload only which object it tells of: the object itself is fetched."""
    told = (body.get("data") or {}).get("object") or {}
    kept = {name: value for name, value in body.items() if name in KEPT["event"] and name != "data"}
    kept["data"] = {"object": {name: told[name] for name in ("id", "object") if name in told}}
    return kept


def lines_of(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of an invoice: what each is for, and its amount."""
    names = ("amount", "currency", "description", "period", "quantity")
    return [{name: line.get(name) for name in names} for line in (invoice.get("lines") or {}).get("data") or []]


def reference(value: Any) -> str:
    """Return the id behind a field that holds an id or an expanded object; empty for nothing."""
    if isinstance(value, dict):
        return str(value.get("id") or "")
    return str(value or "")
