"""Our rows follow Stripe's objects, in whatever order, number and shape their events come."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.services.apps import create_app
from apikeys.services.keys import issue_api_key
from billing.models import InvoiceReference, StripeConnection, StripeEvent, StripeLease, Subscription
from billing.stripe import gateway, sync
from billing.stripe.connect import complete_connection, connect_sandbox_account, disconnect
from billing.stripe.errors import StripeUnavailable
from billing.stripe.lease import LASTS, UNDISTURBED, LeaseLost, take_lease
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, reading
from tests.queue import run_jobs
from tests.stripe.test_checkout import race


def states(shop: Any) -> set[str]:
    with reading(shop.company.scope):
        return set(StripeEvent.objects.within(shop.company.scope).values_list("state", flat=True))


def lifecycle(shop: Any) -> list[Any]:
    """Buy, change one's mind, change it back, end: return the five events of the subscription and the page."""
    shop.sandbox.pay(shop.checkout()["url"])
    subscription = shop.sandbox.get("/v1/subscriptions", shop.account_id)["data"][0]["id"]
    path = f"/v1/subscriptions/{subscription}"
    for cancel in ("true", "false"):
        shop.sandbox.call("POST", path, {"cancel_at_period_end": cancel}, account=shop.account_id)
    shop.sandbox.call("DELETE", path, account=shop.account_id)
    return shop.sandbox.deliveries(
        shop.account_id, "checkout.session.completed", "customer.subscription.created",
        "customer.subscription.updated", "customer.subscription.deleted",
    )  # fmt: skip


ORDERS = list(itertools.permutations(range(5)))


@pytest.mark.parametrize("order", random.Random(9).sample(ORDERS, 6), ids=str)  # the same six every time
def test_any_order_of_a_life_ends_in_one_state(shop: Any, order: tuple[int, ...]):
    told = lifecycle(shop)

    for place in order:
        assert told[place].post().status_code == 200
        run_jobs()

    with reading(shop.company.scope):
        rows = list(Subscription.objects.within(shop.company.scope))
    assert [row.status for row in rows] == ["canceled"]
    assert shop.events().count("subscription.created") == 1
    assert states(shop) == {"done"}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_all_120_orders_end_in_one_state(shop: Any, order: tuple[int, ...]):
    test_any_order_of_a_life_ends_in_one_state(shop, order)


def test_lost_events_are_made_up_for_by_any_later_one(shop: Any):
    told = lifecycle(shop)

    told[-1].post()
    run_jobs()

    with reading(shop.company.scope):
        assert Subscription.objects.within(shop.company.scope).get().status == "canceled"


def test_a_paid_invoice_is_a_reference_and_one_payment_event(shop: Any):
    shop.subscribe()
    shop.deliver()

    invoice = shop.api.get(f"/invoices?customerId={shop.customer()}").json()["data"][0]

    assert (invoice["status"], invoice["amountPaidCents"], invoice["currency"]) == ("paid", 2900, "usd")
    assert invoice["hostedInvoiceUrl"]
    assert shop.events().count("payment.succeeded") == 1


def test_a_refund_and_a_dispute_reach_the_invoice(shop: Any):
    shop.subscribe()
    charge = shop.sandbox.get("/v1/charges", shop.account_id)["data"][0]["id"]

    shop.sandbox.call("POST", "/v1/refunds", {"charge": charge, "amount": 900}, account=shop.account_id)
    shop.sandbox.call("POST", "/_sandbox/disputes", {"account": shop.account_id, "charge": charge})
    shop.deliver("charge.refunded", "charge.dispute.created")

    invoice = shop.api.get("/invoices").json()["data"][0]
    assert (invoice["amountRefundedCents"], invoice["disputed"]) == (900, True)
    assert {"payment.refunded", "payment.disputed"} <= set(shop.events())


def test_a_declined_renewal_is_past_due_inside_its_grace(shop: Any):
    shop.subscribe()
    customer = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    control = {"account": shop.account_id, "customer": customer, "payment": "decline"}
    shop.sandbox.call("POST", "/_sandbox/payment", control)

    shop.sandbox.call("POST", "/_sandbox/clock", {"account": shop.account_id, "advance": "32d"})
    shop.deliver()

    answer = shop.current().json()
    assert answer["status"] == "past_due"
    assert answer["gracePeriodEndsAt"]
    assert "payment.failed" in shop.events()


