import time
import urllib.error

import pytest
import stripe

from tests.sandbox.conftest import Shop


def test_a_duplicate_arrives_twice_with_one_id(shop, sandbox, receiver):
    sandbox.control("POST", "faults", kind="duplicate", account=shop.account, copies=3)

    shop.v1.products.create({"name": "Pro"}, shop.at)

    hooks = receiver.of(shop.account, *["product.created"] * 3)
    assert len({hook.event["id"] for hook in hooks}) == 1


def test_a_dropped_event_never_arrives_but_can_be_listed(shop, sandbox, receiver):
    sandbox.control("POST", "faults", kind="drop", account=shop.account, type="product.", count=1)

    shop.v1.products.create({"name": "Lost"}, shop.at)
    shop.v1.products.create({"name": "Found"}, shop.at)

    assert receiver.of(shop.account, "product.created")[0].event["data"]["object"]["name"] == "Found"
    assert shop.events("product.") == ["product.created"] * 2
    rows = sandbox.control("GET", "deliveries", account=shop.account)["data"]
    assert [row["state"] for row in rows if row["type"] == "product.created"].count("dropped") == 1


def test_a_part_of_the_events_is_dropped(shop, sandbox):
    sandbox.control("POST", "faults", kind="drop", account=shop.account, percent=30)

    for number in range(60):
        shop.v1.products.create({"name": str(number)}, shop.at)

    rows = sandbox.control("GET", "deliveries", account=shop.account)["data"]
    assert 4 <= sum(row["state"] == "dropped" for row in rows) <= 40


def test_a_delayed_event_waits(shop, sandbox, receiver):
    sandbox.control("POST", "faults", kind="delay", account=shop.account, seconds=1)
    started = time.monotonic()

    shop.v1.products.create({"name": "Late"}, shop.at)

    receiver.of(shop.account, "product.created")
    assert time.monotonic() - started >= 1


def test_reordered_events_all_arrive(shop, sandbox, receiver):
    sandbox.control("POST", "faults", kind="reorder", account=shop.account, seconds=0.5)
    for number in range(20):
        shop.v1.products.create({"name": str(number)}, shop.at)

    names = [hook.event["data"]["object"]["name"] for hook in receiver.of(shop.account, *["product.created"] * 20)]

    assert sorted(names) == sorted(str(number) for number in range(20))
    assert names != [str(number) for number in range(20)]


def test_the_api_fails_as_often_as_it_is_told(shop, sandbox):
    sandbox.control("POST", "faults", kind="api_500", account=shop.account, path="/v1/products", count=1)
    assert shop.customer().id
    with pytest.raises(stripe.APIError) as caught:
        shop.v1.products.create({"name": "A"}, shop.at)

    assert caught.value.http_status == 500
    assert shop.v1.products.create({"name": "A"}, shop.at).name == "A"


def test_a_hanging_call_is_done_all_the_same(shop, sandbox):
    sandbox.control("POST", "faults", kind="api_hang", account=shop.account, seconds=3, count=1)
    impatient = Shop(sandbox, shop.account, sandbox.client(http_client=stripe.RequestsClient(timeout=0.3)))
    options = {**shop.at, "idempotency_key": "patience"}

    with pytest.raises(stripe.APIConnectionError):
        impatient.v1.products.create({"name": "A"}, options)

    assert shop.v1.products.create({"name": "A"}, options).last_response.headers["Idempotent-Replayed"] == "true"


def test_faults_of_one_account_spare_another(shop, sandbox, rival):
    sandbox.control("POST", "faults", kind="api_500", account=rival)

    assert shop.customer().id


def test_faults_are_listed_and_ended(shop, sandbox):
    fault = sandbox.control("POST", "faults", kind="drop", account=shop.account)
    assert sandbox.control("GET", "faults")["data"] == [fault]

    assert sandbox.control("DELETE", "faults", id=fault["id"])["data"] == []


def test_an_unknown_fault_is_refused(sandbox):
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.control("POST", "faults", kind="earthquake")

    with caught.value as answer:
        assert answer.code == 400
