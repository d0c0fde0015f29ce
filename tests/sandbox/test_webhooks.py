import json

import pytest
import stripe

from tests.sandbox import openapi
from tests.sandbox.conftest import CONNECT_PATH, CONNECT_SECRET, PLATFORM_PATH, PLATFORM_SECRET, VERSION


def test_a_connected_accounts_event_is_signed_with_the_connect_secret(shop, receiver):
    product = shop.v1.products.create({"name": "Pro"}, shop.at)

    hook = receiver.of(shop.account, "product.created")[0]

    event = stripe.Webhook.construct_event(hook.body, hook.signature, CONNECT_SECRET)
    assert hook.path == CONNECT_PATH
    assert (event.account, event.data.object.id, event.api_version) == (shop.account, product.id, VERSION)
    assert event.livemode is False
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(hook.body, hook.signature, PLATFORM_SECRET)


def test_the_platforms_own_event_goes_to_the_platforms_endpoint(shop, receiver):
    product = shop.v1.products.create({"name": "Own"})

    hook = receiver.of(None, "product.created")[0]

    event = stripe.Webhook.construct_event(hook.body, hook.signature, PLATFORM_SECRET)
    assert hook.path == PLATFORM_PATH
    assert event.data.object.id == product.id
    assert "account" not in event


def test_only_subscribed_types_are_sent(shop, receiver):
    shop.press(shop.session(customer=shop.customer().id), "pay")

    hooks = receiver.of(
        shop.account,
        "product.created",
        "price.created",
        "invoice.finalized",
        "invoice.paid",
        "customer.subscription.created",
        "checkout.session.completed",
    )

    assert len(hooks) == 6
    assert receiver.drain(shop.account) == []
    sent = {row["type"] for row in shop.sandbox.control("GET", "deliveries", account=shop.account)["data"]}
    assert not any(each.startswith(("charge.succeeded", "payment_", "customer.created")) for each in sent)


def test_what_is_sent_is_what_the_api_answers(shop, receiver):
    shop.v1.products.create({"name": "Pro"}, shop.at)

    event = receiver.of(shop.account, "product.created")[0].event
    answered = shop.v1.events.retrieve(event["id"], None, shop.at)

    assert answered.to_dict() == event
    assert openapi.wrong_object(event) == []
    assert event["request"]["id"].startswith("req_")


def test_a_refused_delivery_is_tried_again(shop, receiver):
    receiver.status = 503
    shop.v1.products.create({"name": "Pro"}, shop.at)
    row = None
    while not row or not row["attempts"]:
        row = shop.sandbox.control("GET", "deliveries", account=shop.account)["data"][0]
    assert (row["state"], row["status"]) == ("pending", 503)

    receiver.status = 200

    assert receiver.of(shop.account, "product.created", within=15)


def test_a_delivery_is_sent_again_on_demand(shop, sandbox, receiver):
    shop.v1.products.create({"name": "Pro"}, shop.at)
    first = receiver.of(shop.account, "product.created")[0]

    sandbox.control("POST", "redeliver", event=first.event["id"])

    assert receiver.of(shop.account, "product.created")[0].body == first.body


def test_an_endpoint_made_by_the_api_is_told_too(shop, receiver):
    made = shop.v1.webhook_endpoints.create(
        {"url": f"{receiver.url}/extra", "enabled_events": ["customer.created"], "connect": True}
    )

    shop.customer()
    hook = receiver.of(shop.account, "customer.created")[0]

    assert hook.path == "/extra"
    assert stripe.Webhook.construct_event(hook.body, hook.signature, made.secret).type == "customer.created"
    assert "secret" not in shop.v1.webhook_endpoints.retrieve(made.id)
    shop.v1.webhook_endpoints.update(made.id, {"disabled": True})
    assert shop.v1.webhook_endpoints.list().data[0].status == "disabled"
    shop.v1.webhook_endpoints.delete(made.id)
    assert {each.description for each in shop.v1.webhook_endpoints.list().data} == {"Built in"}


def test_an_updated_event_says_what_was_before(shop, receiver):
    product = shop.v1.products.create({"name": "Old"}, shop.at)
    shop.v1.products.update(product.id, {"name": "New"}, shop.at)

    event = receiver.of(shop.account, "product.updated")[0].event

    assert event["data"]["object"]["name"] == "New"
    assert event["data"]["previous_attributes"]["name"] == "Old"


def test_every_event_ever_emitted_fits_stripes_document(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.press(shop.session(customer=shop.customer().id), "pay")
    shop.pays(customer.id, "decline")
    shop.advance("60d")
    shop.v1.customers.delete(subscription.customer, None, shop.at)

    faults = {}
    for event in shop.v1.events.list({"limit": 100}, shop.at).auto_paging_iter():
        whole = json.loads(json.dumps(event.to_dict(), default=str))
        if whole["type"] != "account.application.authorized":
            faults[whole["type"]] = openapi.wrong_object(whole) + openapi.wrong_object(whole["data"]["object"])

    assert {name: each for name, each in faults.items() if each} == {}
    assert len(faults) > 15


def test_an_endpoint_cannot_ask_for_a_family_of_events(shop, receiver):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.*"]})

    assert caught.value.param == "enabled_events[0]"
