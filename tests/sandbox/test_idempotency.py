import threading

import pytest
import stripe


def test_the_same_key_and_body_answer_the_same_object(shop):
    options = {**shop.at, "idempotency_key": "one"}

    first = shop.v1.customers.create({"email": "a@example.com"}, options)
    second = shop.v1.customers.create({"email": "a@example.com"}, options)

    assert second.id == first.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert second.last_response.body == first.last_response.body
    assert shop.events("customer.") == ["customer.created"]


def test_the_same_key_with_another_body_is_refused(shop):
    options = {**shop.at, "idempotency_key": "two"}
    shop.v1.customers.create({"email": "a@example.com"}, options)

    with pytest.raises(stripe.IdempotencyError) as caught:
        shop.v1.customers.create({"email": "b@example.com"}, options)

    assert caught.value.http_status == 400


def test_a_key_belongs_to_its_account(shop, rival):
    first = shop.v1.customers.create({"email": "a@example.com"}, {**shop.at, "idempotency_key": "three"})
    second = shop.v1.customers.create({"email": "b@example.com"}, {"stripe_account": rival, "idempotency_key": "three"})

    assert first.id != second.id


def test_a_refused_request_does_not_use_its_key_up(shop):
    options = {**shop.at, "idempotency_key": "four"}
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.create({}, options)

    assert shop.v1.products.create({"name": "A"}, options).name == "A"


def test_a_declined_payment_is_replayed_and_not_tried_again(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "decline")
    shop.advance("32d")
    invoice = shop.v1.invoices.list({"subscription": subscription.id, "status": "open"}, shop.at).data[0]
    options = {**shop.at, "idempotency_key": "five"}

    for _ in range(2):
        with pytest.raises(stripe.CardError):
            shop.v1.invoices.pay(invoice.id, None, options)

    assert shop.v1.invoices.retrieve(invoice.id, None, shop.at).attempt_count == 2


def test_sixteen_racers_with_one_key_make_one_object(shop):
    made = []

    def race():
        made.append(shop.v1.customers.create({"email": "a@example.com"}, {**shop.at, "idempotency_key": "six"}).id)

    racers = [threading.Thread(target=race) for _ in range(16)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert len(made) == 16
    assert len(set(made)) == 1


def test_a_key_asked_again_after_a_cut_reply_finds_what_was_done(shop, sandbox):
    sandbox.control("POST", "faults", kind="api_cut", account=shop.account, count=1)
    options = {**shop.at, "idempotency_key": "seven"}
    with pytest.raises(stripe.APIConnectionError):
        shop.v1.customers.create({"email": "a@example.com"}, options)

    again = shop.v1.customers.create({"email": "a@example.com"}, options)

    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(shop.v1.customers.list(None, shop.at).data) == 1