def test_an_object_without_our_mark_is_left_alone(shop: Any):
    foreign = shop.sandbox.call("POST", "/v1/customers", {"email": "x@example.com"}, account=shop.account_id)["id"]
    shop.checkout()
    price = shop.sandbox.get("/v1/prices", shop.account_id)["data"][0]["id"]
    method = shop.sandbox.call("POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": foreign},
                               account=shop.account_id)["id"]  # fmt: skip
    shop.sandbox.call(
        "POST", "/v1/subscriptions",
        {"customer": foreign, "items[0][price]": price, "default_payment_method": method}, account=shop.account_id,
    )  # fmt: skip

    shop.deliver("customer.subscription.created", "invoice.paid")

    with reading(shop.company.scope):
        assert not Subscription.objects.within(shop.company.scope).exists()
        assert not InvoiceReference.objects.within(shop.company.scope).exists()
    assert states(shop) == {"ignored"}


def test_an_account_that_loses_its_charges_shows_it(shop: Any):
    shop.sandbox.call("POST", "/_sandbox/account", {"account": shop.account_id, "chargesEnabled": False})

    shop.deliver("account.updated")

    with reading(shop.company.scope):
        assert not StripeConnection.objects.within(shop.company.scope).get().charges_enabled


def test_a_disconnection_at_stripe_is_followed_though_nothing_can_be_fetched(shop: Any):
    shop.sandbox.call("POST", "/_sandbox/account", {"account": shop.account_id, "disconnect": True})

    told = shop.deliver("account.application.deauthorized")

    assert len(told) == 1
    with reading(shop.company.scope):
        row = StripeConnection.objects.within(shop.company.scope).get()
    assert (row.status, row.disconnected_by) == ("disconnected", "stripe")
    answer = shop.api.post("/checkout/session", shop.order())
    assert answer.json()["code"] == "STRIPE_NOT_CONNECTED"


def connect_again(shop: Any) -> None:
    """Walk through Stripe's page as the account's owner, and finish as the callback does."""
    code = shop.sandbox.authorize(shop.account_id)
    given = gateway.exchange_code(code)
    complete_connection(shop.company.scope, given["account"], livemode=given["livemode"])


@pytest.mark.parametrize("noticed", [True, False])
def test_a_disconnection_told_late_does_not_undo_the_connection_that_followed_it(shop: Any, noticed: bool):
    shop.sandbox.call("POST", "/_sandbox/account", {"account": shop.account_id, "disconnect": True})
    late = shop.sandbox.deliveries(shop.account_id, "account.application.deauthorized")
    if noticed:
        disconnect(shop.company.scope)
    connect_again(shop)

    for delivery in late:
        assert delivery.post().status_code == 200
    run_jobs()

    assert shop.api.post("/checkout/session", shop.order()).status_code == 201


def test_what_happened_while_an_account_was_away_is_found_when_it_connects_again(shop: Any):
    subscription = shop.subscribe()
    disconnect(shop.company.scope)
    connect_again(shop)
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{subscription['stripeSubscriptionId']}", account=shop.account_id)

    run_jobs()

    assert shop.api.get(f"/subscriptions/{subscription['id']}").json()["status"] == "canceled"


def test_stripe_down_leaves_the_event_waiting_and_says_why(shop: Any, settings: Any):
    shop.sandbox.pay(shop.checkout()["url"])
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"
    for delivery in shop.sandbox.deliveries(shop.account_id, "customer.subscription.created"):
        delivery.post()

    with pytest.raises(StripeUnavailable):
        run_jobs()

    with reading(shop.company.scope):
        event = StripeEvent.objects.within(shop.company.scope).get()
    assert (event.state, event.error_class, event.error_code) == ("received", "StripeUnavailable", "STRIPE_UNAVAILABLE")
    settings.STRIPE_API_BASE = there
    run_jobs()
    assert states(shop) == {"done"}


