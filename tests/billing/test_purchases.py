"""What is paid once and kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Checkout, Subscription
from billing.services.plans import find_plan
from billing.services.subscriptions import grant_purchase
from stackbe.kernel.ids import decode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.billing.conftest import ACCOUNT, NOW


@pytest.fixture
def lifetime(make_plan):
    return make_plan("Lifetime", interval="one_time", entitlements={"sso": True})


@pytest.fixture
def buy(acme, stripe, lifetime):
    """Have a checkout of the lifetime plan paid, as often as it is called."""
    with change(acme.scope):
        checkout = Checkout.unscoped.create(
            **owned_by(acme.scope),
            customer_id=stripe.customer_id,
            plan_id=decode("plan", lifetime["id"]),
            plan_version=_version(acme, lifetime),
            price_id=decode("price", lifetime["prices"][0]["id"]),
            success_url="https://example.com",
            cancel_url="https://example.com",
            account_id=ACCOUNT,
            stripe_session_id="cs_1",
            status="complete",
            expires_at=NOW + timedelta(days=1),
        )

    def paid():
        with change(acme.scope):
            return grant_purchase(acme.scope, checkout, "stripe:evt_3")

    return paid


def _version(company, plan):
    return find_plan(company.scope, plan["id"]).current_version()


def test_a_purchase_lasts_and_is_granted_once(buy, acme_api, customer, events, at):
    first, second = buy(), buy()

    assert first.pk == second.pk
    shown = acme_api.get(f"/subscriptions/{first.public_id}").json()
    assert (shown["status"], shown["currentPeriodEnd"], shown["stripeSubscriptionId"]) == ("active", None, None)
    assert events("subscription") == ["subscription.created"]
    at(NOW + timedelta(days=3000))
    assert acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"] == {"sso": True}


def test_a_subscription_counts_while_it_runs_and_leaves_the_purchase_alone(
    buy, stripe, make_plan, acme, acme_api, customer
):
    bought = buy()
    stripe.subscribe(make_plan(entitlements={"projects": 5}))

    def held():
        return acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"]

    assert held() == {"projects": 5}
    stripe.becomes(status="canceled", ended_at=NOW)
    assert held() == {"sso": True}
    with reading(acme.scope):
        row = Subscription.objects.within(acme.scope).get(pk=bought.pk)
        assert (row.status, row.beside_another) == ("active", True)


def test_a_purchase_after_a_subscription_stands_beside_it(buy, stripe, make_plan, acme_api, customer):
    row = stripe.subscribe(make_plan())

    bought = buy()

    current = acme_api.get(f"/subscriptions/current?customerId={customer['id']}")
    assert current.json()["id"] == row.public_id
    assert bought.beside_another is True
