"""What never arrived is found, and where the two sides differ is said and repaired."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import StripeConnection, StripeEvent, Subscription
from billing.stripe import reconcile
from billing.stripe.connect import disconnect
from billing.stripe.drift import find_drift, repair
from billing.stripe.errors import StripeNotConnected
from billing.stripe.reconcile import look_for_missed, repairs_since
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.dashboard.conftest import seated
from tests.queue import run_jobs, run_periodic
from tests.stripe.test_sync import connect_again


def connection(shop: Any) -> StripeConnection:
    with reading(shop.company.scope):
        return StripeConnection.objects.within(shop.company.scope).get()


def subscriptions(shop: Any) -> list[str]:
    with reading(shop.company.scope):
        return list(Subscription.objects.within(shop.company.scope).values_list("status", flat=True))


def test_events_that_were_dropped_are_found(shop: Any):
    shop.deliver()
    shop.sandbox.fault("drop")
    shop.sandbox.pay(shop.checkout()["url"])
    assert shop.deliver() == []

    run_periodic("billing.look_for_missed_events")
    run_jobs()

    assert subscriptions(shop) == ["active"]
    assert shop.api.get("/invoices").json()["data"][0]["status"] == "paid"
    assert shop.events().count("subscription.created") == 1


def test_a_third_of_the_events_dropped_ends_in_step(shop: Any):
    shop.sandbox.fault("drop", percent=30)
    subscription = shop.subscribe()
    shop.sandbox.call("POST", "/_sandbox/clock", {"account": shop.account_id, "advance": "40d"})
    shop.deliver()

    run_periodic("billing.look_for_missed_events")
    run_jobs()
    run_periodic("billing.look_for_missed_events")

    assert connection(shop).in_step_at is not None
    theirs = shop.sandbox.get("/v1/invoices", shop.account_id)["data"]
    ours = shop.api.get("/invoices").json()["data"]
    assert sorted((i["number"], i["status"]) for i in ours) == sorted((i["number"], i["status"]) for i in theirs)
    assert shop.current().json()["id"] == subscription["id"]


def test_the_cursor_moves_and_nothing_is_found_twice(shop: Any):
    shop.subscribe()
    run_periodic("billing.look_for_missed_events")
    run_jobs()

    found = look_for_missed(shop.company.scope, shop.account_id)

    assert (found.missed, found.stuck) == (0, 0)
    newest = shop.sandbox.get("/v1/events?limit=1", shop.account_id)["data"][0]["id"]
    assert connection(shop).events_cursor == newest


def test_what_happened_while_the_account_was_away_is_looked_for_from_where_we_stood(shop: Any, monkeypatch: Any):
    page = shop.checkout()["url"]
    run_periodic("billing.look_for_missed_events")
    disconnect(shop.company.scope)
    shop.sandbox.pay(page)
    monkeypatch.setattr(reconcile, "FIRST_LOOK", 1)  # as if a great many had come since
    connect_again(shop)

    run_periodic("billing.look_for_missed_events")
    run_jobs()

    assert [invoice["status"] for invoice in shop.api.get("/invoices").json()["data"]] == ["paid"]


def test_an_event_that_was_never_worked_off_is_queued_again(shop: Any):
    shop.sandbox.pay(shop.checkout()["url"])
    for delivery in shop.sandbox.deliveries(shop.account_id):
        delivery.post()
    with change(shop.company.scope):
        rows = StripeEvent.objects.within(shop.company.scope)
        rows.update(received_at=wall_clock() - timedelta(hours=1))

    found = look_for_missed(shop.company.scope, shop.account_id)
    run_jobs()

    assert found.stuck > 0
    assert subscriptions(shop) == ["active"]


def test_an_account_that_cannot_be_read_does_not_hold_up_the_others(shop: Any, settings: Any):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    run_periodic("billing.look_for_missed_events")

    assert connection(shop).in_step_at is None


def test_the_nightly_sweep_follows_what_no_event_told(shop: Any):
    shop.subscribe()
    stripe_id = shop.sandbox.get("/v1/subscriptions", shop.account_id)["data"][0]["id"]
    shop.sandbox.fault("drop")
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{stripe_id}", account=shop.account_id)

    run_periodic("billing.sweep_subscriptions")
    run_jobs()

    assert subscriptions(shop) == ["canceled"]


def test_a_repair_is_recorded_with_its_cause_and_counted(shop: Any):
    subscription = shop.subscribe()
    shop.sandbox.fault("drop")
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{subscription['stripeSubscriptionId']}", account=shop.account_id)

    run_periodic("billing.sweep_subscriptions")

    history = shop.api.get(f"/subscriptions/{subscription['id']}/history").json()["data"]
    assert (history[0]["transition"], history[0]["cause"]) == ("canceled", "system:sweep")
    with reading(shop.company.scope):
        assert repairs_since(shop.company.scope, wall_clock() - timedelta(hours=1)) == 1
    assert connection(shop).in_step_at is not None


def test_a_subscription_of_which_nothing_was_ever_heard_is_found(shop: Any):
    shop.sandbox.fault("drop")
    shop.sandbox.pay(shop.checkout()["url"])

    run_periodic("billing.sweep_subscriptions")

    assert subscriptions(shop) == ["active"]


def test_the_command_prints_the_differences_and_repairs_unless_told_not_to(shop: Any, capsys: Any):
    subscription = shop.subscribe()
    path = f"/v1/subscriptions/{subscription['stripeSubscriptionId']}"
    shop.sandbox.fault("drop")
    shop.sandbox.call("POST", path, {"cancel_at_period_end": "true"}, account=shop.account_id)

    call_command("reconcile", "--dry-run", "--app", shop.company.app)
    dry = capsys.readouterr().out
    assert "cancel_at_period_end is False here and True at Stripe" in dry
    assert shop.current().json()["cancelAtPeriodEnd"] is False

    call_command("reconcile", "--app", shop.company.app)
    run_jobs()
    assert shop.current().json()["cancelAtPeriodEnd"] is True
    capsys.readouterr()
    call_command("reconcile", "--dry-run")
    assert "0 subscriptions differ" in capsys.readouterr().out


def test_the_command_says_the_catalogue_to_stripe_again(shop: Any, capsys: Any):
    run_jobs()
    price = shop.api.get(f"/plans/{shop.plan}").json()["stripePriceId"]
    shop.sandbox.call("POST", f"/v1/prices/{price}", {"active": "false"}, account=shop.account_id)
    shop.deliver()

    call_command("reconcile", "--dry-run")
    assert "active is True here and False at Stripe" in capsys.readouterr().out
    call_command("reconcile")

    assert shop.sandbox.get(f"/v1/prices/{price}", shop.account_id)["active"] is True
    shop.deliver()
    capsys.readouterr()
    call_command("reconcile", "--dry-run")
    assert "0 facts of the catalogue differ" in capsys.readouterr().out


def test_the_page_lists_what_was_put_right(shop: Any):
    shop.sandbox.fault("drop")
    shop.sandbox.pay(shop.checkout()["url"])
    run_periodic("billing.look_for_missed_events")
    run_jobs()
    run_periodic("billing.look_for_missed_events")

    html = seated(shop.company).get("stripe").content.decode()

    assert "What was put right" in html
    assert "checkout.session.completed had not been worked off" in html.lower()
    assert re.search(r"In step with Stripe as of \d\d:\d\d UTC, [1-9]\d* repairs today", html)


def test_the_command_says_which_account_cannot_be_read(shop: Any, settings: Any):
    with pytest.raises(CommandError, match="No connected app"):
        call_command("reconcile", "--app", "app_nobody")
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="1 accounts"):
        call_command("reconcile", "--dry-run")


def test_two_sides_in_step_show_no_drift(shop: Any):
    shop.subscribe()
    shop.deliver()

    with reading(shop.company.scope):
        assert find_drift(shop.company.scope) == []


def test_what_was_changed_at_stripe_is_shown_in_words_and_repaired(shop: Any):
    shop.subscribe()
    product = shop.sandbox.get("/v1/products", shop.account_id)["data"][0]["id"]
    shop.sandbox.call("POST", f"/v1/products/{product}", {"name": "Renamed"}, account=shop.account_id)
    shop.deliver()
    with change(shop.company.scope):
        found = find_drift(shop.company.scope)
        assert [each.sentence for each in found] == [
            f"Product {found[0].subject}: name is Pro here and Renamed at Stripe."
        ]

        assert repair(shop.company.scope) == 1
    run_jobs()
    shop.deliver()

    with reading(shop.company.scope):
        assert find_drift(shop.company.scope) == []
    assert shop.sandbox.get(f"/v1/products/{product}", shop.account_id)["name"] == "Pro"


def test_a_subscription_that_drifted_follows_stripe_again(shop: Any):
    shop.subscribe()
    shop.muddled = True
    with change(shop.company.scope):
        Subscription.objects.within(shop.company.scope).update(status="paused")
        assert [each.field for each in find_drift(shop.company.scope)] == ["status"]

        repair(shop.company.scope)
    run_jobs()

    assert subscriptions(shop) == ["active"]


def test_without_an_account_there_is_nothing_to_compare(shop: Any):
    disconnect(shop.company.scope)

    with reading(shop.company.scope), pytest.raises(StripeNotConnected):
        find_drift(shop.company.scope)
