"""POST /v1/checkout/session, and the way back from the page."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, connections

import billing.views.catalogue
from billing.models import Checkout, StripeIntent
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, Company


def sessions(shop: Any, status: str = "") -> list[str]:
    """Return the checkout sessions on the account."""
    tail = f"&status={status}" if status else ""
    found = shop.sandbox.get(f"/v1/checkout/sessions?limit=100{tail}", shop.account_id)
    return [each["id"] for each in found["data"]]


def states(shop: Any) -> dict[str, str]:
    """Return how each page stands here."""
    with reading(shop.company.scope):
        return dict(Checkout.objects.within(shop.company.scope).values_list("stripe_session_id", "status"))


def test_a_checkout_is_a_page_on_the_tenants_own_account(shop: Any):
    made = shop.api.post("/checkout/session", shop.order(quantity=3))

    assert made.status_code == 201
    session = shop.sandbox.get(f"/v1/checkout/sessions/{made.json()['id']}?expand[]=line_items", shop.account_id)
    assert made.json() == {"id": session["id"], "url": session["url"]}
    assert session["mode"] == "subscription"
    assert session["line_items"]["data"][0]["quantity"] == 3
    assert session["line_items"]["data"][0]["price"]["unit_amount"] == 2900
    assert session["metadata"]["stackbe_app"] == shop.company.app


def test_who_returns_before_the_webhook_gets_a_true_answer(shop: Any):
    shop.sandbox.pay(shop.checkout()["url"])

    began = time.monotonic()
    answer = shop.current()

    assert answer.status_code == 200
    assert answer.json()["status"] == "active"
    assert time.monotonic() - began < 2
    shop.deliver()
    assert shop.events().count("subscription.created") == 1


def test_who_returns_while_stripe_is_down_gets_what_we_know(shop: Any, settings: Any):
    shop.checkout()
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    answer = shop.current()

    assert answer.status_code == 404
    assert answer.json()["code"] == "NO_ACTIVE_SUBSCRIPTION"


def test_who_returns_while_stripe_hangs_is_answered_within_two_seconds(shop: Any):
    shop.checkout()
    shop.sandbox.fault("api_hang", path="/v1/checkout/sessions", seconds=30)

    began = time.monotonic()
    answer = shop.current()

    assert answer.status_code == 404
    assert time.monotonic() - began < 2


def test_an_app_without_an_account_is_told_to_connect(acme_api: Api):
    body = {"name": "Pro", "priceCents": 100, "currency": "usd", "interval": "month"}
    plan = acme_api.post("/plans", body).json()["id"]

    answer = acme_api.post("/checkout/session", {
        "email": "ada@example.com", "planId": plan, "successUrl": "https://x.example", "cancelUrl": "https://x.example",
    })  # fmt: skip

    assert answer.status_code == 409
    assert answer.json()["code"] == "STRIPE_NOT_CONNECTED"


@pytest.mark.parametrize(
    "who",
    [
        {"customer": "ada@example.com"},
        {"customer": {"email": "ada@example.com", "name": "Ada"}},
        {"email": "ada@example.com"},
    ],
)
def test_a_customer_is_named_in_any_of_the_documented_forms(shop: Any, who: dict[str, Any]):
    body = {name: value for name, value in shop.order().items() if name != "email"} | who

    assert shop.api.post("/checkout/session", body).status_code == 201
    assert shop.customer()


def test_a_known_customer_is_named_by_id(shop: Any):
    customer = shop.api.post("/customers", {"email": "ada@example.com"}).json()["id"]
    body = {name: value for name, value in shop.order().items() if name != "email"}

    shop.api.patch(f"/customers/{customer}", {"externalId": "user-7"})
    for who in (
        {"customerId": customer},
        {"customer": customer},
        {"customer": {"id": customer}},
        {"customer": {"externalId": "user-7"}},
    ):
        assert shop.api.post("/checkout/session", body | who).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"planId": "plan_none"}, 404, "PLAN_NOT_FOUND"),
        ({"email": None, "customerId": "cust_none"}, 404, "CUSTOMER_NOT_FOUND"),
        ({"email": None}, 400, "VALIDATION_ERROR"),
        ({"customerId": "cust_none"}, 400, "VALIDATION_ERROR"),
        ({"successUrl": "http://shop.example/ok"}, 400, "VALIDATION_ERROR"),
        ({"successUrl": "javascript:alert(1)"}, 400, "VALIDATION_ERROR"),
        ({"successUrl": None}, 400, "MISSING_REQUIRED_FIELD"),
        ({"quantity": 0}, 400, "VALIDATION_ERROR"),
        ({"quantity": "2"}, 400, "VALIDATION_ERROR"),
        ({"couponCode": "NOSUCH"}, 400, "VALIDATION_ERROR"),
        ({"card": "4242"}, 400, "VALIDATION_ERROR"),
        ({"email": "ada"}, 400, "INVALID_EMAIL"),
        ({"organizationId": "org_none"}, 404, "NOT_FOUND"),
        ({"email": None, "customer": {}}, 400, "VALIDATION_ERROR"),
        ({"email": None, "customer": {"name": "Ada"}}, 400, "VALIDATION_ERROR"),
        ({"email": None, "customer": {"externalId": "nobody"}}, 404, "CUSTOMER_NOT_FOUND"),
        ({"email": None, "customerId": "eve@example.com"}, 404, "CUSTOMER_NOT_FOUND"),
    ],
)
def test_a_wrong_request_gets_the_documented_error(shop: Any, change: dict[str, Any], status: int, code: str):
    body = {name: value for name, value in (shop.order() | change).items() if value is not None}

    answer = shop.api.post("/checkout/session", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert sessions(shop) == []


def test_a_rivals_plan_and_customer_do_not_exist(shop: Any, globex_api: Api):
    customer = shop.api.post("/customers", {"email": "ada@example.com"}).json()["id"]
    body = {name: value for name, value in shop.order().items() if name != "email"}

    answer = globex_api.post("/checkout/session", body | {"customerId": customer})

    assert answer.status_code == 404


def test_a_key_without_the_scope_is_refused(shop: Any, acme: Company):
    answer = acme.api("plans:read").post("/checkout/session", shop.order())

    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert Api(None).post("/checkout/session", shop.order()).status_code == 401


def test_a_second_subscription_is_refused(shop: Any):
    shop.subscribe()

    answer = shop.api.post("/checkout/session", shop.order())

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


def test_only_the_newest_page_of_a_customer_stays_open(shop: Any):
    other = shop.add_plan("Team", 9900)
    first, second = shop.checkout(), shop.checkout(planId=other)
    third = shop.checkout()

    assert sessions(shop, "open") == [third["id"]]
    assert set(sessions(shop, "expired")) == {first["id"], second["id"]}


def test_a_page_that_was_paid_meanwhile_is_not_followed_by_another(shop: Any):
    first = shop.checkout()
    shop.sandbox.pay(first["url"])

    answer = shop.api.post("/checkout/session", shop.order())

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    assert shop.current().json()["status"] == "active"
    assert len(sessions(shop)) == 1


def test_customers_of_two_checkouts_share_one_stripe_customer(shop: Any):
    shop.checkout()
    shop.checkout()

    found = shop.sandbox.get("/v1/customers", shop.account_id)["data"]

    assert [each["email"] for each in found] == ["ada@example.com"]


def test_a_coupon_takes_its_share_off(shop: Any):
    shop.sandbox.call(
        "POST", "/v1/coupons", {"id": "HALF", "percent_off": 50, "duration": "once"}, account=shop.account_id
    )

    made = shop.checkout(couponCode="HALF")

    session = shop.sandbox.get(f"/v1/checkout/sessions/{made['id']}", shop.account_id)
    assert session["amount_total"] == 1450


def test_a_trial_is_had_once(shop: Any):
    shop.plan = shop.add_plan("Try", 500, trialDays=14)
    first = shop.subscribe()
    assert first["status"] == "trialing"
    assert shop.api.post(f"/subscriptions/{first['id']}/cancel", {"immediately": True}).status_code == 200

    shop.sandbox.pay(shop.checkout()["url"])

    assert shop.current().json()["status"] == "active"


def test_a_free_plan_cannot_be_bought_and_an_archived_one_neither(shop: Any):
    free = shop.add_plan("Free", 0)
    gone = shop.add_plan("Gone", 100)
    shop.api.delete(f"/plans/{gone}")

    for plan in (free, gone):
        answer = shop.api.post("/checkout/session", shop.order(planId=plan))
        assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


def test_stripe_down_changes_nothing_and_the_same_request_succeeds_later(shop: Any, settings: Any):
    there = settings.STRIPE_API_BASE
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    down = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")

    assert (down.status_code, down.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    assert down["Retry-After"] == "5"
    settings.STRIPE_API_BASE = there
    assert shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1").status_code == 201
    assert len(sessions(shop)) == 1


@pytest.mark.parametrize("ended_at_stripe", [True, False])
def test_a_page_whose_end_was_not_heard_of_gives_way(shop: Any, ended_at_stripe: bool):
    first = shop.checkout()
    with change(shop.company.scope):
        Checkout.objects.within(shop.company.scope).update(expires_at=wall_clock())
    if ended_at_stripe:
        shop.sandbox.call("POST", f"/v1/checkout/sessions/{first['id']}/expire", account=shop.account_id)

    second = shop.checkout()

    assert sessions(shop, "open") == [second["id"]]
    assert states(shop) == {first["id"]: "expired", second["id"]: "open"}


def test_a_page_that_was_paid_at_the_last_moment_is_no_reason_for_another(shop: Any):
    first = shop.checkout()
    with change(shop.company.scope):
        Checkout.objects.within(shop.company.scope).update(expires_at=wall_clock())
    shop.sandbox.pay(first["url"])

    again = shop.api.post("/checkout/session", shop.order())

    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    assert shop.current().json()["status"] == "active"


def test_a_page_on_an_account_that_was_left_stands_in_nobodys_way(shop: Any):
    shop.checkout()
    with change(shop.company.scope):
        Checkout.objects.within(shop.company.scope).update(expires_at=wall_clock(), account_id="acct_another")

    second = shop.checkout()

    assert states(shop)[second["id"]] == "open"
    assert sorted(states(shop).values()) == ["expired", "open"]


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plans be saved as in the dashboard, or while Stripe is down: nobody has told Stripe of them yet."""
    monkeypatch.setattr(billing.views.catalogue, "push_promptly", lambda *_: None)


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/products", "/v1/prices", "/v1/checkout/sessions"])
def test_a_cut_call_is_resumed_by_the_next_request_with_the_key(untold: None, shop: Any, path: str):
    shop.sandbox.fault("api_cut", path=path, count=2)

    cut = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")
    done = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")

    assert (cut.status_code, done.status_code) == (503, 201)
    assert sessions(shop) == [done.json()["id"]]
    for kind in ("customers", "products", "prices"):
        assert len(shop.sandbox.get(f"/v1/{kind}", shop.account_id)["data"]) == 1


