"""GET /v1/entitlements: what holds for a customer, now and by the clock."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from accounts.authentication import SessionTokenAuthentication
from accounts.models import Customer
from billing.jobs import announce_default_job, pass_dates, refresh_access_job
from billing.lifecycle import SETTLING
from billing.models import Access
from billing.services import access as services
from billing.services import copies
from stackbe.kernel.clock import render
from stackbe.kernel.ids import NIL, decode
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.transactions import change, reading
from tests.billing.conftest import END, NOW, START
from tests.cast import Api
from webhooks.models import Event

DAY = timedelta(days=1)


@pytest.fixture
def shown(acme_api, customer):
    """Ada's entitlements as the API shows them."""
    return lambda: acme_api.get(f"/entitlements?customerId={customer['id']}").json()


def test_a_subscriber_has_what_the_plan_grants(make_plan, stripe, shown):
    plan = make_plan(
        entitlements={"sso": True, "projects": None, "regions": ["eu"]},
        usage=[{"metric": "api_calls", "included": 10000}],
        seats=3,
    )
    stripe.subscribe(plan, quantity=2)

    assert shown() == {
        "planId": plan["id"],
        "planName": "Pro",
        "status": "active",
        "entitlements": {"sso": True, "projects": None, "regions": ["eu"], "calls": 10000, "seats": 6},
        "currentPeriodEnd": render(END),
    }


def test_nobodys_customer_has_nothing(customer, shown):
    assert shown() == {
        "planId": None,
        "planName": None,
        "status": "none",
        "entitlements": {},
        "currentPeriodEnd": None,
    }


def test_without_a_subscription_the_default_plan_counts(make_plan, customer, shown):
    plan = make_plan("Free", priceCents=0, isDefault=True, entitlements={"projects": 1, "calls": 50})

    assert shown()["planId"] == plan["id"]
    assert (shown()["planName"], shown()["status"]) == ("Free", "active")
    assert shown()["entitlements"] == {"projects": 1, "calls": 50}


def test_a_metered_feature_and_its_metric_are_one_number(make_plan, acme, customer, stripe):
    stripe.subscribe(make_plan(entitlements={"calls": 500}))

    with reading(acme.scope):
        row = Access.objects.within(acme.scope).get()
        assert row.limits == {"api_calls": {"included": 500, "mode": "hard", "resets": "billing_period"}}


def test_limits_hold_what_the_counter_needs(make_plan, acme, stripe):
    stripe.subscribe(
        make_plan(
            usage=[
                {"metric": "api_calls", "included": 500, "mode": "soft", "windows": [{"per": "day", "limit": 9}]},
                {"metric": "seats_used", "included": None},
            ]
        )
    )

    with reading(acme.scope):
        row = Access.objects.within(acme.scope).get()
        assert row.source == "plan:pro"
        assert (row.period_start, row.period_end) == (START, END)
        assert row.limits == {
            "api_calls": {
                "included": 500,
                "mode": "soft",
                "resets": "billing_period",
                "windows": [{"per": "day", "limit": 9}],
            },
            "seats_used": {"included": None, "mode": "hard", "resets": "never"},
        }


def test_a_cancelled_subscription_ends_by_the_clock_without_any_event(make_plan, stripe, shown, at):
    make_plan("Free", priceCents=0, isDefault=True, entitlements={"projects": 1})
    stripe.subscribe(make_plan(entitlements={"projects": 9}), cancel_at_period_end=True)

    at(END - timedelta(minutes=1))
    assert shown()["entitlements"] == {"projects": 9}
    at(END + timedelta(minutes=1))
    assert shown()["entitlements"] == {"projects": 1}
    assert shown()["planName"] == "Free"


