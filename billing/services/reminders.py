"""What a customer is told in time: that a trial ends, that a payment is due. When, how often, and when no more.

Each is due at a moment of the app's clock, kept with the subscription, so that it goes out even if no
event ever comes from Stripe; and each is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from billing.models import Subscription
from billing.queue import defer_reminder
from billing.services.due import TRIALING, next_reminder, settings_of
from billing.services.steps import event_data
from stackbe.kernel.clock import now
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import require_change
from stackbe.mail import outgoing
from webhooks.outbox import emit

if TYPE_CHECKING:
    from accounts.app_settings import AppSettings
    from stackbe.kernel.scope import Scope

TRIAL_ENDING, PAYMENT_DUE = "trial_ending", "payment_due"
HandOver = Callable[["Scope", UUID, str, UUID], None]


def remind(scope: Scope, subscription_id: UUID, *, hand_over: HandOver = defer_reminder) -> str:
    """Tell what is due of a subscription, once, and note what comes next; return what it was, empty for nothing.

    The app hears of a trial that ends; the customer is mailed where the app's settings say so: `hand_over` gets the
    mail (scope, subscription, kind, mail's id) and queues it for the worker unless the caller gives another.
    """
    require_change()
    rows = Subscription.objects.within(scope).locked().select_related("plan", "plan_version", "customer")
    row = rows.filter(pk=subscription_id).first()
    if row is None:
        return ""
    settings, moment = settings_of(scope), now(scope)
    due = next_reminder(row, settings)
    kind = ""
    if row.customer.deleted_at is not None:
        due = None
    elif due is not None and due <= moment:
        kind = _tell(scope, row, settings, hand_over)
        due = next_reminder(row, settings)
    row.remind_at = due
    row.save(update_fields=["remind_at", "trial_told_end", "dunned"])
    return kind


def _tell(scope: Scope, row: Subscription, settings: AppSettings, hand_over: HandOver) -> str:
    if row.status == TRIALING:
        row.trial_told_end = row.trial_end
        emit(scope, "subscription.trial_ending", event_data(scope, row), subject=row.customer_id)
        if settings.trial_ending_mail:
            _mail(scope, row, TRIAL_ENDING, hand_over)
        return TRIAL_ENDING
    row.dunned += 1
    _mail(scope, row, PAYMENT_DUE, hand_over)
    return PAYMENT_DUE


def _mail(scope: Scope, row: Subscription, kind: str, hand_over: HandOver) -> None:
    mail_id = new_id()
    outgoing.record_asked(scope, mail_id, kind, bytes(row.customer.email_index), asked_at=now(scope))
    hand_over(scope, row.pk, kind, mail_id)