def test_stripe_hanging_is_answered_within_the_timeout(shop: Any, settings: Any):
    settings.STRIPE_TIMEOUT_SECONDS = 2
    shop.sandbox.fault("api_hang", path="/v1/checkout/sessions", count=2, seconds=30)

    began = time.monotonic()
    answer = shop.api.post("/checkout/session", shop.order())

    assert (answer.status_code, answer.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    assert time.monotonic() - began < 4


def test_a_reply_that_got_lost_is_repeated_byte_for_byte(shop: Any):
    first = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")
    again = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")
    other = shop.api.post("/checkout/session", shop.order(quantity=2), Idempotency_Key="order-1")

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(sessions(shop)) == 1


def race(count: int, work: Any) -> list[Any]:
    """Run `work(number)` in so many threads at once, each on a connection of its own."""
    gate, found = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        gate.wait(30)
        try:
            found[number] = work(number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_32_racers_with_one_key_make_one_page(committed_shop: Any):
    shop = committed_shop
    answers = race(32, lambda _: shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1"))

    statuses = {answer.status_code for answer in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"IDEMPOTENCY_IN_PROGRESS"}
    last = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")
    assert {a.content for a in answers if a.status_code == 201} == {last.content}
    assert sessions(shop) == [last.json()["id"]]
    assert len(shop.sandbox.get("/v1/customers", shop.account_id)["data"]) == 1


def test_racers_without_a_key_leave_one_page_open(committed_shop: Any):
    shop = committed_shop
    answers = race(8, lambda _: shop.api.post("/checkout/session", shop.order()))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(sessions(shop, "open")) == 1
    with reading(shop.company.scope):
        rows = Checkout.objects.within(shop.company.scope)
        assert rows.filter(status=Checkout.Status.OPEN).count() == 1
        assert not StripeIntent.objects.within(shop.company.scope).filter(state="pending").exists()
    assert connection.vendor == "postgresql"


def test_what_was_deleted_at_stripe_is_made_anew(shop: Any):
    shop.checkout()
    customer = shop.sandbox.get("/v1/customers", shop.account_id)["data"][0]["id"]
    shop.sandbox.call("DELETE", f"/v1/customers/{customer}", account=shop.account_id)

    made = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")

    assert made.status_code == 201
    session = shop.sandbox.get(f"/v1/checkout/sessions/{made.json()['id']}", shop.account_id)
    assert session["customer"] != customer
    again = shop.api.post("/checkout/session", shop.order(), Idempotency_Key="order-1")
    assert (again.status_code, again.content) == (201, made.content)


@pytest.mark.parametrize("what", ["price", "product"])
def test_what_was_archived_at_stripe_is_named_with_what_to_do(shop: Any, what: str):
    shop.checkout()
    price = shop.sandbox.get("/v1/prices", shop.account_id)["data"][0]
    archived = f"/v1/{what}s/{price['id'] if what == 'price' else price['product']}"
    shop.sandbox.call("POST", archived, {"active": "false"}, account=shop.account_id)

    answer = shop.api.post("/checkout/session", shop.order("eve@example.com"))

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    assert "archived at Stripe" in answer.json()["message"]
    shop.sandbox.call("POST", archived, {"active": "true"}, account=shop.account_id)
    assert shop.api.post("/checkout/session", shop.order("eve@example.com")).status_code == 201


def test_a_subscription_that_ended_unheard_does_not_stand_in_the_way(shop: Any):
    subscription = shop.subscribe()
    stripe_id = subscription["stripeSubscriptionId"]
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{stripe_id}", account=shop.account_id)

    answer = shop.api.post("/checkout/session", shop.order())

    assert answer.status_code == 201
    assert shop.api.get(f"/subscriptions/{subscription['id']}").json()["status"] == "canceled"


def test_a_second_subscription_is_refused_while_stripe_is_down(shop: Any, settings: Any):
    shop.subscribe()
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    answer = shop.api.post("/checkout/session", shop.order())

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("asked", "paid"),
    [
        ({}, ("usd", 2900)),
        ({"interval": "year"}, ("usd", 29000)),
        ({"currency": "EUR"}, ("eur", 2500)),
        ({"interval": "year", "currency": "eur"}, ("eur", 25000)),
    ],
)
def test_a_plan_is_bought_in_the_rhythm_and_currency_that_were_asked_for(shop: Any, asked: Any, paid: Any):
    amounts = {("usd", "month"): 2900, ("usd", "year"): 29000, ("eur", "month"): 2500, ("eur", "year"): 25000}
    prices = [{"currency": c, "interval": i, "unitAmountCents": a} for (c, i), a in amounts.items()]
    plan = shop.api.post("/plans", {"name": "Both", "prices": prices}).json()["id"]

    assert shop.subscribe(planId=plan, **asked)["status"] == "active"

    [invoice] = shop.api.get(f"/invoices?customerId={shop.customer()}").json()["data"]
    assert (invoice["currency"], invoice["amountPaidCents"]) == paid


def test_a_price_that_the_plan_lacks_is_refused_with_those_that_it_has(shop: Any):
    for asked in ({"interval": "year"}, {"currency": "eur"}, {"interval": "year", "currency": "usd"}):
        response = shop.api.post("/checkout/session", shop.order(**asked))

        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
        assert set(response.json()["fields"]) == set(asked)
        assert all("month in usd" in said for [said] in response.json()["fields"].values())
    assert shop.api.post("/checkout/session", shop.order(interval="fortnight")).status_code == 400
