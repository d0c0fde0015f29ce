"""From Stripe's objects to our rows: lease, fetch, record.

What an event said is never read: it only names an object, which is fetched as it is now. So copies,
orders and gaps in the stream of events do not matter, and the same function serves the inbox, the
customer who returns from a checkout, a cancellation and the sweep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import DatabaseError

from billing.models import Checkout, StripeConnection, StripeEvent, Subscription
from billing.packs import give_credits
from billing.services.invoices import record_invoice
from billing.services.subscriptions import apply_stripe_subscription, grant_purchase
from billing.states import CANCELED, STATUS_OF
from billing.stripe import translate
from billing.stripe.connect import CONNECTED, account_deauthorized, apply_health
from billing.stripe.errors import AccountLost, StripeObjectGone
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.lease import LeaseLost, take_lease
from billing.stripe.mirror import mirror_object
from billing.stripe.shapes import reference
from stackbe.kernel.clock import now, wall_clock
from stackbe.kernel.errors import ApiError
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
# How often one looks whether somebody else has recorded an object, and for how long; less where somebody is kept
# waiting at a page.
WAIT_SECONDS, LONGEST_WAIT, SHORT_WAIT = 0.05, 10.0, 1.0


def sync_object(
    scope: Scope,
    account_id: str,
    kind: str,
    object_id: str,
    *,
    cause: str,
    patience_seconds: float | None = None,
    take_over: bool = False,
) -> bool:
    """Fetch a Stripe object and make our rows follow it; False when somebody else is at it and will.

    Objects that are not this app's are left alone. Raises `StripeUnavailable` and the like to be tried
    again; the events that told of the object stay unprocessed until then.
    """
    account = ConnectedAccount(account_id, patience_seconds)
    if kind in ABOUT:
        began = wall_clock()
        found = ABOUT[kind](account, kind, object_id)
        if found:
            sync_object(scope, account_id, *found, cause=cause, patience_seconds=patience_seconds)
        with change(scope):
            _events_done(scope, account_id, object_id, began, ignored=not found)
        return True
    lease = take_lease(scope, account_id, object_id, take_over=take_over)
    if lease is None:
        return False
    again = True
    try:
        while again:
            began = wall_clock()
            body = _fetch(account, kind, object_id)
            if body is not None and (subscription_id := _subscription_of(kind, body)):
                sync_until_done(
                    scope, account_id, "subscription", subscription_id, cause=cause, patience_seconds=patience_seconds
                )
            with change(scope):
                lease.check()
                ours = body is None or RECORD[kind](scope, account_id, body, cause, began)
                # Where somebody waits, the mirror is left to the events' own jobs, which so stay to be done.
                if patience_seconds is None:
                    _events_done(scope, account_id, object_id, began, ignored=not ours)
                again = lease.finish()
            if ours and patience_seconds is None:
                _mirror(account, kind, body, object_id)
    except BaseException:
        lease.give_up()
        raise
    return True


def sync_until_done(
    scope: Scope, account_id: str, kind: str, object_id: str, *, cause: str, patience_seconds: float | None = None
) -> None:
    """Do the same for who goes on from the result, and waits for somebody else who is at it.

    A worker that was killed would hold the object for many seconds more, so after two the work is taken over. Raises
    `LeaseLost` where others are at it for ten seconds, or for one where `patience_seconds` bounds each call.
    """
    until = time.monotonic() + (LONGEST_WAIT if patience_seconds is None else SHORT_WAIT)
    while True:
        with suppress(LeaseLost):
            if sync_object(
                scope, account_id, kind, object_id, cause=cause, patience_seconds=patience_seconds, take_over=True
            ):
                return
        if time.monotonic() > until:
            raise LeaseLost
        time.sleep(WAIT_SECONDS)


def _mirror(account: ConnectedAccount, kind: str, body: Json | None, object_id: str) -> None:
    """Let the mirror follow. Nothing decides by it, so it never stands in the way of what does."""
    try:
        mirror_object(account, kind, body, object_id)
    except (ApiError, DatabaseError) as failure:
        log.warning("not mirrored", extra={"kind": kind, "failure": type(failure).__name__})


def record_deauthorization(scope: Scope, account_id: str, object_id: str) -> None:
    """Follow a disconnection on Stripe's side, on the event's type and account alone.

    One that may be older than the connection is no news of it: where the account answers, it was
    connected again since.
    """
    began = wall_clock()
    with reading(scope):
        waiting = StripeEvent.objects.within(scope).filter(
            account_id=account_id, object_id=object_id, state=StripeEvent.State.RECEIVED
        )
        told = waiting.order_by("-created").values_list("created", flat=True).first()
        live = StripeConnection.objects.within(scope).filter(account_id=account_id, status=CONNECTED).first()
    stands = live is not None and (told is None or told <= live.connected_at) and _answers(account_id)
    with change(scope):
        if not stands:
            account_deauthorized(scope, account_id)
        _events_done(scope, account_id, object_id, began, ignored=stands)


def _answers(account_id: str) -> bool:
    try:
        ConnectedAccount(account_id).account()
    except AccountLost:
        return False
    return True


def still_waiting(scope: Scope, account_id: str, object_id: str) -> bool:
    """Say whether events about an object have not been worked off."""
    with reading(scope):
        rows = StripeEvent.objects.within(scope).filter(account_id=account_id, object_id=object_id)
        return rows.filter(state=StripeEvent.State.RECEIVED).exists()


def failed(scope: Scope, account_id: str, object_id: str, failure: Exception) -> None:
    """Keep with the events of an object that they could not be processed: a class and Stripe's code, no more."""
    with change(scope):
        for event in (
            StripeEvent.objects.within(scope)
            .locked()
            .filter(account_id=account_id, object_id=object_id, state=StripeEvent.State.RECEIVED)
        ):
            event.attempts += 1
            event.error_class = type(failure).__name__[:80]
            event.error_code = str(getattr(failure, "stripe_code", "") or getattr(failure, "code", ""))[:80]
            event.save(update_fields=["attempts", "error_class", "error_code"])


