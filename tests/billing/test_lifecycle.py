"""The life of a subscription, from generated histories: no database, no clock, no network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from billing import lifecycle
from billing.errors import IllegalTransition
from billing.lifecycle import access_window, follow, plan_cancel, plan_reactivation, status_at
from billing.states import (
    ACTIVE,
    CANCELED,
    INCOMPLETE,
    LEGAL,
    PAST_DUE,
    PAUSED,
    STATUS_OF,
    STATUSES,
    TRIALING,
    Facts,
    State,
)

DAY = timedelta(days=1)


def given(*strategies):
    """Draw fewer examples than usual: the histories are long, and each is many."""
    return lambda test: settings(max_examples=50)(given_any(*strategies)(test))


T0 = datetime(2026, 1, 1, tzinfo=UTC)
PLAN, VERSION, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
GRACE = 7 * DAY
RUNNING = ("trialing", "active", "past_due", "unpaid", "paused")


def moments(first: int = 0, last: int = 90) -> st.SearchStrategy[datetime]:
    return st.integers(first * 24, last * 24).map(lambda hours: T0 + timedelta(hours=hours))


@st.composite
def some_facts(draw, statuses=tuple(STATUS_OF)):
    status = draw(st.sampled_from(statuses))
    start = draw(moments())
    return Facts(
        status=status,
        plan_id=draw(st.sampled_from([PLAN, OTHER])),
        plan_version_id=VERSION,
        as_of=draw(moments()),
        quantity=draw(st.integers(1, 5)),
        current_period_start=start,
        current_period_end=start + 30 * DAY,
        cancel_at_period_end=draw(st.booleans()),
        cancel_at=draw(st.none() | moments()),
        trial_start=start if status == "trialing" else None,
        trial_end=start + 14 * DAY if status == "trialing" else draw(st.none() | moments()),
        trial_has_card=draw(st.booleans()),
        collection_paused=draw(st.booleans()),
        resumes_at=draw(st.none() | moments()),
    )


@st.composite
def histories(draw):
    """What Stripe showed over time: `incomplete` only at first, an end only at last."""
    middle = draw(st.lists(some_facts(statuses=RUNNING), min_size=1, max_size=6))
    first = draw(st.lists(some_facts(statuses=("incomplete",)), max_size=2))
    last = draw(st.lists(some_facts(statuses=("canceled",)), max_size=1))
    told = first + middle + last
    return [replace(facts, as_of=T0 + place * DAY) for place, facts in enumerate(told)]


def play(told, moment=T0):
    state, steps = None, []
    for facts in told:
        step = follow(state, facts, moment, GRACE)
        if step is not None:
            state = step.after
            steps.append(step)
    return state, steps


def from_stripe(state: State):
    """Return the part of a state that Stripe alone decides."""
    return (
        state.status, state.plan_id, state.quantity, state.current_period_start, state.current_period_end,
        state.cancel_at_period_end, state.cancel_at, state.trial_end, state.resumes_at, state.facts_at,
    )  # fmt: skip


@given(histories(), st.data())
def test_the_newest_facts_stand_in_whatever_order_and_however_often_they_come(told, data):
    in_order, _ = play(told)

    shuffled = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=4))))
    # `incomplete` first seen after a later fact is stale, so any order is legal.
    state, _ = play(shuffled)

    assert from_stripe(state) == from_stripe(in_order)


@given(histories())
def test_the_same_facts_twice_are_one_step(told):
    state, _ = play(told)

    again = follow(state, told[-1], T0, GRACE)

    assert again is not None
    assert (again.name, again.event) == ("unchanged", "")
    assert again.after == state


@given(histories())
def test_older_facts_change_nothing(told):
    state, _ = play(told)
    stale = replace(told[0], as_of=state.facts_at - timedelta(seconds=1))

    assert follow(state, stale, T0, GRACE) is None


@given(histories())
def test_every_step_is_legal_named_and_announced_once(told):
    _, steps = play(told)

    assert steps[0].event == "subscription.created"
    assert [step.event for step in steps].count("subscription.created") == 1
    assert [step.event for step in steps].count("subscription.canceled") <= 1
    for step in steps[1:]:
        assert step.after.status in LEGAL[step.before.status]
        assert bool(step.changed) == bool(step.event)
        if step.before.status != step.after.status:
            assert step.event != ""


@given(histories(), some_facts())
def test_nothing_leaves_canceled(told, facts):
    state, _ = play([*told[:-1], replace(told[-1], status="canceled")])
    later = replace(facts, as_of=state.facts_at + DAY)

    if STATUS_OF[facts.status] == CANCELED:
        assert follow(state, later, T0, GRACE).after.status == CANCELED
    else:
        with pytest.raises(IllegalTransition):
            follow(state, later, T0, GRACE)


@given(some_facts(statuses=RUNNING), some_facts(statuses=("incomplete",)))
def test_nothing_returns_to_incomplete(running, incomplete):
    state, _ = play([running])

    with pytest.raises(IllegalTransition):
        follow(state, replace(incomplete, as_of=running.as_of + DAY), T0, GRACE)


def test_an_end_that_stripe_counts_ahead_of_our_clock_is_one_end_however_often_it_is_told():
    facts = active(status="canceled", ended_at=T0 + timedelta(seconds=1))
    heard = follow(None, facts, T0, GRACE).after

    again = follow(heard, replace(facts, as_of=facts.as_of + DAY), T0 + DAY, GRACE)

    assert (heard.ended_at, again.name) == (T0, "unchanged")


@given(histories(), moments())
def test_no_access_after_a_set_end_nor_once_ended(told, moment):
    state, _ = play(told, moment)
    starts, until = access_window(state, T0)
    grants = (starts is None or starts <= moment) and (until is None or moment < until)

    if status_at(state, moment) == CANCELED or state.status == INCOMPLETE:
        assert not grants or moment < T0
    if state.status == PAST_DUE and grants:
        assert moment < state.grace_period_ends_at
    if state.ends_at is not None and state.status not in {CANCELED, INCOMPLETE}:
        assert until is not None
        if state.status != PAUSED or state.resumes_at is not None:
            assert until <= state.ends_at


@given(histories(), moments())
def test_cancelling_now_ends_access_now_and_twice_is_once(told, moment):
    state, _ = play(told, moment)

    step = plan_cancel(state, moment, immediately=True)

    if state.status == CANCELED:
        assert step is None
        return
    assert step.event == "subscription.canceled"
    assert access_window(step.after, T0)[1] <= moment
    assert plan_cancel(step.after, moment, immediately=True) is None


@given(histories(), moments())
def test_cancelling_at_period_end_keeps_what_was_paid_and_can_be_taken_back(told, moment):
    state, _ = play(told, moment)
    state = replace(state, cancel_at=None, cancel_at_period_end=False, canceled_at=None)

    step = plan_cancel(state, moment, immediately=False)

    if step is None or step.after.status == CANCELED:
        return
    assert step.after.status == state.status
    assert step.after.ends_at > moment
    assert step.name == "cancellation_set"
    assert plan_cancel(step.after, moment, immediately=False) is None
    back = plan_reactivation(step.after, moment)
    assert back.after == state


@given(some_facts(statuses=("past_due",)), moments())
def test_grace_is_counted_once(facts, moment):
    first = follow(None, facts, moment, GRACE).after
    again = follow(first, replace(facts, as_of=facts.as_of + DAY), moment + 3 * DAY, GRACE).after

    assert again.past_due_since == first.past_due_since
    assert again.grace_period_ends_at == first.grace_period_ends_at


def active(**changes):
    facts = Facts(
        status="active",
        plan_id=PLAN,
        plan_version_id=VERSION,
        as_of=T0,
        current_period_start=T0,
        current_period_end=T0 + 30 * DAY,
    )
    return replace(facts, **changes)


def test_grace_counts_from_the_renewal_that_failed_not_from_when_we_heard():
    state = follow(None, active(), T0, GRACE).after
    renewed = active(
        status="past_due", as_of=T0 + 35 * DAY, current_period_start=T0 + 30 * DAY, current_period_end=T0 + 60 * DAY
    )

    late = follow(state, renewed, T0 + 35 * DAY, GRACE)

    assert late.name == "payment_failed"
    assert late.after.past_due_since == T0 + 30 * DAY
    assert late.after.grace_period_ends_at == T0 + 37 * DAY


def test_unpaid_has_no_grace():
    state = follow(None, active(), T0, GRACE).after
    unpaid = follow(state, active(status="unpaid", as_of=T0 + DAY), T0 + DAY, GRACE).after

    assert unpaid.status == PAST_DUE
    assert access_window(unpaid, T0) == (None, T0 + DAY)


def test_a_recovered_payment_ends_the_arrears():
    state = follow(None, active(status="past_due"), T0, GRACE).after
    step = follow(state, active(as_of=T0 + DAY), T0 + DAY, GRACE)

    assert step.name == "recovered"
    assert (step.after.past_due_since, step.after.grace_period_ends_at) == (None, None)


@pytest.mark.parametrize(
    ("facts", "window"),
    [
        (active(), (None, T0 + 30 * DAY + lifecycle.SETTLING)),
        (active(cancel_at_period_end=True), (None, T0 + 30 * DAY)),
        (active(cancel_at=T0 + 5 * DAY), (None, T0 + 5 * DAY)),
        (active(status="trialing", trial_end=T0 + 14 * DAY), (None, T0 + 14 * DAY)),
        (
            active(status="trialing", trial_end=T0 + 14 * DAY, trial_has_card=True),
            (None, T0 + 14 * DAY + lifecycle.SETTLING),
        ),
        (active(status="past_due"), (None, T0 + GRACE)),
        (active(collection_paused=True), (None, T0)),
        (
            active(collection_paused=True, resumes_at=T0 + 40 * DAY),
            (T0 + 40 * DAY, T0 + 40 * DAY + lifecycle.SETTLING),
        ),
        (active(status="incomplete"), (None, T0)),
        (active(status="canceled", ended_at=T0 - DAY), (None, T0 - DAY)),
        (active(status="canceled", ended_at=T0 + timedelta(seconds=1)), (None, T0)),
        (active(status="incomplete_expired"), (None, T0)),
        (active(current_period_start=None, current_period_end=None), (None, None)),
    ],
)
def test_the_window_of_access(facts, window):
    assert access_window(follow(None, facts, T0, GRACE).after, T0) == window


@pytest.mark.parametrize(
    ("before", "after", "name", "event"),
    [
        ({"status": "trialing", "trial_end": T0}, {}, "trial_converted", "subscription.updated"),
        ({}, {"status": "past_due"}, "payment_failed", "subscription.updated"),
        ({}, {"collection_paused": True}, "paused", "subscription.paused"),
        ({"collection_paused": True}, {}, "resumed", "subscription.resumed"),
        ({}, {"status": "canceled"}, "canceled", "subscription.canceled"),
        ({}, {"cancel_at_period_end": True}, "cancellation_set", "subscription.updated"),
        ({"cancel_at_period_end": True}, {}, "cancellation_withdrawn", "subscription.updated"),
        ({}, {"plan_id": OTHER}, "plan_changed", "subscription.updated"),
        ({}, {"plan_version_id": OTHER}, "migrated", "subscription.updated"),
        ({}, {"quantity": 4}, "quantity_changed", "subscription.updated"),
        ({}, {"current_period_start": T0 + 30 * DAY}, "renewed", "subscription.updated"),
        ({"status": "incomplete"}, {}, "activated", "subscription.updated"),
    ],
)
def test_what_a_step_is_called(before, after, name, event):
    state = follow(None, active(**before), T0, GRACE).after
    step = follow(state, active(**after, as_of=T0 + DAY), T0 + DAY, GRACE)

    assert (step.name, step.event) == (name, event)


def test_a_trial_without_a_card_is_over_by_the_clock():
    trial = lifecycle.open_free(PLAN, VERSION, T0, trial_days=14).after

    assert status_at(trial, T0 + 13 * DAY) == TRIALING
    assert status_at(trial, T0 + 14 * DAY) == CANCELED


def test_a_pause_is_over_by_the_clock():
    state = follow(None, active(collection_paused=True, resumes_at=T0 + DAY), T0, GRACE).after

    assert status_at(state, T0) == PAUSED
    assert status_at(state, T0 + DAY) == ACTIVE


def test_what_is_over_is_not_reactivated():
    state = follow(None, active(cancel_at_period_end=True), T0, GRACE).after

    assert plan_reactivation(state, T0 + DAY).name == "cancellation_withdrawn"
    with pytest.raises(IllegalTransition):
        plan_reactivation(state, T0 + 30 * DAY)


def test_every_status_has_its_rules():
    assert set(LEGAL) == set(STATUSES) == set(STATUS_OF.values())


def test_a_cardless_trial_ends_with_the_trial_though_a_later_end_is_set():
    facts = Facts(
        status="trialing",
        plan_id=PLAN,
        plan_version_id=VERSION,
        as_of=T0,
        trial_start=T0,
        trial_end=T0 + 14 * DAY,
        cancel_at=T0 + 30 * DAY,
    )
    state, _ = play([facts])

    assert access_window(state, T0)[1] == facts.trial_end
    assert status_at(state, T0 + 14 * DAY) == CANCELED
