"""From Stripe's objects to the plain facts that our services follow. No row is read, no call is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing.facts import StripeInvoiceFacts, StripeSubscriptionFacts
from billing.stripe.gateway import Json
from billing.stripe.shapes import reference
from stackbe.kernel import ids

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

APP_MARK = "stackbe_app"
OVERAGE_MARK = "stackbe_overage"


def mark(scope: Scope, **more: str) -> dict[str, str]:
    """Return the metadata that says whose an object is."""
    return {APP_MARK: ids.encode("app", scope.app), **more}


def marks_of(body: Json) -> Json:
    """Return the metadata that we wrote on an object; an invoice carries its subscription's."""
    own: Json = body.get("metadata") or {}
    if APP_MARK in own or body.get("object") != "invoice":
        return own
    return _subscription_details(body).get("metadata") or {}


def is_ours(scope: Scope, body: Json) -> bool:
    """Say whether an object carries our app's mark; one without it is left alone."""
    return marks_of(body).get(APP_MARK) == ids.encode("app", scope.app)


def subscription_facts(account_id: str, body: Json, fetched_at: datetime) -> StripeSubscriptionFacts:
    """Return what a subscription says. Period ends are on the item since Stripe's 2025 versions."""
    item = main_item(body)
    marks = marks_of(body)
    pause = body.get("pause_collection") or {}
    ending = ((body.get("trial_settings") or {}).get("end_behavior") or {}).get("missing_payment_method")
    return StripeSubscriptionFacts(
        account=account_id,
        stripe_subscription_id=body["id"],
        stripe_customer_id=reference(body.get("customer")),
        stripe_price_id=reference(item.get("price")),
        status=body["status"],
        fetched_at=fetched_at,
        created_at=moment(body.get("created")),
        quantity=max(1, int(item.get("quantity") or 1)),
        current_period_start=moment(item.get("current_period_start")),
        current_period_end=moment(item.get("current_period_end")),
        cancel_at_period_end=bool(body.get("cancel_at_period_end")),
        cancel_at=None if body.get("cancel_at_period_end") else moment(body.get("cancel_at")),
        canceled_at=moment(body.get("canceled_at")),
        ended_at=moment(body.get("ended_at")),
        trial_start=moment(body.get("trial_start")),
        trial_end=moment(body.get("trial_end")),
        trial_has_card=bool(body.get("has_payment_method")) or ending == "create_invoice",
        collection_paused=bool(pause),
        resumes_at=moment(pause.get("resumes_at")),
        cancel_reason=str((body.get("cancellation_details") or {}).get("comment") or ""),
        **coming(body),
        customer_id=_marked(marks, "stackbe_customer", "cust"),
        organization_id=_marked(marks, "stackbe_organization", "org"),
    )


def coming(body: Json) -> dict[str, Any]:
    """Return what a subscription is to become: what waits for its payment, else its schedule's next phase.

    The schedule is there as `schedule_body` where it was fetched.
    """
    pending = body.get("pending_update") or {}
    if pending.get("subscription_items"):
        item = main_item({"items": {"data": pending["subscription_items"]}})
        return _next(item, pending.get("expires_at"), "payment")
    phase = next_phase(body.get("schedule_body") or {})
    return _next(phase["items"][0], phase["start_date"], "period_end") if phase else {}


def next_phase(schedule: Json) -> Json | None:
    """Return the phase of a schedule that has not begun, None where there is none or it lets go before."""
    current = schedule.get("current_phase")
    if schedule.get("status") != "active" or not current:
        return None
    later = [phase for phase in schedule["phases"] if phase["start_date"] >= current["end_date"]]
    return later[0] if later else None


def _next(item: Json, at: Any, awaits: str) -> dict[str, Any]:
    return {
        "next_stripe_price_id": reference(item.get("price")),
        "next_quantity": max(1, int(item.get("quantity") or 1)),
        "next_at": moment(at),
        "next_awaits": awaits,
    }


