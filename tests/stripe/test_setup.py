"""manage.py connect_stripe: what is left to do, and what was pasted where."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from billing.management.commands import connect_stripe
from billing.stripe import setup, trial_payment
from billing.stripe.connect import connect_sandbox_account
from tests.cast import found_company


def own_endpoints(stripe: Any) -> list[Any]:
    """Return those that a test made: the sandbox lists two of its own beside them."""
    found = stripe.call("GET", "/v1/webhook_endpoints")["data"]
    return [each for each in found if each["description"] != "Built in"]


@pytest.fixture
def platform(stripe: Any, settings: Any) -> Any:
    """Settings as they should be, with both endpoints at Stripe."""
    settings.STRIPE_SECRET_KEY = "sk_test_ofTheTestsAlone"
    settings.STRIPE_CLIENT_ID = "ca_ofTheTestsAlone"
    settings.STRIPE_PLATFORM_WEBHOOK_SECRETS = ["whsec_one"]
    settings.STRIPE_CONNECT_WEBHOOK_SECRETS = ["whsec_two"]
    settings.STRIPE_PLATFORM_ENDPOINT_ID, settings.STRIPE_CONNECT_ENDPOINT_ID = "one", "two"
    for name in ("one", "two"):
        body = {"url": setup.endpoint_url(name), "enabled_events[0]": "*", "api_version": settings.STRIPE_API_VERSION}
        stripe.call("POST", "/v1/webhook_endpoints", body)
    yield settings
    for endpoint in own_endpoints(stripe):
        stripe.call("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")


def test_all_set_leads_to_a_first_payment(platform: Any, capsys: Any):
    call_command("connect_stripe")

    told = capsys.readouterr().out
    assert "to do" not in told
    assert "open a checkout" in told
    assert not [secret for secret in ("whsec_one", "whsec_two", "ofTheTestsAlone") if secret in told]


def test_it_ends_with_a_payment_whose_event_comes(
    platform: Any, connected: Any, stripe: Any, capsys: Any, monkeypatch: Any
):
    platform.STRIPE_CONNECT_ENDPOINT_ID = str(UUID(int=2))
    stripe.call(
        "POST", "/v1/webhook_endpoints", {"url": setup.endpoint_url(str(UUID(int=2))), "enabled_events[0]": "*"}
    )
    with pytest.raises(CommandError, match="Its event did not come"):
        monkeypatch.setattr(trial_payment, "LOOKS", 1)
        call_command("connect_stripe", "--pay")
    assert "1.00" in capsys.readouterr().out
    (bought,) = stripe.get("/v1/subscriptions?status=all", connected.account_id)["data"]
    assert bought["status"] == "canceled"  # nobody goes on paying, be it in play money

    def came(*_: Any) -> bool:
        return True

    monkeypatch.setattr(connect_stripe, "wait_for_event", came)
    call_command("connect_stripe", "--pay")
    assert "You can sell." in capsys.readouterr().out


def test_no_payment_is_made_with_live_keys_or_without_a_connected_app(platform: Any, acme: Any, stripe: Any):
    with pytest.raises(CommandError, match="No such test app is connected"):
        call_command("connect_stripe", "--pay")
    connection = connect_sandbox_account(acme.scope)
    other = found_company("Globex")
    connect_sandbox_account(other.scope)
    with pytest.raises(CommandError, match=f"Say with --app .*{other.app}"):
        call_command("connect_stripe", "--pay")
    platform.STRIPE_LIVE_MODE = True
    with pytest.raises(CommandError, match="live"):
        call_command("connect_stripe", "--pay", "--app", acme.app)

    assert stripe.get("/v1/customers", connection.account_id)["data"] == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("STRIPE_CLIENT_ID", "sk_test_x", "holds a secret key where a client id belongs"),
        ("STRIPE_SECRET_KEY", "pk_test_x", "holds a publishable key where a secret key belongs"),
        ("STRIPE_CONNECT_WEBHOOK_SECRETS", ["ca_x"], "holds a client id where an endpoint's secret belongs"),
        ("STRIPE_CONNECT_WEBHOOK_SECRETS", ["whsec_one"], "same secret stands in both lists"),
    ],
)
def test_what_was_pasted_in_the_wrong_place_is_named(platform: Any, capsys: Any, name: str, value: Any, words: str):
    setattr(platform, name, value)

    for command in ("connect_stripe", "doctor"):
        with pytest.raises(CommandError, match="Put right"):
            call_command(command)

        assert words in capsys.readouterr().out


def test_what_is_missing_is_to_do(platform: Any, capsys: Any):
    platform.STRIPE_CLIENT_ID = ""
    platform.STRIPE_CONNECT_ENDPOINT_ID = "three"

    call_command("connect_stripe")

    told = capsys.readouterr().out
    assert setup.back_url() in told
    assert setup.endpoint_url("three") in told
    assert "Next: STRIPE_CLIENT_ID." in told
    with pytest.raises(CommandError, match="No payment was made: first do what is left, STRIPE_CLIENT_ID"):
        call_command("connect_stripe", "--pay")


def test_an_endpoint_that_hears_too_little_is_wrong(platform: Any, stripe: Any):
    found = stripe.call("GET", "/v1/webhook_endpoints")["data"]
    connect = next(each for each in found if each["url"].endswith("/two"))
    stripe.call("POST", f"/v1/webhook_endpoints/{connect['id']}", {"enabled_events[0]": "invoice.paid"})

    wrong = [step for step in setup.steps() if step.mark == setup.Mark.WRONG]

    assert [step.about for step in wrong] == ["The Connect endpoint"]
    assert "customer.subscription.updated" in wrong[0].sentence


def test_a_copy_on_the_sandbox_is_all_set(platform: Any, stripe: Any):
    platform.BASE_URL = stripe.door.url
    platform.STRIPE_PLATFORM_ENDPOINT_ID = os.environ["STRIPE_PLATFORM_ENDPOINT_ID"]
    platform.STRIPE_CONNECT_ENDPOINT_ID = os.environ["STRIPE_CONNECT_ENDPOINT_ID"]

    assert {step.mark for step in setup.steps()} == {setup.Mark.DONE}
