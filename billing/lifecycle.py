"""The life of a subscription, written once: facts go in, a transition comes out.

Nothing here reads a clock, a row or the network. `follow` takes what Stripe says, `plan_cancel` and
`plan_reactivation` what a caller asks; `access_window` turns a state into the moments between which
it grants access, so that access changes on time even when no event ever comes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from billing.errors import IllegalTransition
from billing.states import (
    ACTIVE,
    CANCELED,
    INCOMPLETE,
    LEGAL,
    NOTHING_NEXT,
    PAST_DUE,
    PAUSED,
    RENEWAL,
    STATUS_OF,
    TRIALING,
    UNPAID,
    Facts,
    State,
    Terms,
    Transition,
)

OVER = "This subscription has ended. Start a new one with a checkout."
# How long a renewal may go without news before it counts as not paid: Stripe leaves an invoice open
# for an hour before it charges, and an outage of ours or theirs must not lock out who pays.
SETTLING = timedelta(days=3)


def follow(before: State | None, facts: Facts, moment: datetime, grace: timedelta) -> Transition | None:
    """Return the step from what is recorded to what Stripe says, None for facts that are stale.

    `moment` is the app's time and `grace` how long a customer keeps access after a failed payment.
    Raises `IllegalTransition` for a step that Stripe's own rules exclude.
    """
    if before is not None and before.facts_at is not None and facts.as_of < before.facts_at:
        return None
    after = _after(before, facts, moment, grace)
    if before is not None:
        if after.status not in LEGAL[before.status]:
            raise IllegalTransition(before=before.status, after=after.status)
        if replace(after, facts_at=before.facts_at) == before:
            return Transition("unchanged", "", before, after)
    return _named(before, after)


def open_free(plan_id: UUID, plan_version_id: UUID, moment: datetime, trial_days: int) -> Transition:
    """Return the start of a subscription that Stripe need not know: to a free plan, or a trial of one.

    Without a trial it has no period and no end.
    """
    trial_end = moment + timedelta(days=trial_days) if trial_days else None
    after = State(
        status=TRIALING if trial_days else ACTIVE,
        plan_id=plan_id,
        plan_version_id=plan_version_id,
        current_period_start=moment,
        current_period_end=trial_end,
        trial_start=moment if trial_days else None,
        trial_end=trial_end,
    )
    return _named(None, after)


def plan_cancel(state: State, moment: datetime, *, immediately: bool) -> Transition | None:
    """Return the step that ends a subscription now or when its period does; None if it is so already.

    Who has no period left to use (free, unpaid, never begun) ends now.
    """
    if state.status == CANCELED:
        return None
    end = state.trial_end if state.status == TRIALING else state.current_period_end
    if immediately or end is None or end <= moment or state.status == INCOMPLETE:
        after = replace(
            state,
            status=CANCELED,
            canceled_at=state.canceled_at or moment,
            ended_at=moment,
            cancel_at_period_end=False,
            cancel_at=None,
            paused_at=None,
            resumes_at=None,
            past_due_since=None,
            grace_period_ends_at=None,
            **NOTHING_NEXT,
        )
        return _named(state, after)
    if state.ends_at is not None:
        return None
    return _named(state, replace(state, cancel_at_period_end=True, canceled_at=moment))


def plan_reactivation(state: State, moment: datetime) -> Transition | None:
    """Return the step that takes a set end back; None where none is set.

    Raises `IllegalTransition` once the end has come: a subscription that is over does not return.
    """
    if status_at(state, moment) == CANCELED:
        raise IllegalTransition(OVER)
    if state.ends_at is None:
        return None
    after = replace(state, cancel_at_period_end=False, cancel_at=None, canceled_at=None)
    return _named(state, after)


def refuse_change(state: State, moment: datetime) -> None:
    """Raise `IllegalTransition`, with what to do first, where plan and quantity cannot change."""
    sentences = {
        CANCELED: OVER,
        INCOMPLETE: "The first payment has not been made yet. Have it made, or cancel this subscription.",
        PAST_DUE: "A payment is outstanding. Have the open invoice paid first, or cancel this subscription.",
        PAUSED: "This subscription is paused. Resume it with POST /v1/subscriptions/:id/resume, then change it.",
    }
    sentence = sentences.get(status_at(state, moment))
    if sentence is not None:
        raise IllegalTransition(sentence)


def plan_change(state: State, terms: Terms, moment: datetime, *, now: bool) -> Transition | None:
    """Return the step to other terms, now or with the next period; None where it is so, or planned so, already.

    Terms that hold now take back what was planned. Raises `IllegalTransition` as `refuse_change` does,
    and for a change at the end of a period that is the last.
    """
    refuse_change(state, moment)
    if terms == Terms(state.plan_id, state.plan_version_id, state.price_id, state.quantity):
        return plan_withdrawal(state)
    if now or state.current_period_end is None:
        after = replace(
            state,
            plan_id=terms.plan_id,
            plan_version_id=terms.plan_version_id,
            price_id=terms.price_id,
            quantity=terms.quantity,
            **NOTHING_NEXT,
        )
        return _named(state, after)
    if state.ends_at is not None:
        raise IllegalTransition(
            "This subscription ends with its period, so nothing comes after that. Take the end back with"
            " POST /v1/subscriptions/:id/reactivate, or ask for the change now."
        )
    after = replace(
        state,
        next_plan_id=terms.plan_id,
        next_quantity=terms.quantity,
        next_at=state.trial_end if state.status == TRIALING else state.current_period_end,
        next_awaits=RENEWAL,
    )
    return None if after == state else _named(state, after)


def plan_withdrawal(state: State) -> Transition | None:
    """Return the step that takes back a change that waits, None where none does."""
    if not state.next_awaits:
        return None
    return _named(state, replace(state, **NOTHING_NEXT))


def plan_pause(state: State, moment: datetime, resumes_at: datetime | None) -> Transition | None:
    """Return the step that pauses access and payment, until a date where one is given; None if it is so already.

    Raises `IllegalTransition`, with what to do, where nothing runs that could pause.
    """
    status = status_at(state, moment)
    sentences = {
        CANCELED: OVER,
        INCOMPLETE: "The first payment has not been made yet. Have it made, or cancel this subscription.",
        PAST_DUE: "A payment is outstanding. Have the open invoice paid first, or cancel this subscription.",
    }
    if status in sentences:
        raise IllegalTransition(sentences[status])
    paused_at = state.paused_at if status == PAUSED else moment
    after = replace(state, status=PAUSED, paused_at=paused_at, resumes_at=resumes_at)
    return None if after == state else _named(state, after)


def plan_resume(state: State, moment: datetime) -> Transition | None:
    """Return the step that ends a pause, None where there is none.

    Raises `IllegalTransition` once the subscription is over.
    """
    status = status_at(state, moment)
    if status == CANCELED:
        raise IllegalTransition(OVER)
    if state.status != PAUSED:
        return None
    trialing = state.trial_end is not None and state.trial_end > moment
    after = replace(state, status=TRIALING if trialing else ACTIVE, paused_at=None, resumes_at=None)
    return _named(state, after)


def plan_revocation(state: State, moment: datetime) -> Transition | None:
    """Return the step that takes access away for money that went back; None where there is none to take."""
    if state.status == CANCELED or state.revoked_at is not None:
        return None
    return _named(state, replace(state, revoked_at=moment))


def plan_restoration(state: State) -> Transition | None:
    """Return the step that gives access back after a payment; None where none was taken."""
    if state.status == CANCELED or state.revoked_at is None:
        return None
    return _named(state, replace(state, revoked_at=None))


def pass_time(state: State, moment: datetime) -> Transition | None:
    """Return the step that the clock has taken in what Stripe does not know: an end or a resumption came."""
    status = status_at(state, moment)
    if status == state.status:
        return None
    return plan_cancel(state, moment, immediately=True) if status == CANCELED else plan_resume(state, moment)


def status_at(state: State, moment: datetime) -> str:
    """Return the status that the clock makes of a state: a set end that has passed has come."""
    end = _set_end(state)
    if state.status == CANCELED or (end is not None and end <= moment):
        return CANCELED
    if state.status == PAUSED and state.resumes_at is not None and state.resumes_at <= moment:
        return ACTIVE
    return state.status


def access_window(state: State, created_at: datetime) -> tuple[datetime | None, datetime | None]:
    """Return from when until when a state grants access; None for an open end.

    An end that lies before its beginning grants none.
    """
    return (state.resumes_at if state.status == PAUSED else None), _until(state, created_at)


def _until(state: State, created_at: datetime) -> datetime | None:
    return _earliest(state.revoked_at, _until_over(state, created_at))


def _until_over(state: State, created_at: datetime) -> datetime | None:
    if state.status == INCOMPLETE:
        return created_at
    if state.status == CANCELED:
        return state.ended_at or state.canceled_at or created_at
    if state.status == PAUSED and state.resumes_at is None:
        return state.paused_at or created_at
    if state.status == PAST_DUE:
        return _earliest(state.grace_period_ends_at, state.ends_at)
    return _set_end(state) or _due(state)


def _set_end(state: State) -> datetime | None:
    """Return when a state ends by what is known now: a trial without a card ends with the trial at the latest."""
    if state.status == TRIALING and not state.trial_has_card:
        return _earliest(state.ends_at, state.trial_end)
    return state.ends_at


def _due(state: State) -> datetime | None:
    """Return when a state that is meant to go on needs news to do so."""
    if state.status == TRIALING and state.trial_end is not None:
        return state.trial_end + (SETTLING if state.trial_has_card else timedelta())
    if state.current_period_end is None:
        return None
    return max(state.current_period_end, state.resumes_at or state.current_period_end) + SETTLING


def _earliest(*moments: datetime | None) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else None


def _after(before: State | None, facts: Facts, moment: datetime, grace: timedelta) -> State:
    status = STATUS_OF[facts.status]
    if facts.collection_paused and status in {TRIALING, ACTIVE, PAST_DUE}:
        status = PAUSED
    canceled = status == CANCELED
    converted = before.trial_converted_at if before else None
    if status == ACTIVE and facts.trial_end is not None and facts.trial_end <= moment:
        converted = converted or facts.trial_end
    since, grace_ends = _arrears(before, facts, status, moment, grace)
    paused_at = (before and before.status == PAUSED and before.paused_at) or moment
    return State(
        status=status,
        plan_id=facts.plan_id,
        plan_version_id=facts.plan_version_id,
        price_id=facts.price_id,
        quantity=facts.quantity,
        current_period_start=facts.current_period_start,
        current_period_end=facts.current_period_end,
        cancel_at_period_end=facts.cancel_at_period_end and not canceled,
        cancel_at=None if canceled else facts.cancel_at,
        canceled_at=facts.canceled_at or ((before and before.canceled_at) or moment if canceled else None),
        ended_at=_ended(before, facts, moment) if canceled else None,
        trial_start=facts.trial_start,
        trial_end=facts.trial_end,
        trial_converted_at=converted,
        trial_has_card=facts.trial_has_card,
        paused_at=paused_at if status == PAUSED else None,
        resumes_at=facts.resumes_at if status == PAUSED else None,
        past_due_since=since,
        grace_period_ends_at=grace_ends,
        next_plan_id=None if canceled else facts.next_plan_id,
        next_quantity=None if canceled else facts.next_quantity,
        next_at=None if canceled else facts.next_at,
        next_awaits="" if canceled else facts.next_awaits,
        revoked_at=before.revoked_at if before else None,
        facts_at=facts.as_of,
    )


def _ended(before: State | None, facts: Facts, moment: datetime) -> datetime:
    """Return when what is over ended: not after it was first heard of, should Stripe's clock be ahead of ours.

    Else access would outlive the step that ends it, and the state that is told with it would still grant.
    """
    heard = before.ended_at if before is not None and before.status == CANCELED else None
    return min(each for each in (facts.ended_at, heard, moment) if each is not None)


def _arrears(
    before: State | None, facts: Facts, status: str, moment: datetime, grace: timedelta
) -> tuple[datetime | None, datetime | None]:
    """Return since when a payment is due and until when grace lasts.

    Grace counts from the renewal that was not paid, not from when we heard of it: a customer whose
    events were lost for a week gets no second week. Stripe's `unpaid` has used its grace up.
    """
    if status != PAST_DUE:
        return None, None
    since = before.past_due_since if before and before.status == PAST_DUE else None
    if since is None:
        since = moment
        renewed = before is not None and before.current_period_end is not None
        start = facts.current_period_start
        if renewed and start is not None and before is not None and start != before.current_period_start:
            since = min(start, moment)
    ends = before.grace_period_ends_at if before and before.past_due_since == since else None
    ends = ends or since + grace
    if facts.status == UNPAID:
        ends = min(ends, moment)
    return since, ends


def _named(before: State | None, after: State) -> Transition:
    name, event = _name(before, after)
    return Transition(name, event, before, after)


def _name(before: State | None, after: State) -> tuple[str, str]:
    if before is None:
        return "created", "subscription.created"
    if before.status != after.status:
        return _name_of_status(before.status, after.status)
    ends = "cancellation_withdrawn" if after.ends_at is None else "cancellation_set"
    kinds = (
        ((before.ends_at is None) != (after.ends_at is None), ends),
        (before.plan_id != after.plan_id, "plan_changed"),
        (before.plan_version_id != after.plan_version_id, "migrated"),
        (before.quantity != after.quantity, "quantity_changed"),
        (before.current_period_start != after.current_period_start, "renewed"),
        (
            (before.revoked_at is None) != (after.revoked_at is None),
            "access_revoked" if after.revoked_at else "access_restored",
        ),
        (bool(after.next_awaits) and _next(before) != _next(after), "change_scheduled"),
        (bool(before.next_awaits) and not after.next_awaits, "change_withdrawn"),
    )
    return next((name for holds, name in kinds if holds), "updated"), "subscription.updated"


def _next(state: State) -> tuple[Any, ...]:
    return state.next_plan_id, state.next_quantity, state.next_at, state.next_awaits


def _name_of_status(before: str, after: str) -> tuple[str, str]:
    if after == CANCELED:
        return "canceled", "subscription.canceled"
    if after == PAUSED:
        return "paused", "subscription.paused"
    if before == PAUSED:
        return "resumed", "subscription.resumed"
    names = {
        (TRIALING, ACTIVE): "trial_converted",
        (PAST_DUE, ACTIVE): "recovered",
    }
    plain = {PAST_DUE: "payment_failed", TRIALING: "trial_started", ACTIVE: "activated"}
    return names.get((before, after), plain.get(after, "updated")), "subscription.updated"
