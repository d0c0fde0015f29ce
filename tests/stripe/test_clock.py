"""POST /v1/test/clock: a test app's clock and its sandbox's move together."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core import mail as mailbox

from accounts.models import App
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.queue import run_jobs
from tests.refusals import assert_needs_credential, assert_needs_scope, assert_refuses_each

PATH = "/test/clock"


def types(response):
    assert response.status_code == 200, response.content
    return [event["type"] for event in response.json()["events"]]


def test_a_subscription_renews_and_the_events_that_happened_are_answered(shop):
    before = shop.subscribe()

    moved = shop.api.post(PATH, {"advance": "32d"})

    assert {"payment.succeeded", "subscription.updated", "invoice.created"} <= set(types(moved))
    after = shop.current().json()
    assert after["currentPeriodStart"] == before["currentPeriodEnd"]
    assert datetime.fromisoformat(moved.json()["now"]) > wall_clock() + timedelta(days=31)
    assert shop.api.get("/events?limit=1").json()["data"][0] == moved.json()["events"][-1]


def test_a_trial_without_a_card_ends_on_its_day(shop):
    plan = shop.add_plan("Trial", 1900, trialDays=14, trialRequiresCard=False, entitlements={})
    shop.api.post("/customers", {"email": "bob@example.com"})
    bob = shop.customer("bob@example.com")
    made = shop.api.post("/subscriptions", {"customerId": bob, "planId": plan})
    assert made.status_code == 201, made.content

    early = types(shop.api.post(PATH, {"advance": "13d"}))
    late = types(shop.api.post(PATH, {"advance": "36h"}))

    assert "subscription.trial_ending" in early
    assert "subscription.canceled" not in early
    assert "subscription.canceled" in late


def test_who_is_to_be_told_something_on_the_way_is_told(shop):
    trial = shop.add_plan("Trial", 1900, trialDays=14, trialRequiresCard=False)
    for email in ("ada@example.com", "bob@example.com"):
        shop.api.post("/customers", {"email": email})
    shop.api.post("/subscriptions", {"customerId": shop.customer("bob@example.com"), "planId": trial})
    shop.subscribe()
    buyer = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    refuses = {"account": shop.account_id, "customer": buyer, "payment": "decline"}
    shop.sandbox.call("POST", "/_sandbox/payment", refuses)

    told = types(shop.api.post(PATH, {"advance": "32d"}))
    run_jobs()
    first = [mail.to[0] for mail in mailbox.outbox]
    shop.api.post(PATH, {"advance": "2d"})
    run_jobs()

    assert [each for each in told if each in {"subscription.trial_ending", "subscription.canceled"}] == [
        "subscription.trial_ending", "subscription.canceled",
    ]  # fmt: skip
    assert first == ["bob@example.com", "ada@example.com"]
    assert [mail.to[0] for mail in mailbox.outbox] == ["bob@example.com", *["ada@example.com"] * 2]


def test_a_far_move_passes_each_attempt_and_each_reminder_on_its_own_day(shop):
    bought = datetime.fromisoformat(shop.subscribe()["currentPeriodEnd"])
    buyer = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    refuses = {"account": shop.account_id, "customer": buyer, "payment": "decline"}
    shop.sandbox.call("POST", "/_sandbox/payment", refuses)

    moved = shop.api.post(PATH, {"advance": "90d"})
    run_jobs()

    told = types(moved)
    days = {
        name: [round((datetime.fromisoformat(each["timestamp"]) - bought) / timedelta(days=1)) for each in named]
        for name in ("payment.failed", "subscription.canceled")
        if (named := [each for each in moved.json()["events"] if each["type"] == name])
    }
    assert days == {"payment.failed": [0, 3, 8, 15], "subscription.canceled": [15]}
    assert told.index("entitlements.updated") < told.index("subscription.canceled")
    assert [mail.to[0] for mail in mailbox.outbox] == ["ada@example.com"] * 3
    assert {mail.subject for mail in mailbox.outbox} == {"Your payment for Pro failed"}


def test_a_mail_that_cannot_be_sent_on_its_day_is_left_to_the_worker(shop, monkeypatch):
    plan = shop.add_plan("Trial", 1900, trialDays=14, trialRequiresCard=False)
    shop.api.post("/customers", {"email": "bob@example.com"})
    shop.api.post("/subscriptions", {"customerId": shop.customer("bob@example.com"), "planId": plan})

    with monkeypatch.context() as away:
        away.setattr("stackbe.mail.outgoing.send", away_from_home)
        moved = shop.api.post(PATH, {"advance": "12d"})
    unsent = len(mailbox.outbox)
    run_jobs()

    assert (moved.status_code, unsent, len(mailbox.outbox)) == (200, 0, 1)


def away_from_home(message):
    raise ConnectionRefusedError


def test_limits_reset_and_reservations_end_by_the_moved_clock(acme, acme_api):
    acme_api.post("/metrics", {"name": "calls", "resets": "day"})
    plan = {"name": "Free", "priceCents": 0, "currency": "usd", "isDefault": True}
    made = acme_api.post("/plans", {**plan, "usage": [{"metric": "calls", "included": 5, "mode": "hard"}]})
    assert made.status_code == 201, made.content
    customer = acme_api.post("/customers", {"email": "ada@example.com"}).json()["id"]
    event = {"customerId": customer, "metric": "calls", "quantity": 5}
    assert acme_api.post("/usage/track", event).status_code == 200
    assert acme_api.post("/usage/track", event).status_code == 409

    first, second = (acme_api.post(PATH, {"advance": "1d"}) for _ in range(2))

    assert types(first) == ["usage.threshold_reached"] * 2
    assert types(second) == []
    assert acme_api.post("/usage/track", event).status_code == 200


def test_it_moves_to_a_moment_and_stays_ahead(acme, acme_api):
    target = (wall_clock() + timedelta(days=3)).replace(microsecond=0)

    moved = acme_api.post(PATH, {"to": render(target)}).json()

    assert timedelta() <= datetime.fromisoformat(moved["now"]) - target < timedelta(minutes=2)
    assert acme_api.post(PATH, {"to": render(target)}).json()["fields"] == {"to": ["The clock moves forward only."]}


def test_the_same_key_moves_once(acme_api):
    first, again = (acme_api.post(PATH, {"advance": "1d"}, Idempotency_Key="k") for _ in range(2))

    assert again.json() == first.json()


def test_a_live_app_keeps_real_time(acme, acme_api):
    with change(acme.scope):
        App.objects.within(acme.scope).update(environment="live")

    refused = acme_api.post(PATH, {"advance": "1d"})

    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")


def test_an_app_on_the_real_stripe_keeps_its_time(shop, settings):
    settings.STRIPE_SANDBOX = False

    assert shop.api.post(PATH, {"advance": "1d"}).status_code == 409


def test_a_sandbox_that_is_down_moves_nothing(shop, settings):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    refused = shop.api.post(PATH, {"advance": "1d"})

    assert (refused.status_code, refused.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    with change(shop.company.scope):
        assert App.objects.within(shop.company.scope).get().clock_offset_ms == 0


@pytest.mark.parametrize("body", [{}, {"advance": "1d", "to": "2030-01-01T00:00:00Z"}])
def test_exactly_one_of_both_is_given(acme_api, body):
    assert acme_api.post(PATH, body).status_code == 400


def test_bad_input_is_refused_by_field(acme_api):
    odd = [*(({"advance": a}, "advance") for a in ("", "5", "d", "-1d", "1y", "0d", 5, "1.5d", "999999w", "٣d"))]
    odd += [({"to": t}, "to") for t in ("soon", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", 5)]
    assert_refuses_each(acme_api, "POST", PATH, [*odd, ({"advance": "1d", "by": 1}, "by")])


def test_who_may(acme):
    assert_needs_credential("POST", PATH, {"advance": "1d"})
    assert_needs_scope(acme.api("customers:write"), "apps:write", "POST", PATH, {"advance": "1d"})
    assert Api(acme.publishable).post(PATH, {"advance": "1d"}).status_code == 403
