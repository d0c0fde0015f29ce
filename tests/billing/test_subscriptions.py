"""GET and POST of /v1/subscriptions, and what follows Stripe."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from accounts.models import Organization, OrganizationMember
from billing.errors import IllegalTransition, UnknownStripeReference
from billing.facts import StripeSubscriptionFacts
from billing.models import Access, StripeCustomer, Subscription, SubscriptionTransition
from billing.services import subscriptions as services
from stackbe.kernel.clock import render
from stackbe.kernel.ids import decode, encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.billing.conftest import ACCOUNT, END, FIRST_FETCH, NOW, START
from tests.cast import Api
from webhooks.models import Event

DAY = timedelta(days=1)
NEVER = "sub_01jd0000000000000000000000"


def test_a_stripe_subscription_becomes_ours_with_an_event_and_a_history(
    make_plan, stripe, acme, acme_api, customer, events
):
    plan = make_plan()

    row = stripe.subscribe(plan, quantity=2)

    shown = acme_api.get(f"/subscriptions/{row.public_id}").json()
    assert shown == {
        "id": row.public_id,
        "status": "active",
        "customerId": customer["id"],
        "organizationId": None,
        "planId": plan["id"],
        "quantity": 2,
        "currentPeriodStart": render(START),
        "currentPeriodEnd": render(END),
        "cancelAtPeriodEnd": False,
        "scheduledChange": None,
        "canceledAt": None,
        "trialStart": None,
        "trialEnd": None,
        "trialConvertedAt": None,
        "pausedAt": None,
        "resumesAt": None,
        "gracePeriodEndsAt": None,
        "stripeSubscriptionId": "sub_stripe",
        "createdAt": shown["createdAt"],
    }
    assert events("subscription", "entitlements") == ["subscription.created", "entitlements.updated"]
    history = acme_api.get(f"/subscriptions/{row.public_id}/history").json()["data"]
    assert [(step["transition"], step["toStatus"], step["cause"]) for step in history] == [
        ("created", "active", "stripe:evt_1")
    ]


def test_the_event_carries_subscription_customer_and_plan(make_plan, stripe, acme, customer):
    plan = make_plan()
    row = stripe.subscribe(plan)

    with reading(acme.scope):
        event = Event.objects.within(acme.scope).get(type="subscription.created")
        data = json.loads(event.body)["data"]
    assert data["subscription"]["id"] == row.public_id
    assert data["customer"]["id"] == customer["id"]
    assert data["plan"]["id"] == plan["id"]
    assert data["plan"]["priceCents"] == 2900


def test_the_plan_is_shown_where_it_is_asked_for(make_plan, stripe, acme_api):
    plan = make_plan()
    row = stripe.subscribe(plan)

    assert "plan" not in acme_api.get(f"/subscriptions/{row.public_id}").json()
    for path in (f"/subscriptions/{row.public_id}?expand=plan", "/subscriptions?expand=plan"):
        body = acme_api.get(path).json()
        assert (body["data"][0] if "data" in body else body)["plan"]["slug"] == "pro"
    assert acme_api.get(f"/subscriptions/{row.public_id}?expand=everything").status_code == 400


def test_late_and_repeated_facts_change_nothing(make_plan, stripe, events):
    stripe.subscribe(make_plan())
    stripe.becomes(quantity=3)
    before = events()

    stripe.becomes(quantity=3)
    row = stripe.becomes(quantity=1, fetched_at=FIRST_FETCH)

    assert row.quantity == 3
    assert events() == before


def test_an_unchanged_look_still_makes_older_ones_stale(make_plan, stripe):
    stripe.subscribe(make_plan())
    stripe.becomes(fetched_at=FIRST_FETCH + timedelta(hours=3))

    row = stripe.becomes(quantity=9, fetched_at=FIRST_FETCH + timedelta(hours=2))

    assert row.quantity == 1


def test_a_life_has_its_events_and_its_history(make_plan, stripe, acme_api, events):
    row = stripe.subscribe(make_plan(), status="trialing", trial_start=START, trial_end=NOW - timedelta(hours=1))
    stripe.becomes(status="active")
    stripe.becomes(status="past_due")
    stripe.becomes(status="active")
    stripe.becomes(collection_paused=True)
    stripe.becomes(collection_paused=False)
    stripe.becomes(cancel_at_period_end=True)
    stripe.becomes(cancel_at_period_end=False)
    stripe.becomes(status="canceled", ended_at=NOW)

    history = acme_api.get(f"/subscriptions/{row.public_id}/history").json()["data"]
    assert [step["transition"] for step in reversed(history)] == [
        "created", "trial_converted", "payment_failed", "recovered", "paused", "resumed",
        "cancellation_set", "cancellation_withdrawn", "canceled",
    ]  # fmt: skip
    assert events("subscription") == [
        "subscription.created", "subscription.updated", "subscription.updated", "subscription.updated",
        "subscription.paused", "subscription.resumed", "subscription.updated", "subscription.updated",
        "subscription.canceled",
    ]  # fmt: skip
    assert history[0]["changes"]["status"] == ["active", "canceled"]
    assert history[-1]["changes"]["planId"] == [None, encode("plan", row.plan_id)]
    assert not [name for step in history for name in step["changes"] if "_" in name]
    assert acme_api.get(f"/subscriptions/{row.public_id}").json()["trialConvertedAt"] is not None


def test_what_stripe_excludes_is_refused_and_leaves_nothing(make_plan, stripe, acme, events):
    stripe.subscribe(make_plan())
    stripe.becomes(status="canceled", ended_at=NOW)
    before = events()

    with pytest.raises(IllegalTransition, match="canceled cannot become active"):
        stripe.becomes(status="active", ended_at=None)

    assert events() == before


def test_an_unknown_price_or_customer_is_none_of_ours(make_plan, stripe, acme):
    stripe.subscribe(make_plan())

    for changes in (
        {"stripe_subscription_id": "sub_2", "stripe_price_id": "price_theirs"},
        {"stripe_subscription_id": "sub_3", "stripe_customer_id": "cus_theirs"},
        {"stripe_subscription_id": "sub_4", "account": "acct_theirs"},
    ):
        with pytest.raises(UnknownStripeReference), change(acme.scope):
            services.apply_stripe_subscription(
                acme.scope, StripeSubscriptionFacts(**(_fields(stripe.facts) | changes)), "stripe:evt_9"
            )


def test_a_price_made_by_hand_keeps_the_plan(make_plan, stripe):
    row = stripe.subscribe(make_plan())

    changed = stripe.becomes(stripe_price_id="price_by_hand", quantity=2)

    assert (changed.plan_id, changed.quantity) == (row.plan_id, 2)


def test_the_same_stripe_ids_in_two_apps_are_two_subscriptions(make_plan, stripe, globex, acme_api, globex_api):
    mine = stripe.subscribe(make_plan())

    assert globex_api.get(f"/subscriptions/{mine.public_id}").json()["code"] == "SUBSCRIPTION_NOT_FOUND"
    assert globex_api.get("/subscriptions").json()["data"] == []
    with change(globex.scope), pytest.raises(UnknownStripeReference):
        services.apply_stripe_subscription(globex.scope, stripe.facts, "stripe:evt_1")


def test_a_paid_subscription_takes_the_place_of_a_free_one(make_plan, stripe, acme_api, customer, events):
    free = make_plan("Free", priceCents=0)
    acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": free["id"]})

    row = stripe.subscribe(make_plan())

    rows = acme_api.get(f"/subscriptions?customerId={customer['id']}").json()["data"]
    assert [(r["id"] == row.public_id, r["status"]) for r in rows] == [(True, "active"), (False, "canceled")]
    assert events("subscription") == ["subscription.created", "subscription.canceled", "subscription.created"]


def test_a_second_one_found_at_stripe_is_recorded_and_marked(make_plan, stripe, acme):
    first = stripe.subscribe(make_plan())
    second = stripe.subscribe(make_plan("Other"), stripe_subscription_id="sub_second")

    assert (first.beside_another, second.beside_another) == (False, True)
    stripe.becomes(status="canceled", ended_at=NOW)
    assert second.status == "active"


def test_the_one_beside_moves_up_when_the_first_ends(make_plan, stripe, acme):
    plan = make_plan()
    stripe.subscribe(plan)
    first_facts = stripe.facts
    second = stripe.subscribe(make_plan("Other"), stripe_subscription_id="sub_second")
    stripe.facts = first_facts

    stripe.becomes(status="canceled", ended_at=NOW)

    with reading(acme.scope):
        again = services.find_subscription(acme.scope, second.pk)
        assert (again.status, again.beside_another) == ("active", False)
        assert Access.objects.within(acme.scope).get().subscription_id == second.pk


def test_a_free_plan_needs_no_stripe(make_plan, acme_api, customer, events):
    free = make_plan("Free", priceCents=0, entitlements={"projects": 1})

    made = acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": free["id"]})

    assert made.status_code == 201
    assert (made.json()["status"], made.json()["stripeSubscriptionId"]) == ("active", None)
    assert made.json()["currentPeriodEnd"] is None
    shown = acme_api.get(f"/entitlements?customerId={customer['id']}").json()
    assert shown["entitlements"] == {"projects": 1}
    assert events("subscription") == ["subscription.created"]
    again = acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": free["id"]})
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")


def test_a_trial_without_a_card_is_had_once(make_plan, acme_api, customer, at):
    plan = make_plan(trialDays=14, trialRequiresCard=False)
    body = {"customerId": customer["id"], "planId": plan["id"]}

    made = acme_api.post("/subscriptions", body).json()
    assert made["status"] == "trialing"
    assert made["trialEnd"] == made["currentPeriodEnd"]

    at(NOW + 15 * DAY)
    assert acme_api.get(f"/subscriptions/{made['id']}").json()["status"] == "canceled"
    refused = acme_api.post("/subscriptions", body)
    assert refused.status_code == 409
    assert "trial" in refused.json()["message"]


def test_what_costs_money_goes_to_a_checkout(make_plan, acme_api, customer):
    response = acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": make_plan()["id"]})

    assert response.status_code == 400
    assert "checkout" in response.json()["message"]


def test_an_archived_plan_is_not_sold(make_plan, acme_api, customer):
    free = make_plan("Free", priceCents=0)
    acme_api.delete(f"/plans/{free['id']}")

    response = acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": free["id"]})

    assert response.status_code == 409


@pytest.mark.parametrize(
    ("change_of", "status", "code"),
    [
        ({"customerId": None}, 400, "VALIDATION_ERROR"),
        ({"customerId": 5}, 400, "VALIDATION_ERROR"),
        ({"customerId": "cust_01jd0000000000000000000000"}, 404, "CUSTOMER_NOT_FOUND"),
        ({"planId": "plan_01jd0000000000000000000000"}, 404, "PLAN_NOT_FOUND"),
        ({"planId": "x\0"}, 400, "VALIDATION_ERROR"),
        ({"price": 5}, 400, "VALIDATION_ERROR"),
    ],
)
def test_bad_input(make_plan, acme_api, customer, change_of, status, code):
    free = make_plan("Free", priceCents=0)
    body = {"customerId": customer["id"], "planId": free["id"]} | change_of

    response = acme_api.post("/subscriptions", body)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_lists_are_narrowed(make_plan, stripe, acme_api, customer):
    row = stripe.subscribe(make_plan())
    other = acme_api.post("/customers", {"email": "bob@example.com"}).json()

    def found(query):
        return [r["id"] for r in acme_api.get(f"/subscriptions?{query}").json()["data"]]

    assert found(f"customerId={customer['id']}") == [row.public_id]
    assert found(f"customerId={other['id']}") == []
    assert found("status=active") == [row.public_id]
    assert found("status=canceled") == []
    assert acme_api.get("/subscriptions?status=sleeping").status_code == 400
    assert acme_api.get("/subscriptions?customerId=nobody").status_code == 404


def test_a_long_list_costs_no_more_queries(make_plan, acme_api, django_assert_max_num_queries):
    free = make_plan("Free", priceCents=0)
    for number in range(5):
        person = acme_api.post("/customers", {"email": f"{number}@example.com"}).json()
        acme_api.post("/subscriptions", {"customerId": person["id"], "planId": free["id"]})

    with django_assert_max_num_queries(10):
        assert len(acme_api.get("/subscriptions?expand=plan").json()["data"]) == 5


@pytest.mark.parametrize(
    ("facts", "has", "reason"),
    [
        ({}, True, "active"),
        ({"status": "trialing", "trial_end": NOW + DAY}, True, "trialing"),
        ({"status": "past_due"}, True, "past_due_in_grace"),
        ({"status": "unpaid"}, False, "grace_period_over"),
        ({"collection_paused": True}, False, "paused"),
        ({"status": "canceled", "ended_at": NOW}, False, "canceled"),
        ({"status": "incomplete"}, False, "incomplete"),
    ],
)
def test_access_says_why(make_plan, stripe, acme_api, facts, has, reason):
    row = stripe.subscribe(make_plan(), **facts)

    shown = acme_api.get(f"/subscriptions/{row.public_id}/access").json()

    assert (shown["hasAccess"], shown["reason"]) == (has, reason)
    assert (shown["until"] is not None) == has


def test_an_organizations_subscription_serves_its_members(make_plan, stripe, acme, acme_api, customer):
    bob = acme_api.post("/customers", {"email": "bob@example.com"}).json()
    with change(acme.scope):
        organization = Organization.unscoped.create(**owned_by(acme.scope), name="Team", slug="team", metadata={})
        for person in (customer, bob):
            OrganizationMember.unscoped.create(
                **owned_by(acme.scope),
                organization=organization,
                customer_id=decode("cust", person["id"]),
                role="member",
            )

    stripe.subscribe(make_plan(entitlements={"sso": True}), organization_id=organization.pk)

    for person in (customer, bob):
        shown = acme_api.get(f"/entitlements?customerId={person['id']}").json()
        assert shown["entitlements"] == {"sso": True}
    with reading(acme.scope):
        assert {row.source for row in Access.objects.within(acme.scope)} == {"organization"}


def test_what_must_end_at_stripe_before_an_erasure(make_plan, stripe, acme):
    stripe.subscribe(make_plan())

    with reading(acme.scope):
        assert services.live_stripe_subscriptions(acme.scope, stripe.customer_id) == [(ACCOUNT, "sub_stripe")]
    stripe.becomes(status="canceled", ended_at=NOW)
    with reading(acme.scope):
        assert services.live_stripe_subscriptions(acme.scope, stripe.customer_id) == []


def test_the_history_cannot_be_altered(make_plan, stripe, acme):
    stripe.subscribe(make_plan())

    with change(acme.scope), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        SubscriptionTransition.objects.within(acme.scope).update(cause="nobody")


def test_a_rival_finds_nothing(make_plan, stripe, globex_api):
    row = stripe.subscribe(make_plan())

    for end in ("", "/history", "/access"):
        theirs = globex_api.get(f"/subscriptions/{row.public_id}{end}")
        nobodys = globex_api.get(f"/subscriptions/{NEVER}{end}")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["code"] == nobodys.json()["code"] == "SUBSCRIPTION_NOT_FOUND"


def test_who_may(acme, make_plan, stripe):
    row = stripe.subscribe(make_plan())
    reader, writer = acme.api("subscriptions:read"), acme.api("subscriptions:write")

    for path in ("", f"/{row.public_id}", f"/{row.public_id}/history", f"/{row.public_id}/access"):
        assert Api(None).get(f"/subscriptions{path}").status_code == 401
        assert reader.get(f"/subscriptions{path}").status_code == 200
        assert writer.get(f"/subscriptions{path}").json()["code"] == "INSUFFICIENT_SCOPE"
    assert reader.post("/subscriptions", {}).status_code == 403
    assert Api(None).post("/subscriptions", {}).status_code == 401


def test_the_database_allows_one_live_subscription_per_customer(make_plan, stripe, acme):
    row = stripe.subscribe(make_plan())

    with change(acme.scope):
        twin = services.find_subscription(acme.scope, row.pk)
        twin.pk = Subscription().pk
        twin.stripe_subscription_id = "sub_twin"
        with pytest.raises(IntegrityError, match="one_live_subscription_per_customer"), transaction.atomic():
            twin.save(force_insert=True)


def test_a_link_decides_whose_it_is_where_metadata_does_not(make_plan, stripe, acme, acme_api):
    row = stripe.subscribe(make_plan())

    with reading(acme.scope):
        link = StripeCustomer.objects.within(acme.scope).get()
        assert row.customer_id == link.customer_id


def _fields(facts):
    return {name: getattr(facts, name) for name in facts.__slots__}
