"""POST /v1/subscriptions/:id/cancel and /reactivate."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.erasure import run_erasure
from billing.stripe.endings import end_for_erasure
from stackbe.kernel import ids
from tests.cast import Api, Company


def at_stripe(shop: Any) -> dict[str, Any]:
    found = shop.sandbox.get("/v1/subscriptions?status=all", shop.account_id)["data"]
    assert len(found) == 1
    return dict(found[0])


def test_canceling_keeps_what_was_paid_for(shop: Any):
    subscription = shop.subscribe()

    answer = shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"reason": "too dear"})

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["cancelAtPeriodEnd"]) == ("active", True)
    assert at_stripe(shop)["cancel_at_period_end"] is True
    assert at_stripe(shop)["cancellation_details"]["comment"] == "too dear"


def test_canceling_at_once_ends_access_now(shop: Any):
    subscription = shop.subscribe()

    answer = shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})

    assert answer.json()["status"] == "canceled"
    assert at_stripe(shop)["status"] == "canceled"
    assert shop.current().status_code == 404


def test_canceling_twice_makes_one_event(shop: Any):
    subscription = shop.subscribe()

    for _ in range(2):
        assert shop.api.post(f"/subscriptions/{subscription['id']}/cancel").status_code == 200
    shop.deliver()

    assert shop.events().count("subscription.updated") == 1


@pytest.mark.parametrize(
    ("verb", "other", "taken_back", "stands"),
    [
        ("cancel", "reactivate", "cancel_at_period_end=false", lambda body: body["cancel_at_period_end"]),
        ("pause", "resume", "pause_collection=", lambda body: body["pause_collection"] is not None),
    ],
)
def test_what_was_taken_back_unheard_is_asked_for_anew(shop: Any, verb: str, other: str, taken_back: str, stands: Any):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}"
    shop.api.post(f"{path}/{verb}")
    stripe_path = f"/v1/subscriptions/{subscription['stripeSubscriptionId']}"
    shop.sandbox.call("POST", stripe_path, dict([taken_back.split("=")]), account=shop.account_id)
    assert not stands(at_stripe(shop))

    again = shop.api.post(f"{path}/{verb}")

    assert again.status_code == 200
    assert stands(at_stripe(shop))
    assert shop.api.post(f"{path}/{other}").status_code == 200
    assert not stands(at_stripe(shop))


def test_a_set_end_is_taken_back(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")

    for _ in range(2):
        answer = shop.api.post(f"/subscriptions/{subscription['id']}/reactivate")
        assert (answer.status_code, answer.json()["cancelAtPeriodEnd"]) == (200, False)

    assert at_stripe(shop)["cancel_at_period_end"] is False


def test_what_is_over_does_not_return(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})

    answer = shop.api.post(f"/subscriptions/{subscription['id']}/reactivate")

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


def test_the_history_names_who_did_it(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")

    steps = shop.api.get(f"/subscriptions/{subscription['id']}/history").json()["data"]

    assert steps[0]["transition"] == "cancellation_set"
    assert steps[0]["cause"].startswith("key_")


@pytest.mark.parametrize("verb", ["cancel", "reactivate"])
def test_stripe_down_changes_nothing_and_the_same_request_succeeds_later(shop: Any, settings: Any, verb: str):
    subscription = shop.subscribe()
    if verb == "reactivate":
        shop.api.post(f"/subscriptions/{subscription['id']}/cancel")
    before = shop.current().content
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"

    down = shop.api.post(f"/subscriptions/{subscription['id']}/{verb}", Idempotency_Key="k")

    assert (down.status_code, down.json()["code"]) == (503, "STRIPE_UNAVAILABLE")
    assert shop.current().content == before
    settings.STRIPE_API_BASE = there
    again = shop.api.post(f"/subscriptions/{subscription['id']}/{verb}", Idempotency_Key="k")
    assert (again.status_code, again.json()["cancelAtPeriodEnd"]) == (200, verb == "cancel")


@pytest.mark.parametrize("verb", ["cancel", "reactivate"])
def test_a_rival_and_a_stranger_get_nowhere(shop: Any, globex_api: Api, acme: Company, verb: str):
    subscription = shop.subscribe()
    path = f"/subscriptions/{subscription['id']}/{verb}"

    assert globex_api.post(path).status_code == 404
    assert Api(None).post(path).status_code == 401
    assert acme.api("subscriptions:read").post(path).status_code == 403
    assert shop.current().json()["status"] == "active"


def test_canceling_what_ended_unheard_at_stripe_says_that_it_ended(shop: Any):
    subscription = shop.subscribe()
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{subscription['stripeSubscriptionId']}", account=shop.account_id)

    for body in ({}, {"immediately": True}):
        answer = shop.api.post(f"/subscriptions/{subscription['id']}/cancel", body)
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")

    assert shop.events().count("subscription.canceled") == 1


def test_a_cancellation_whose_answer_was_lost_is_found_done(shop: Any):
    subscription = shop.subscribe()
    path, body = f"/subscriptions/{subscription['id']}/cancel", {"immediately": True}
    shop.sandbox.fault("api_cut", path="/v1/subscriptions", count=1)
    lost = shop.api.post(path, body)

    again = shop.api.post(path, body)

    assert {lost.status_code, again.status_code} <= {200, 503}
    assert (again.status_code, again.json()["status"]) == (200, "canceled")


def test_what_ended_unheard_at_stripe_does_not_return(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")
    shop.sandbox.call("DELETE", f"/v1/subscriptions/{subscription['stripeSubscriptionId']}", account=shop.account_id)

    answer = shop.api.post(f"/subscriptions/{subscription['id']}/reactivate")

    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
    assert shop.api.get(f"/subscriptions/{subscription['id']}").json()["status"] == "canceled"


def test_a_free_subscription_ends_without_stripe(shop: Any, settings: Any):
    customer = shop.api.post("/customers", {"email": "eve@example.com"}).json()["id"]
    free = shop.add_plan("Free", 0)
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    made = shop.api.post("/subscriptions", {"customerId": customer, "planId": free})
    assert made.status_code == 201, made.json()

    answer = shop.api.post(f"/subscriptions/{made.json()['id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


def test_who_is_deleted_is_no_longer_charged(shop: Any):
    shop.subscribe()
    customer = shop.customer()

    assert shop.api.delete(f"/customers/{customer}").status_code == 202
    run_erasure(shop.company.scope, ids.decode("cust", customer))

    assert at_stripe(shop)["status"] == "canceled"
    end_for_erasure(shop.company.scope, ids.decode("cust", customer))