def test_a_trial_without_a_card_ends_by_the_clock(make_plan, stripe, shown, at):
    stripe.subscribe(
        make_plan(entitlements={"sso": True}), status="trialing", trial_start=START, trial_end=NOW + 10 * DAY
    )

    assert shown()["status"] == "trialing"
    at(NOW + 10 * DAY + timedelta(minutes=1))
    assert shown()["entitlements"] == {}
    assert shown()["status"] == "canceled"


def test_past_due_keeps_access_through_the_grace_period(make_plan, stripe, shown, at, acme_api, acme):
    acme_api.patch(f"/apps/{acme.app}", {"settings": {"gracePeriodDays": 3}})
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    stripe.becomes(status="past_due")

    assert (shown()["status"], shown()["entitlements"]) == ("past_due", {"sso": True})
    at(NOW + 2 * DAY)
    assert shown()["entitlements"] == {"sso": True}
    at(NOW + 4 * DAY)
    assert (shown()["status"], shown()["entitlements"]) == ("past_due", {})


def test_a_renewal_without_news_is_believed_for_three_days(make_plan, stripe, shown, at):
    stripe.subscribe(make_plan(entitlements={"sso": True}))

    at(END + SETTLING - timedelta(minutes=1))
    assert shown()["entitlements"] == {"sso": True}
    at(END + SETTLING + timedelta(minutes=1))
    assert shown()["entitlements"] == {}


def test_a_pause_ends_access_and_its_date_brings_it_back(make_plan, stripe, shown, at):
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    stripe.becomes(collection_paused=True, resumes_at=NOW + 5 * DAY)

    assert (shown()["status"], shown()["entitlements"]) == ("paused", {})
    at(NOW + 5 * DAY + timedelta(minutes=1))
    assert (shown()["status"], shown()["entitlements"]) == ("active", {"sso": True})


def test_unpaid_incomplete_and_canceled_grant_nothing(make_plan, stripe, shown):
    stripe.subscribe(make_plan(entitlements={"sso": True}), status="incomplete")
    assert (shown()["status"], shown()["entitlements"]) == ("incomplete", {})

    stripe.becomes(status="active")
    assert shown()["entitlements"] == {"sso": True}
    stripe.becomes(status="unpaid")
    assert shown()["entitlements"] == {}
    stripe.becomes(status="canceled")
    assert (shown()["status"], shown()["entitlements"]) == ("canceled", {})


def test_a_change_tells_the_app_the_whole_state_under_a_growing_version(make_plan, stripe, customer, acme):
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    stripe.becomes(status="canceled", ended_at=NOW)

    with reading(acme.scope):
        rows = Event.objects.within(acme.scope).filter(type="entitlements.updated").order_by("id")
        states = [json.loads(row.body)["data"] for row in rows]
    assert [state["entitlements"]["entitlements"] for state in states] == [{"sso": True}, {}]
    assert states[0]["customer"]["email"] == "ada@example.com"
    assert states[0]["subscription"]["status"] == "active"
    assert states[1]["subscription"] is None
    assert states[0]["version"] < states[1]["version"]


def test_what_changes_nothing_tells_nobody(make_plan, stripe, events):
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    before = events()

    stripe.becomes(status="active")
    stripe.tell()

    assert events() == before


def test_what_a_state_shows_of_its_subscription_is_told_though_access_stays(make_plan, stripe, acme_api, customer):
    stripe.subscribe(make_plan(entitlements={"sso": True}))

    stripe.becomes(quantity=3)

    [told, _] = acme_api.get("/events?type=entitlements.updated").json()["data"]
    assert told["data"]["subscription"]["quantity"] == 3
    assert told["data"] == acme_api.get(f"/customers/{customer['id']}/state").json()


def test_the_clock_is_announced_once(make_plan, stripe, acme, at, events, as_worker):
    stripe.subscribe(make_plan(entitlements={"sso": True}), cancel_at_period_end=True)
    at(END + timedelta(minutes=1))

    assert pass_dates() == 1
    assert pass_dates() == 0

    assert events("entitlements") == ["entitlements.updated"] * 2