def _fetch(account: ConnectedAccount, kind: str, object_id: str) -> Json | None:
    """Return the object, None when Stripe has it no more."""
    if kind == "account":
        return account.account()
    try:
        body = account.fetch(kind, object_id)
    except StripeObjectGone:
        return None
    if body.get("deleted"):
        return None
    if kind == "invoice":
        _add_payments(account, body)
    if kind == "checkout.session" and body.get("payment_status") == "paid" and body.get("payment_intent"):
        body["charges"] = _charges(account, reference(body["payment_intent"]))
    return complete_subscription(account, body) if kind == "subscription" else body


def complete_subscription(account: ConnectedAccount, body: Json) -> Json:
    """Add what a subscription does not say itself: what its schedule holds, whether a trial becomes a paid period."""
    if body.get("schedule"):
        body["schedule_body"] = account.fetch("subscription_schedule", reference(body["schedule"]))
    if body["status"] == "trialing" and not body["has_payment_method"]:
        customer = account.fetch("customer", reference(body["customer"]))
        body["has_payment_method"] = bool(customer.get("has_payment_method"))
    return body


def _add_payments(account: ConnectedAccount, invoice: Json) -> None:
    """Add what an invoice does not say itself: refunds and disputes, and whether the bank waits for the customer."""
    tried = invoice.get("status") == "open" and invoice.get("attempted")
    if not invoice.get("amount_paid") and not tried:
        return
    payments = account.list("invoice_payment", {"invoice": invoice["id"]}, most=20)
    intents = [reference((paid.get("payment") or {}).get("payment_intent")) for paid in payments]
    if tried:
        statuses = [account.fetch("payment_intent", each)["status"] for each in intents if each]
        invoice["action_required"] = "requires_action" in statuses
        return
    invoice["charges"] = [charge for each in intents if each for charge in _charges(account, each)]


def _charges(account: ConnectedAccount, intent_id: str) -> list[Json]:
    """Return the charges of a payment, each with what became of its money."""
    found = account.list("charge", {"payment_intent": intent_id}, most=20)
    return [{**charge, "disputed": _is_disputed(account, charge)} for charge in found]


def _is_disputed(account: ConnectedAccount, charge: Json) -> bool:
    """Say whether a charge's money is disputed or lost. Stripe goes on calling one `disputed` that was won."""
    if not charge.get("disputed"):
        return False
    found = list(account.list("dispute", {"charge": charge["id"]}, most=20))
    return not found or any(each.get("status") not in WON for each in found)


def _paid_by(account: ConnectedAccount, kind: str, object_id: str) -> tuple[str, str] | None:
    """Return the invoice, or else the checkout page, that a charge or a disputed charge paid; None for neither."""
    try:
        body = account.fetch(kind, object_id)
    except StripeObjectGone:
        return None
    intent_id = reference(body.get("payment_intent"))
    if not intent_id:
        return None
    asked = {"payment": {"type": "payment_intent", "payment_intent": intent_id}}
    for paid in account.list("invoice_payment", asked, most=1):
        return "invoice", reference(paid.get("invoice"))
    for page in account.list("checkout.session", {"payment_intent": intent_id}, most=1):
        return "checkout.session", page["id"]
    return None


