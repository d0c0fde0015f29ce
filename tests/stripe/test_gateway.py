"""The one door to Stripe: whose account, once only, in bounded time, never inside a transaction."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
import requests

from billing.stripe.errors import AccountLost, StripeObjectGone, StripeRefused, StripeUnavailable
from billing.stripe.gateway import ConnectedAccount, Intent
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import change


@pytest.fixture
def account(stripe: Any) -> ConnectedAccount:
    return ConnectedAccount(stripe.call("POST", "/_sandbox/accounts")["id"])


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every request that leaves for Stripe."""
    sent: list[Any] = []
    send = requests.Session.send

    def record(session: Any, request: Any, **rest: Any) -> Any:
        sent.append(request)
        return send(session, request, **rest)

    monkeypatch.setattr(requests.Session, "send", record)
    return sent


def test_every_call_names_the_account_and_every_write_its_intent(account: ConnectedAccount, wire: list[Any]):
    intent = Intent(new_id())

    made = account.create("product", {"name": "Pro"}, intent=intent)
    account.update("product", made["id"], {"name": "Pro+"}, intent=Intent(new_id()))
    account.fetch("product", made["id"])
    list(account.list("product"))
    account.account()

    assert {request.headers["Stripe-Account"] for request in wire} == {account.id}
    assert {request.headers["Stripe-Version"] for request in wire} == {"2026-05-27.dahlia"}
    assert f"stackbe-{intent.id}" in wire[0].headers["Idempotency-Key"]


def test_the_same_intent_is_the_same_object(account: ConnectedAccount):
    intent = Intent(new_id())

    first = account.create("product", {"name": "Pro"}, intent=intent)
    again = account.create("product", {"name": "Pro"}, intent=intent)

    assert first["id"] == again["id"]
    assert len(list(account.list("product"))) == 1


def test_a_write_without_an_intent_is_a_bug(account: ConnectedAccount):
    with pytest.raises(RuntimeError, match="recorded intent"):
        account._call("post", "/v1/products", {"name": "Pro"}, None)


@pytest.mark.parametrize(
    "params",
    [
        {"subscription_data": {"application_fee_percent": 5}},
        {"payment_intent_data": {"application_fee_amount": 5}},
        {"payment_intent_data": {"transfer_data": {"destination": "acct_1"}}},
        {"line_items": [{"on_behalf_of": "acct_1"}]},
    ],
)
def test_no_call_takes_a_share_of_the_tenants_money(params: dict[str, Any], wire: list[Any]):
    with pytest.raises(RuntimeError, match="the funds are the tenant's"):
        ConnectedAccount("acct_1").create("checkout.session", params, intent=Intent(new_id()))

    assert wire == []


def test_a_call_inside_a_transaction_raises(account: ConnectedAccount, acme: Any, wire: list[Any]):
    with change(acme.scope), pytest.raises(RuntimeError, match="holding a database transaction"):
        account.fetch("product", "prod_1")

    assert wire == []


def test_an_unknown_object_is_gone_and_a_foreign_account_is_lost(account: ConnectedAccount):
    with pytest.raises(StripeObjectGone):
        account.fetch("product", "prod_none")
    with pytest.raises(AccountLost):
        ConnectedAccount("acct_nobody").fetch("product", "prod_none")


def test_a_refusal_repeats_no_word_of_stripes_body(account: ConnectedAccount):
    with pytest.raises(StripeRefused) as refused:
        account.create("price", {"currency": "usd", "unit_amount": 1}, intent=Intent(new_id()))

    assert refused.value.status == 400
    assert "Missing required param" not in str(refused.value)


def test_stripe_down_is_503_with_retry_after(settings: Any):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    with pytest.raises(StripeUnavailable) as failure:
        ConnectedAccount("acct_1").fetch("product", "prod_1")

    assert failure.value.status == 503
    assert failure.value.retry_after_seconds == 5


def test_stripe_hanging_is_503_within_the_timeout(settings: Any):
    settings.STRIPE_TIMEOUT_SECONDS = 2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(StripeUnavailable):
            ConnectedAccount("acct_1").fetch("product", "prod_1")

        assert time.monotonic() - began < 4


def test_a_lost_answer_is_resolved_by_the_same_intent(account: ConnectedAccount, stripe: Any):
    intent = Intent(new_id())
    stripe.fault("api_cut", path="/v1/products", count=1)

    made = account.create("product", {"name": "Pro"}, intent=intent)

    assert [each["id"] for each in account.list("product")] == [made["id"]]


def test_threads_have_clients_of_their_own(account: ConnectedAccount):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(account.account()["id"])) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [account.id] * 4


def test_what_comes_back_is_cut_down_to_what_may_be_kept(account: ConnectedAccount):
    made = account.create(
        "customer", {"email": "ada@example.com", "name": "Ada", "phone": "+1"}, intent=Intent(new_id())
    )

    assert set(made) <= {
        "id",
        "object",
        "created",
        "livemode",
        "metadata",
        "currency",
        "delinquent",
        "has_payment_method",
    }
