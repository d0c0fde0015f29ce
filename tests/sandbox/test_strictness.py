import json
import urllib.error
import urllib.request

import pytest
import stripe

from tests.sandbox.conftest import BROWSER, PLATFORM_KEY


def refused(call, *args):
    with pytest.raises(stripe.StripeError) as caught:
        call(*args)
    return caught.value


def test_a_request_without_a_key_is_refused(sandbox):
    with pytest.raises(urllib.error.HTTPError) as caught:
        BROWSER.open(f"{sandbox.url}/v1/customers")

    with caught.value as answer:
        assert answer.code == 401
        assert "You did not provide an API key" in json.load(answer)["error"]["message"]


def test_an_unknown_key_is_refused_and_masked(sandbox):
    error = refused(sandbox.client("sk_test_nobodyEverIssuedThisOne").v1.customers.list)

    assert isinstance(error, stripe.AuthenticationError)
    assert error.http_status == 401
    assert "nobodyEver" not in str(error)


def test_an_account_has_a_key_of_its_own_that_opens_nothing_else(shop, sandbox, rival):
    customer = shop.customer()

    key = sandbox.control("POST", "keys", account=shop.account)["secretKey"]

    own = sandbox.client(key)
    assert own.v1.customers.retrieve(customer.id).id == customer.id
    foreign = refused(own.v1.customers.list, None, {"stripe_account": rival})
    assert isinstance(foreign, stripe.PermissionError)


def test_an_account_that_is_not_connected_is_forbidden(sandbox):
    error = refused(sandbox.client().v1.customers.list, None, {"stripe_account": "acct_1234567890123456"})

    assert isinstance(error, stripe.PermissionError)
    assert error.error.code == "account_invalid"
    assert "Application access may have been revoked" in str(error)


def test_an_object_of_another_account_does_not_exist(shop, rival):
    customer = shop.customer()

    foreign = refused(shop.v1.customers.retrieve, customer.id, None, {"stripe_account": rival})
    missing = refused(shop.v1.customers.retrieve, "cus_never", None, {"stripe_account": rival})

    assert foreign.http_status == 404
    assert foreign.code == "resource_missing"
    assert foreign.param == "id"
    assert foreign.user_message.replace(customer.id, "X") == missing.user_message.replace("cus_never", "X")


def test_an_object_of_an_account_does_not_exist_on_the_platform(shop):
    customer = shop.customer()

    assert refused(shop.v1.customers.retrieve, customer.id).http_status == 404


def test_a_foreign_price_cannot_be_sold(shop, rival):
    price = shop.price()

    asked = {
        "mode": "subscription",
        "success_url": "http://localhost/",
        "line_items": [{"price": price.id, "quantity": 1}],
    }
    error = refused(shop.v1.checkout.sessions.create, asked, {"stripe_account": rival})

    assert error.code == "resource_missing"
    assert error.param == "line_items[0][price]"


def test_two_accounts_may_choose_the_same_product_id(shop, rival):
    ours = shop.v1.products.create({"id": "prod_CUSTOM", "name": "Ours"}, shop.at)
    theirs = shop.v1.products.create({"id": "prod_CUSTOM", "name": "Theirs"}, {"stripe_account": rival})

    assert ours.id == theirs.id
    assert shop.v1.products.retrieve("prod_CUSTOM", None, shop.at).name == "Ours"


def test_a_taken_product_id_is_refused(shop):
    shop.v1.products.create({"id": "prod_TAKEN", "name": "One"}, shop.at)

    error = refused(shop.v1.products.create, {"id": "prod_TAKEN", "name": "Two"}, shop.at)

    assert error.code == "resource_already_exists"


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"name": "A", "colour": "red"}, "parameter_unknown", "colour"),
        (
            {"name": "A", "marketing_features": [{"name": "x", "y": "z"}]},
            "parameter_unknown",
            "marketing_features[0][y]",
        ),
        ({}, "parameter_missing", "name"),
        ({"name": ""}, "parameter_invalid_empty", "name"),
        ({"name": "A", "active": "perhaps"}, None, "active"),
        ({"name": "A", "metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"name": "A", "metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"name": "A\x00"}, None, "name"),
    ],
)
def test_a_bad_parameter_is_named(shop, given, code, param):
    error = refused(shop.v1.products.create, given, shop.at)

    assert error.http_status == 400
    assert (error.code, error.param) == (code, param)


def test_a_number_that_is_none_is_refused(shop):
    product = shop.v1.products.create({"name": "A"}, shop.at).id

    error = refused(shop.v1.prices.create, {"product": product, "currency": "usd", "unit_amount": "12.5"}, shop.at)

    assert (error.code, error.param) == ("parameter_invalid_integer", "unit_amount")


def test_a_word_that_is_none_of_the_allowed_is_refused(shop):
    product = shop.v1.products.create({"name": "A"}, shop.at).id
    asked = {"product": product, "currency": "usd", "unit_amount": 1, "recurring": {"interval": "fortnight"}}

    error = refused(shop.v1.prices.create, asked, shop.at)

    assert error.param == "recurring[interval]"


@pytest.mark.parametrize("name", ["application_fee_percent", "transfer_data", "on_behalf_of"])
def test_money_for_the_platform_cannot_be_asked_for(shop, name):
    value = {"destination": "acct_x"} if name == "transfer_data" else "10"
    asked = {"customer": shop.customer().id, "items": [{"price": shop.price().id}], name: value}

    assert refused(shop.v1.subscriptions.create, asked, shop.at).code == "parameter_unknown"


def test_a_route_that_is_not_implemented_is_a_clear_404(shop):
    error = refused(shop.v1.terminal.readers.list, None, shop.at)

    assert error.http_status == 404
    assert "does not implement this route" in str(error)


def test_version_account_and_request_id_are_answered(shop):
    answer = shop.v1.products.create({"name": "A"}, {**shop.at, "stripe_version": "2026-04-22.dahlia"}).last_response

    assert answer.headers["Stripe-Version"] == "2026-04-22.dahlia"
    assert answer.headers["Stripe-Account"] == shop.account
    assert answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_a_browser_led_in_from_elsewhere_is_refused(sandbox, headers):
    request = urllib.request.Request(
        f"{sandbox.url}/_sandbox/accounts", data=b"{}", headers={"Authorization": f"Bearer {PLATFORM_KEY}", **headers}
    )

    with pytest.raises(urllib.error.HTTPError) as caught:
        BROWSER.open(request)

    with caught.value as answer:
        assert answer.code == 403


def test_everything_is_in_test_mode(shop):
    assert shop.session().livemode is False
    assert shop.subscription().livemode is False
    assert all(event.livemode is False for event in shop.v1.events.list(None, shop.at).data)