def invoice_facts(account_id: str, body: Json, fetched_at: datetime) -> StripeInvoiceFacts:
    """Return what an invoice says. `charges` and `action_required` are there where they were asked for."""
    charges: list[Json] | None = body.get("charges")
    waiting = bool(body.get("action_required"))
    tried = body.get("status") == "open" and bool(body.get("attempted")) and int(body.get("attempt_count") or 0) > 0
    return StripeInvoiceFacts(
        account=account_id,
        stripe_invoice_id=body["id"],
        stripe_customer_id=reference(body.get("customer")),
        status=body.get("status") or "draft",
        currency=body["currency"],
        fetched_at=fetched_at,
        stripe_subscription_id=subscription_of_invoice(body),
        number=body.get("number") or "",
        amount_due_cents=int(body.get("amount_due") or 0),
        amount_paid_cents=int(body.get("amount_paid") or 0),
        amount_refunded_cents=None if charges is None else sum(int(c.get("amount_refunded") or 0) for c in charges),
        disputed=None if charges is None else any(bool(c.get("disputed")) for c in charges),
        attempt_count=int(body.get("attempt_count") or 0),
        payment_failed=tried and not waiting,
        action_required=waiting,
        period_start=moment(body.get("period_start")),
        period_end=moment(body.get("period_end")),
        hosted_invoice_url=body.get("hosted_invoice_url"),
        created_at=moment(body.get("created")),
        customer_id=_marked(marks_of(body), "stackbe_customer", "cust"),
    )


def purchase_facts(account_id: str, checkout_id: UUID, body: Json, fetched_at: datetime) -> StripeInvoiceFacts | None:
    """Return what was paid on a checkout page that sold something once; None where nothing was to pay.

    `charges` are the session's payment's.
    """
    paid = [charge for charge in body.get("charges") or [] if charge.get("status") == "succeeded"]
    if not paid:
        return None
    amount = sum(int(charge["amount"]) for charge in paid)
    return StripeInvoiceFacts(
        account=account_id,
        stripe_invoice_id=reference(body["payment_intent"]),
        stripe_customer_id=reference(body.get("customer")),
        status="paid",
        currency=paid[0]["currency"],
        fetched_at=fetched_at,
        amount_due_cents=amount,
        amount_paid_cents=amount,
        amount_refunded_cents=sum(int(charge.get("amount_refunded") or 0) for charge in paid),
        disputed=any(bool(charge.get("disputed")) for charge in paid),
        attempt_count=1,
        created_at=moment(paid[0].get("created")),
        customer_id=_marked(marks_of(body), "stackbe_customer", "cust"),
        checkout_id=checkout_id,
    )


def subscription_of_invoice(body: Json) -> str:
    """Return the subscription that an invoice bills; it moved below `parent` in Stripe's 2025 versions."""
    return reference(_subscription_details(body).get("subscription"))


def moment(seconds: Any) -> datetime | None:
    """Return a time from Stripe's Unix seconds."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), tz=UTC)


def _subscription_details(invoice: Json) -> Json:
    return (invoice.get("parent") or {}).get("subscription_details") or {}


def main_item(body: Json) -> Json:
    """Return the item that stands for the plan: the first whose price we made, else the first."""
    items: list[Json] = (body.get("items") or {}).get("data") or [{}]
    ours = [item for item in items if APP_MARK in _price_marks(item) and OVERAGE_MARK not in _price_marks(item)]
    return (ours or items)[0]


def overage_items(body: Json) -> list[Json]:
    """Return the items that charge for use beyond an allowance."""
    return [item for item in (body.get("items") or {}).get("data") or [] if OVERAGE_MARK in _price_marks(item)]


def _price_marks(item: Json) -> Json:
    price = item.get("price")
    return (price.get("metadata") or {}) if isinstance(price, dict) else {}


def _marked(marks: Json, name: str, prefix: str) -> UUID | None:
    try:
        return ids.decode(prefix, str(marks.get(name) or ""))
    except ids.MalformedId:
        return None
