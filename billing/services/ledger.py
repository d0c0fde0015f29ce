"""Whether the books are in order: every payment announced once, every step of every subscription explained.

Nothing is repaired here. What is found is a fault of ours, or a row that somebody changed by hand.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from billing.lifecycle import access_window
from billing.models import Access, InvoiceReference, Subscription, SubscriptionTransition
from billing.services.steps import plain_value
from billing.states import COLUMNS, State
from stackbe.kernel.ids import encode
from webhooks.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from stackbe.kernel.scope import Scope

PAID = "payment.succeeded"


def find_faults(scope: Scope) -> list[str]:
    """Return what is wrong with an app's books, in words; empty when all is in order.

    Runs inside reading() or change(). Events about somebody who was erased cannot be read, and are left out.
    """
    return [*_payments(scope), *_histories(scope), *_access(scope)]


def _payments(scope: Scope) -> Iterator[str]:
    """Every paid invoice has exactly one event that says so, and every such event a paid invoice."""
    told: Counter[str] = Counter()
    unreadable: set[UUID | None] = set()
    for event in Event.objects.within(scope).filter(type=PAID).order_by("pk").iterator():
        body = event.body
        if body is None:
            unreadable.add(event.subject_id)
        else:
            told[orjson.loads(body)["data"]["invoice"]["id"]] += 1
    paid = InvoiceReference.objects.within(scope).filter(status=InvoiceReference.Status.PAID)
    names = set()
    for row in paid.select_related("customer"):
        names.add(row.public_id)
        silent = row.customer.deleted_at is not None or row.customer_id in unreadable
        if told[row.public_id] != 1 and not (silent and told[row.public_id] == 0):
            yield f"{row.public_id} is paid and was announced {told[row.public_id]} times."
    for name in sorted(told.keys() - names):
        if told[name]:
            yield f"{name} was announced as paid and is not."


def _histories(scope: Scope) -> Iterator[str]:
    """Every subscription is what its steps make of it, each of which has one cause and follows from the one before."""
    steps: dict[UUID, list[SubscriptionTransition]] = {}
    for step in SubscriptionTransition.objects.within(scope).order_by("id"):
        steps.setdefault(step.subscription_id, []).append(step)
    for row in Subscription.objects.within(scope).order_by("id"):
        yield from _history(row, steps.get(row.pk, []))


def _history(row: Subscription, steps: Iterable[SubscriptionTransition]) -> Iterator[str]:
    state: dict[str, Any] = {}
    status = ""
    for step in steps:
        if not step.cause:
            yield f"{row.public_id}: the step {step.name} has no cause."
        if step.from_status != status:
            yield f"{row.public_id}: the step {step.name} began at {step.from_status}; it was {status or 'nothing'}."
        for name, (was, becomes) in step.detail.items():
            if state.get(name) != was:
                yield f"{row.public_id}: before the step {step.name}, {name} was not what the step says."
            state[name] = becomes
        status = step.to_status
    held = {name: plain_value(getattr(row, name)) for name in COLUMNS if name != "facts_at"}
    different = sorted(name for name, value in held.items() if state.get(name) != value)
    if different:
        yield f"{row.public_id}: no step explains {', '.join(different)}."
    if (row.access_from, row.access_until) != access_window(State.of(row), row.created_at):
        yield f"{row.public_id}: it grants access at other times than its state says."


def _access(scope: Scope) -> Iterator[str]:
    """What customers may do hangs on a subscription of theirs, and lasts as long as that one says."""
    rows: dict[UUID | None, Subscription] = {row.pk: row for row in Subscription.objects.within(scope)}
    for access in Access.objects.within(scope).filter(subscription_id__isnull=False):
        who, row = encode("cust", access.customer_id), rows.get(access.subscription_id)
        if row is None or (row.organization_id is None and row.customer_id != access.customer_id):
            yield f"{who} has access by a subscription that is not theirs."
        elif (access.access_from, access.access_until) != (row.access_from, row.access_until):
            yield f"{who} has access at other times than {row.public_id} grants it."
