"""The job that mails a customer about their subscription, in the app's name.

What it says is read when it is sent: who has paid meanwhile gets nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.lookups import KnownApp, known_app
from accounts.services.logos import brand_of
from billing.models import InvoiceReference, Subscription
from billing.queue import MAIL_REMINDER
from billing.services.reminders import PAYMENT_DUE, TRIAL_ENDING
from stackbe.kernel.jobs import job
from stackbe.kernel.transactions import change
from stackbe.mail import outgoing
from stackbe.mail.sending import Message, write

if TYPE_CHECKING:
    from datetime import datetime

    from stackbe.kernel.scope import Scope

STATUS_FOR = {TRIAL_ENDING: Subscription.Status.TRIALING, PAYMENT_DUE: Subscription.Status.PAST_DUE}


@job(MAIL_REMINDER)
def mail_reminder(app_id: str, subscription_id: str, kind: str, mail_id: str) -> None:
    """Mail what is still true. Does nothing for who paid, ended it, was erased, or whose address bounced."""
    app = known_app(UUID(app_id))
    if app is None or app.closed:
        return
    scope = app.system_scope("mail")
    with change(scope):
        rows = Subscription.objects.within(scope).select_related("customer", "plan")
        row = rows.filter(pk=UUID(subscription_id), status=STATUS_FOR[kind]).first()
        message = None if row is None else _message(scope, app, row, kind, UUID(mail_id))
        if row is None:
            outgoing.forget(scope, UUID(mail_id))
    if message is not None:
        outgoing.deliver(scope, UUID(mail_id), message)


def _message(scope: Scope, app: KnownApp, row: Subscription, kind: str, mail_id: UUID) -> Message | None:
    customer = row.customer
    if customer.deleted_at is not None:
        outgoing.forget(scope, mail_id)
        return None
    if outgoing.bounce_of(scope, bytes(customer.email_index)) is not None:
        outgoing.settle(scope, mail_id, outgoing.Status.SKIPPED)
        return None
    brand = brand_of(app)
    context = {"brand": brand, **(_trial(row, brand["name"]) if kind == TRIAL_ENDING else _due(scope, row, brand))}
    return write("notice", customer.email, context, from_name=brand["name"], subject_id=customer.pk)


def _trial(row: Subscription, name: str) -> dict[str, object]:
    until = _day(row.trial_end)
    then = (
        "After that the subscription begins, and the payment method on file is charged."
        if row.trial_has_card
        else "Without a payment method it ends then, and nothing is charged."
    )
    return {
        "subject": f"Your trial of {row.plan.name} ends on {until}",
        "paragraphs": [f"Your trial of {row.plan.name} at {name} ends on {until}.", then],
    }


def _due(scope: Scope, row: Subscription, brand: dict[str, object]) -> dict[str, object]:
    rows = InvoiceReference.objects.within(scope).filter(subscription=row, status=InvoiceReference.Status.OPEN)
    invoice = rows.order_by("-pk").first()
    told = [f"The payment for {row.plan.name} at {brand['name']} did not go through."]
    if row.grace_period_ends_at is not None:
        told.append(f"You keep your access until {_day(row.grace_period_ends_at)}.")
    told.append("It is tried again by itself. If your payment method has changed, please pay with the new one.")
    shown: dict[str, object] = {"subject": f"Your payment for {row.plan.name} failed", "paragraphs": told}
    if invoice is not None and invoice.hosted_invoice_url:
        shown |= {"url": invoice.hosted_invoice_url, "action": "Pay the invoice"}
    return shown


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.day} {moment:%B %Y}"
