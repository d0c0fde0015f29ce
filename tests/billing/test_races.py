"""What happens when two do the same at once, on connections of their own."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from billing.models import Access, Plan, Subscription, SubscriptionTransition
from stackbe.kernel.transactions import reading
from tests.billing.conftest import FIRST_FETCH, NOW, Stripe
from tests.cast import Api, found_company
from webhooks.models import Event

AT_ONCE = 4


@pytest.fixture
def company(committed):
    """A company whose rows are really committed."""
    return found_company("Acme")


@pytest.fixture
def api(company):
    return Api(company.key)


@pytest.fixture
def ada(api):
    return api.post("/customers", {"email": "ada@example.com"}).json()


def together(*calls):
    """Run the calls at the same moment and return what they answered, or how they failed."""
    start = Barrier(len(calls))

    def run(call):
        start.wait(timeout=10)
        try:
            return call()
        except Exception as failure:  # noqa: BLE001  # whatever failed is the answer
            return failure
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_of_many_free_subscriptions_one_is_opened(company, api, ada):
    plan = api.post("/plans", {"name": "Free", "priceCents": 0, "currency": "usd"}).json()
    body = {"customerId": ada["id"], "planId": plan["id"]}

    answers = together(*[lambda: Api(company.key).post("/subscriptions", body).status_code] * AT_ONCE)

    assert Counter(answers) == {201: 1, 409: AT_ONCE - 1}
    with reading(company.scope):
        assert Event.objects.within(company.scope).filter(type="subscription.created").count() == 1


def test_of_many_default_plans_one_is_the_default(company, api):
    def make(number):
        body = {"name": f"Free {number}", "priceCents": 0, "currency": "usd", "isDefault": True}
        return Api(company.key).post("/plans", body).status_code

    answers = together(*[lambda n=n: make(n) for n in range(AT_ONCE)])

    assert answers == [201] * AT_ONCE
    with reading(company.scope):
        assert Plan.objects.within(company.scope).filter(is_default=True).count() == 1


def test_redirect_and_webhook_make_one_subscription_and_one_event(company, api, ada):
    plan = api.post("/plans", {"name": "Pro", "priceCents": 2900, "currency": "usd"}).json()
    stripe = Stripe(company, ada)
    stripe.subscribe(plan, stripe_subscription_id="sub_before", status="canceled", ended_at=NOW)

    def told():
        mine = Stripe(company, ada)
        mine.facts = stripe.facts
        return mine.becomes(stripe_subscription_id="sub_new", status="active", ended_at=None, fetched_at=FIRST_FETCH).pk

    rows = together(*[told] * AT_ONCE)

    assert len(set(rows)) == 1
    with reading(company.scope):
        assert Subscription.objects.within(company.scope).count() == 2
        steps = SubscriptionTransition.objects.within(company.scope).filter(subscription_id=rows[0])
        assert [step.name for step in steps] == ["created"]
        assert Event.objects.within(company.scope).filter(type="subscription.created").count() == 2
        assert Access.objects.within(company.scope).count() == 1


def test_a_free_plan_and_a_paid_one_at_once_leave_the_paid_one(company, api, ada):
    free = api.post("/plans", {"name": "Free", "priceCents": 0, "currency": "usd"}).json()
    plan = api.post("/plans", {"name": "Pro", "priceCents": 2900, "currency": "usd"}).json()
    stripe = Stripe(company, ada)
    stripe.know(plan)

    answers = together(
        lambda: Api(company.key).post("/subscriptions", {"customerId": ada["id"], "planId": free["id"]}).status_code,
        lambda: stripe.subscribe(plan).status,
    )

    assert answers[0] in {201, 409}
    assert answers[1] == "active"
    with reading(company.scope):
        live = Subscription.objects.within(company.scope).exclude(status="canceled")
        assert [row.stripe_subscription_id for row in live] == ["sub_stripe"]