def test_a_session_sees_its_own_customer_alone(acme_api, acme, make_plan, stripe, customer, monkeypatch):
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    scope = Scope(
        tenant_id=acme.tenant_id,
        app_id=acme.app_id,
        credential=Credential.SESSION,
        credential_id=stripe.customer_id,
        customer_id=stripe.customer_id,
    )
    monkeypatch.setattr(SessionTokenAuthentication, "authenticate", lambda *_: (None, scope))
    session = Api("a.session.token")
    other = acme_api.post("/customers", {"email": "bob@example.com"}).json()

    assert session.get("/entitlements").json()["entitlements"] == {"sso": True}
    assert session.get(f"/entitlements?customerId={customer['id']}").status_code == 200
    assert session.get(f"/entitlements?customerId={other['id']}").status_code == 404


def test_bad_and_foreign_customers(acme_api, globex_api, customer):
    assert acme_api.get("/entitlements").json()["code"] == "MISSING_REQUIRED_FIELD"
    for name in ("cust_01jd0000000000000000000000", "nonsense", "%00"):
        response = acme_api.get(f"/entitlements?customerId={name}")
        assert response.status_code in {400, 404}, name
    assert acme_api.get("/entitlements?customerId=x&colour=red").status_code == 400
    foreign = globex_api.get(f"/entitlements?customerId={customer['id']}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")


def test_who_may(acme, customer):
    assert Api(None).get(f"/entitlements?customerId={customer['id']}").status_code == 401
    assert acme.api("plans:read").get(f"/entitlements?customerId={customer['id']}").status_code == 403
    assert acme.api("entitlements:read").get(f"/entitlements?customerId={customer['id']}").status_code == 200


def test_an_edited_plan_reaches_more_customers_than_one_batch(make_plan, acme_api, acme, stripe, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 1)
    plan = make_plan("Free", priceCents=0, entitlements={"projects": 1})
    people = [acme_api.post("/customers", {"email": f"{n}@example.com"}).json() for n in range(3)]
    for person in people:
        assert acme_api.post("/subscriptions", {"customerId": person["id"], "planId": plan["id"]}).status_code == 201

    acme_api.patch(f"/plans/{plan['id']}", {"entitlements": {"projects": 2}})
    with reading(acme.scope):
        rows = list(Access.objects.within(acme.scope).order_by("customer_id"))
    assert [row.entitlements["projects"] for row in rows] == [2, 1, 1]

    for row in rows[:2]:
        refresh_access_job(str(acme.app_id), str(decode("plan", plan["id"])), str(row.customer_id))
    with reading(acme.scope):
        assert {row.entitlements["projects"] for row in Access.objects.within(acme.scope)} == {2}


def test_access_is_one_row_however_many_refresh_at_once(make_plan, acme, stripe):
    stripe.subscribe(make_plan(entitlements={"sso": True}))

    with change(acme.scope):
        first = services.refresh_access(acme.scope, stripe.customer_id)
        second = services.refresh_access(acme.scope, stripe.customer_id)

    assert first.pk == second.pk
    assert first.version == second.version


def test_an_edited_default_plan_is_told_of_each_customer_who_has_it(
    make_plan, acme_api, acme, stripe, events, monkeypatch
):
    make_plan("Free", priceCents=0, isDefault=True, entitlements={"projects": 1})
    stripe.subscribe(make_plan(entitlements={"sso": True}))
    for number in range(3):
        acme_api.post("/customers", {"email": f"{number}@example.com"})
    before = len(events("entitlements"))
    monkeypatch.setattr(copies, "AT_ONCE", 2)

    announce_default_job(str(acme.app_id), str(NIL))
    assert len(events("entitlements")) == before + 1

    with reading(acme.scope):
        everyone = list(Customer.objects.within(acme.scope).order_by("pk").values_list("pk", flat=True))
    announce_default_job(str(acme.app_id), str(everyone[1]))
    assert len(events("entitlements")) == before + 3