def _scheduled(account: ConnectedAccount, kind: str, object_id: str) -> tuple[str, str] | None:
    """Return the subscription that a schedule has, None when it let go: the subscription's own event tells of that."""
    try:
        found = reference(account.fetch(kind, object_id).get("subscription"))
    except StripeObjectGone:
        return None
    return ("subscription", found) if found else None


# How Stripe calls disputes that were decided for the tenant, who has the money.
WON = frozenset({"won", "warning_closed"})
# What is not recorded itself, but changes something that is: how to find the kind and the id of that.
ABOUT: dict[str, Callable[[ConnectedAccount, str, str], tuple[str, str] | None]] = {
    "charge": _paid_by,
    "dispute": _paid_by,
    "subscription_schedule": _scheduled,
}


def _subscription_of(kind: str, body: Json) -> str:
    """Return the subscription that must be recorded before a checkout or an invoice is; empty for none."""
    if kind == "checkout.session":
        return reference(body.get("subscription"))
    return translate.subscription_of_invoice(body) if kind == "invoice" else ""


def _record_checkout(scope: Scope, account_id: str, body: Json, cause: str, began: datetime) -> bool:
    rows = Checkout.objects.within(scope).filter(account_id=account_id, stripe_session_id=body["id"])
    checkout = rows.locked().first()
    if checkout is None:
        return False
    if body.get("status") == "complete" and checkout.status != Checkout.Status.COMPLETE:
        checkout.status = Checkout.Status.COMPLETE
        checkout.completed_at = now(scope)
    elif body.get("status") == "expired" and checkout.status != Checkout.Status.COMPLETE:
        checkout.status = Checkout.Status.EXPIRED
    checkout.save(update_fields=["status", "completed_at"])
    # A one-time plan has no subscription at Stripe that would tell of it.
    paid = body.get("payment_status") in {"paid", "no_payment_required"}
    if body.get("mode") == "payment" and body.get("status") == "complete" and paid:
        grant = give_credits if checkout.plan_version.credits else grant_purchase
        grant(scope, checkout, cause)
        told = translate.purchase_facts(account_id, checkout.pk, body, began)
        if told is not None:
            record_invoice(scope, told, cause)
    return True


def _record_subscription(scope: Scope, account_id: str, body: Json, cause: str, began: datetime) -> bool:
    known = Subscription.objects.within(scope).filter(stripe_account=account_id, stripe_subscription_id=body["id"])
    if not translate.is_ours(scope, body) and not known.exists():
        return False
    facts = translate.subscription_facts(account_id, body, began)
    if known.filter(status=Subscription.Status.CANCELED).exists() and STATUS_OF[facts.status] != CANCELED:
        # It was ended here alone while the account was away. What is over here stays so; the drift view shows it.
        log.warning("runs at stripe and has ended here", extra={"stripe_id": body["id"]})
        return True
    apply_stripe_subscription(scope, facts, cause)
    return True


def _record_invoice(scope: Scope, account_id: str, body: Json, cause: str, began: datetime) -> bool:
    told = translate.invoice_facts(account_id, body, began)
    known = Subscription.objects.within(scope).filter(
        stripe_account=account_id, stripe_subscription_id=told.stripe_subscription_id
    )
    if not translate.is_ours(scope, body) and not known.exists():
        return False
    record_invoice(scope, told, cause)
    return True


def _record_account(scope: Scope, account_id: str, body: Json, cause: str, began: datetime) -> bool:
    rows = StripeConnection.objects.within(scope).filter(account_id=account_id)
    live = rows.filter(status=StripeConnection.Status.CONNECTED).locked().first()
    if live is not None:
        apply_health(live, body)
        live.save()
    return live is not None


def _record_nothing(scope: Scope, account_id: str, body: Json, cause: str, began: datetime) -> bool:
    """Products and prices are ours to say; what Stripe says of them is for the mirror and the drift view."""
    return translate.is_ours(scope, body)


RECORD: dict[str, Callable[[Scope, str, Json, str, datetime], bool]] = {
    "checkout.session": _record_checkout,
    "subscription": _record_subscription,
    "invoice": _record_invoice,
    "account": _record_account,
    "product": _record_nothing,
    "price": _record_nothing,
}


def _events_done(scope: Scope, account_id: str, object_id: str, began: datetime, *, ignored: bool) -> None:
    """Mark the events that had come when the fetch began: it showed all that they could tell."""
    require_change()
    rows = StripeEvent.objects.within(scope).filter(
        account_id=account_id, object_id=object_id, state=StripeEvent.State.RECEIVED, received_at__lte=began
    )
    state = StripeEvent.State.IGNORED if ignored else StripeEvent.State.DONE
    rows.update(state=state, processed_at=wall_clock(), error_class="", error_code="")
