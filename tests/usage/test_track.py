"""POST /v1/usage/track"""

from __future__ import annotations

import pytest

from accounts.models import Customer, domain_index, email_index
from billing.models import Access, Plan, Product
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from usage.services.metrics import create_metric
from usage.tasks import announce


@pytest.fixture
def customer(acme):
    with change(acme.scope) as unit:
        key = unit.keys.secret("blind_index", acme.app_id)
        row = Customer(
            **owned_by(acme.scope),
            email="ada@example.com",
            metadata={},
            email_index=email_index(key, "ada@example.com"),
            domain_index=domain_index(key, "ada@example.com"),
        )
        row.save()
        create_metric(acme.scope, name="api_calls", aggregation="sum", unit="call", resets="month")
        product = Product.unscoped.create(**owned_by(acme.scope), name="Pro", metadata={})
        plan = Plan.unscoped.create(**owned_by(acme.scope), product=product, name="Pro", slug="pro")
        Access.unscoped.create(
            **owned_by(acme.scope),
            customer=row,
            plan_id=plan.id,
            plan_name="Pro",
            status="active",
            source="plan:pro",
            entitlements={"api_calls": 10, "sso": True},
            limits={"api_calls": {"included": 10, "mode": "hard"}},
        )
    return row


def event(customer, **more):
    return {"customerId": customer.public_id, "metric": "api_calls", **more}


def test_a_call_is_counted_and_the_figures_come_back(acme_api, customer):
    response = acme_api.post("/usage/track", event(customer, quantity=3))

    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["success"], body["allowed"], body["currentUsage"], body["remaining"]) == (True, True, 3, 7)


def test_over_a_hard_limit_nothing_is_counted(acme_api, customer):
    acme_api.post("/usage/track", event(customer, quantity=9))

    response = acme_api.post("/usage/track", event(customer, quantity=2))

    assert response.status_code == 409
    assert response.json()["code"] == "USAGE_LIMIT_EXCEEDED"
    assert response.json()["usage"]["currentUsage"] == 9


def test_an_idempotency_key_counts_once(acme_api, customer):
    for _ in range(3):
        response = acme_api.post("/usage/track", event(customer, quantity=2, idempotencyKey="k1"))

    assert response.json()["currentUsage"] == 2


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json, text/plain"}], ids=["quick", "ordinary"])
def test_a_check_answers_alike_either_way(acme_api, customer, headers):
    one = acme_api.get(f"/entitlements/check/sso?customerId={customer.public_id}", **headers)
    many = acme_api.post(
        "/entitlements/check", {"customerId": customer.public_id, "features": ["sso", "nope"]}, **headers
    )

    assert one.json() == {"hasAccess": True, "value": True, "source": "plan:pro", "reason": None}
    assert many.json()["results"]["nope"] == {"hasAccess": False, "value": None, "source": "plan:pro"}
    assert one["X-RateLimit-Limit"] == "60000"


def test_a_check_takes_one_round_trip_once_warm(acme_api, customer, django_assert_num_queries):
    path = f"/entitlements/check/sso?customerId={customer.public_id}"
    acme_api.get(path)

    with django_assert_num_queries(1):
        acme_api.get(path)


def test_a_track_takes_two(acme_api, customer, django_assert_num_queries):
    acme_api.post("/usage/track", event(customer))

    with django_assert_num_queries(2):
        acme_api.post("/usage/track", event(customer))


def test_the_figures_show_under_usage(acme_api, customer):
    acme_api.post("/usage/track", event(customer, quantity=4))

    body = acme_api.get(f"/usage?customerId={customer.public_id}").json()

    assert body["metrics"][0]["currentUsage"] == 4
    checked = acme_api.get(f"/usage/check?customerId={customer.public_id}&metric=api_calls&quantity=7").json()
    assert (checked["allowed"], checked["remaining"]) == (False, 6)


def test_passing_a_threshold_is_announced_once(acme, acme_api, customer):
    acme_api.post("/usage/track", event(customer, quantity=9))
    acme_api.post("/usage/track", event(customer, quantity=1))

    with change(acme.scope):
        assert announce(acme.scope) == 2
        assert announce(acme.scope) == 0

    told = [e for e in acme_api.get("/events").json()["data"] if e["type"] == "usage.threshold_reached"]
    assert sorted(e["data"]["percent"] for e in told) == [80, 100]


def test_the_state_is_one_call(acme_api, customer):
    acme_api.post("/usage/track", event(customer, quantity=4))

    body = acme_api.get(f"/customers/{customer.public_id}/state").json()

    assert body["customer"]["id"] == customer.public_id
    assert body["entitlements"]["planName"] == "Pro"
    assert body["usage"][0]["currentUsage"] == 4
    assert body["version"] >= 1