def test_who_finds_the_lease_taken_leaves_word_and_the_holder_looks_again(shop: Any, monkeypatch: Any):
    shop.sandbox.pay(shop.checkout()["url"])
    scope, account = shop.company.scope, shop.account_id
    subscription = shop.sandbox.get("/v1/subscriptions", account)["data"][0]["id"]
    fetched = []
    fetch = sync._fetch

    def slowly(*arguments: Any) -> Any:
        fetched.append(arguments[2])
        if len(fetched) == 1:
            assert sync.sync_object(scope, account, "subscription", subscription, cause="stripe:evt_late") is False
        return fetch(*arguments)

    monkeypatch.setattr(sync, "_fetch", slowly)

    assert sync.sync_object(scope, account, "subscription", subscription, cause="stripe:evt_early") is True

    assert fetched == [subscription, subscription]
    with reading(scope):
        assert not StripeLease.objects.within(scope).exists()


def test_a_worker_that_died_with_the_lease_holds_nobody_up_for_long(shop: Any):
    shop.sandbox.pay(shop.checkout()["url"])
    (created,) = shop.sandbox.deliveries(shop.account_id, "customer.subscription.created")
    stripe_id = created.event["data"]["object"]["id"]
    assert take_lease(shop.company.scope, shop.account_id, stripe_id) is not None
    created.post()
    run_jobs()
    assert states(shop) == {"received"}

    with change(shop.company.scope):
        StripeLease.objects.within(shop.company.scope).update(until=wall_clock() - timedelta(seconds=1))
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set scheduled_at = null where task_name = 'billing.look_again'")
    run_jobs()

    assert states(shop) == {"done"}
    assert shop.current().json()["status"] == "active"


def test_what_was_fetched_under_a_lost_lease_is_not_recorded(shop: Any):
    lease = take_lease(shop.company.scope, shop.account_id, "sub_1")
    assert lease is not None
    with change(shop.company.scope):
        StripeLease.objects.within(shop.company.scope).update(token=shop.company.app_id)

    with change(shop.company.scope), pytest.raises(LeaseLost):
        lease.check()


def test_a_look_that_lost_its_lease_on_the_way_records_nothing(shop: Any, monkeypatch: Any):
    shop.sandbox.pay(shop.checkout()["url"])
    scope, account = shop.company.scope, shop.account_id
    stripe_id = shop.sandbox.get("/v1/subscriptions", account)["data"][0]["id"]
    fetch = sync._fetch

    def too_slowly(*asked: Any) -> Any:
        body = fetch(*asked)
        with change(scope):
            StripeLease.objects.within(scope).update(token=shop.company.app_id)
        return body

    monkeypatch.setattr(sync, "_fetch", too_slowly)

    with pytest.raises(LeaseLost):
        sync.sync_object(scope, account, "subscription", stripe_id, cause="stripe:evt_slow")
    with reading(scope):
        assert not Subscription.objects.within(scope).exists()


def test_an_event_that_comes_while_its_object_is_fetched_waits_for_the_next_look(shop: Any, monkeypatch: Any):
    told = [each for each in lifecycle(shop) if each.event["type"].startswith("customer.subscription.")]
    created, changed = told[:2]
    created.post()
    fetch, late = sync._fetch, [changed]

    def and_hear(*asked: Any) -> Any:
        body = fetch(*asked)
        while late:
            assert late.pop().post().status_code == 200
        return body

    monkeypatch.setattr(sync, "_fetch", and_hear)
    stripe_id = created.event["data"]["object"]["id"]
    sync.sync_object(shop.company.scope, shop.account_id, "subscription", stripe_id, cause="stripe:evt_early")

    assert states(shop) == {"done", "received"}
    run_jobs()
    assert states(shop) == {"done"}


