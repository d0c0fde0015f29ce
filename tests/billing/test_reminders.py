"""What customers are told in time: that a trial ends, that a payment is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail

from billing.models import Subscription
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.queue import run_jobs, run_periodic
from tests.stripe.conftest import Shop, connected, sandbox_process, shop, stripe
from tests.stripe.test_change import advance, pays

__all__ = ["connected", "sandbox_process", "shop", "stripe"]


def move(shop: Shop, **columns: Any) -> None:
    """Put a subscription's dates elsewhere, as if time had passed."""
    shop.muddled = True
    with change(shop.company.scope):
        Subscription.objects.within(shop.company.scope).update(**columns)


def remind() -> list[str]:
    """Let the clock's minute come and the mails go; return their subjects."""
    run_periodic("billing.send_reminders")
    run_jobs()
    subjects = [str(sent.subject) for sent in mail.outbox]
    mail.outbox.clear()
    return subjects


def settings(shop: Shop, **given: Any) -> None:
    assert shop.api.patch(f"/apps/{shop.company.app}", {"settings": given}).status_code == 200


def owing(shop: Shop) -> dict[str, Any]:
    """Subscribe and fail to pay the renewal."""
    subscription = shop.subscribe()
    pays(shop, "decline")
    advance(shop, "32d")
    shop.deliver()
    assert shop.current().json()["status"] == "past_due"
    mail.outbox.clear()
    return subscription


def trial(shop: Shop) -> None:
    customer = shop.api.post("/customers", {"email": "eve@example.com"}).json()["id"]
    plan = shop.add_plan("Tried", 900, trialDays=10, trialRequiresCard=False)
    made = shop.api.post("/subscriptions", {"customerId": customer, "planId": plan})
    assert made.status_code == 201, made.json()


@pytest.fixture
def due_now() -> dict[str, Any]:
    return {"remind_at": wall_clock() - timedelta(minutes=1)}


def test_a_trial_that_ends_is_told_once_to_the_app_and_the_customer(shop: Shop, due_now: dict[str, Any]):
    trial(shop)
    assert remind() == []
    move(shop, trial_end=wall_clock() + timedelta(days=2), **due_now)

    first, second = remind(), remind()

    assert len(first) == 1
    assert "trial of Tried ends" in first[0]
    assert second == []
    assert shop.events().count("subscription.trial_ending") == 1


def test_the_app_says_when_and_whether_a_trials_end_is_mailed(shop: Shop, due_now: dict[str, Any]):
    settings(shop, trialEndingDays=1, trialEndingMail=False)
    trial(shop)
    move(shop, trial_end=wall_clock() + timedelta(days=2), **due_now)

    assert remind() == []
    assert "subscription.trial_ending" not in shop.events()
    move(shop, trial_end=wall_clock() + timedelta(hours=2), **due_now)
    assert remind() == []
    assert "subscription.trial_ending" in shop.events()


def test_a_failed_payment_is_dunned_on_the_days_that_the_app_says_and_no_more(shop: Shop, due_now: dict[str, Any]):
    settings(shop, dunningDays=[0, 2])
    owing(shop)

    assert len(remind()) == 1
    assert remind() == []
    move(shop, past_due_since=wall_clock() - timedelta(days=3), **due_now)
    assert len(remind()) == 1
    move(shop, past_due_since=wall_clock() - timedelta(days=30), **due_now)
    assert remind() == []


def test_a_reminder_on_its_way_is_not_sent_to_who_has_paid(shop: Shop):
    owing(shop)
    run_periodic("billing.send_reminders")
    move(shop, status="active")

    assert remind() == []


def test_dunning_stops_on_payment(shop: Shop):
    owing(shop)
    assert len(remind()) == 1
    pays(shop, "succeed")
    invoice = shop.sandbox.get("/v1/invoices?status=open", shop.account_id)["data"][0]["id"]
    shop.sandbox.call("POST", f"/v1/invoices/{invoice}/pay", {}, account=shop.account_id)
    shop.deliver()

    assert shop.current().json()["status"] == "active"
    with reading(shop.company.scope):
        assert Subscription.objects.within(shop.company.scope).get().remind_at is None
    assert remind() == []


def test_dunning_leads_to_the_page_where_the_invoice_is_paid(shop: Shop):
    owing(shop)

    run_periodic("billing.send_reminders")
    run_jobs()

    sent = mail.outbox[0]
    assert sent.to == ["ada@example.com"]
    assert f"{shop.sandbox.url}/i/" in str(sent.body)
    assert "You keep your access until" in str(sent.body)


@pytest.mark.parametrize(("setting", "revoked"), [(True, True), (False, False)])
def test_a_full_refund_ends_access_where_the_app_says_so_and_the_next_payment_returns_it(
    shop: Shop, setting: bool, revoked: bool
):
    settings(shop, revokeOnRefund=setting)
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}/access"
    charge = shop.sandbox.get("/v1/charges", shop.account_id)["data"][0]["id"]

    shop.sandbox.call("POST", "/v1/refunds", {"charge": charge, "amount": 900}, account=shop.account_id)
    shop.deliver("charge.refunded")
    assert shop.api.get(path).json()["hasAccess"] is True
    shop.sandbox.call("POST", "/v1/refunds", {"charge": charge}, account=shop.account_id)
    shop.deliver("charge.refunded")

    told = shop.api.get(path).json()
    assert (told["hasAccess"], told["reason"] == "revoked") == (not revoked, revoked)
    advance(shop, "32d")
    shop.deliver()
    assert shop.api.get(path).json()["hasAccess"] is True
    if revoked:
        history = shop.api.get(f"/subscriptions/{subscription['id']}/history").json()["data"]
        names = [step["transition"] for step in history]
        assert {"access_revoked", "access_restored"} <= set(names)
        assert all(step["cause"].startswith("stripe:evt_") for step in history)


def test_a_dispute_ends_access_where_the_app_says_so_until_it_is_won(shop: Shop):
    settings(shop, revokeOnDispute=True)
    subscription = shop.subscribe()
    charge = shop.sandbox.get("/v1/charges", shop.account_id)["data"][0]["id"]

    opened = shop.sandbox.call("POST", "/_sandbox/disputes", {"account": shop.account_id, "charge": charge})
    shop.deliver("charge.dispute.created")

    assert shop.api.get(f"/subscriptions/{subscription['id']}/access").json()["reason"] == "revoked"
    assert shop.api.get(f"/entitlements?customerId={shop.customer()}").json()["planId"] is None
    assert shop.api.get("/invoices").json()["data"][0]["disputed"] is True

    decided = {"account": shop.account_id, "dispute": opened["id"], "status": "won"}
    shop.sandbox.call("POST", "/_sandbox/disputes", decided)
    shop.deliver("charge.dispute.closed")

    assert shop.api.get(f"/subscriptions/{subscription['id']}/access").json()["hasAccess"] is True
    assert shop.api.get("/invoices").json()["data"][0]["disputed"] is False
    assert shop.events().count("payment.disputed") == 1