def test_who_waits_leaves_the_holder_to_its_work_and_takes_over_from_one_that_says_nothing(shop: Any):
    scope = shop.company.scope
    held = take_lease(scope, shop.account_id, "sub_1")
    assert held is not None

    assert take_lease(scope, shop.account_id, "sub_1", take_over=True) is None
    with change(scope):
        assert held.finish() is False  # Nobody left word, so it need not look again, and again.
    silent = take_lease(scope, shop.account_id, "sub_2")
    assert silent is not None
    with change(scope):
        silent.row().update(until=wall_clock() + LASTS - UNDISTURBED)

    assert take_lease(scope, shop.account_id, "sub_2", take_over=True) is not None
    with change(scope), pytest.raises(LeaseLost):
        silent.check()


def test_who_loses_the_lease_on_the_way_waits_and_goes_on(shop: Any, monkeypatch: Any):
    subscription = shop.subscribe()
    fetch, lost = sync._fetch, []

    def and_lose(account: Any, kind: str, object_id: str) -> Any:
        if not lost:
            with change(shop.company.scope):
                lost.append(StripeLease.objects.within(shop.company.scope).filter(object_id=object_id).delete())
        return fetch(account, kind, object_id)

    monkeypatch.setattr(sync, "_fetch", and_lose)
    changed = shop.api.patch(f"/subscriptions/{subscription['id']}", {"quantity": 3})

    assert lost
    assert (changed.status_code, changed.json()["quantity"]) == (200, 3)


def test_many_syncs_at_once_are_one_subscription_and_one_event(committed_shop: Any):
    shop = committed_shop
    shop.sandbox.pay(shop.checkout()["url"])
    subscription = shop.sandbox.get("/v1/subscriptions", shop.account_id)["data"][0]["id"]

    race(8, lambda n: sync.sync_object(
        shop.company.scope, shop.account_id, "subscription", subscription, cause=f"stripe:evt_{n}"
    ))  # fmt: skip

    assert shop.events().count("subscription.created") == 1
    with reading(shop.company.scope):
        assert Subscription.objects.within(shop.company.scope).get().status == "active"
        assert not StripeLease.objects.within(shop.company.scope).exists()


def test_two_tenants_with_the_same_object_ids_keep_apart(shop: Any, globex: Any, stripe: Any):
    other = type(shop)(globex, stripe, connect_sandbox_account(globex.scope).account_id)
    for each in (shop, other):
        each.sandbox.call("POST", "/v1/coupons", {"id": "SAME", "percent_off": 10, "duration": "once"},
                          account=each.account_id)  # fmt: skip
        each.sandbox.pay(each.checkout(couponCode="SAME")["url"])
        each.deliver()

    assert shop.current().json()["status"] == other.current().json()["status"] == "active"
    assert shop.current().json()["id"] != other.current().json()["id"]


def test_two_apps_on_one_account_each_follow_their_own(shop: Any, acme: Any):
    with change(system_scope(acme.tenant_id, actor_name="test")) as unit:
        app = create_app(unit.scope, name="Second")
        _, key = issue_api_key(unit.scope, name="second", environment="test", app_id=app.pk)
    scope = replace(acme.scope, app_id=app.pk)
    complete_connection(scope, shop.account_id, livemode=False)
    second = type(shop)(replace(acme, scope=scope, app_id=app.pk, key=key), shop.sandbox, shop.account_id)

    first = shop.subscribe("ada@example.com")
    other = second.subscribe("ada@example.com")

    for each, own in ((shop, first), (second, other)):
        with reading(each.company.scope):
            rows = Subscription.objects.within(each.company.scope)
            assert [row.public_id for row in rows] == [own["id"]]
        assert states(each) == {"done", "ignored"}


def test_events_that_wait_together_are_worked_off_with_one_look(shop: Any, monkeypatch: pytest.MonkeyPatch):
    told = [each for each in lifecycle(shop) if each.event["type"].startswith("customer.subscription.")]
    for each in told:
        assert each.post().status_code == 200
    fetched = []
    fetch = sync._fetch
    monkeypatch.setattr(sync, "_fetch", lambda *asked: fetched.append(asked[1]) or fetch(*asked))

    run_jobs()

    assert fetched == ["subscription"]
    assert states(shop) == {"done"}
    assert told[-1].post().status_code == 200  # a copy of what was worked off brings nothing
    run_jobs()
    assert fetched == ["subscription"]
