"""The session that asks is shown from one call, and shown as the ordinary way shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import App, Customer, CustomerSession
from accounts.services import proofs
from billing.models import Access, DefaultAccess
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import decode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.usage.stage import make_plan

ORDINARY = {"Accept": "application/json, text/plain"}


@pytest.fixture
def signed_in(front):
    """Return the tokens of a customer whose token has been seen before."""
    tokens = front.sign_in()
    assert front.session(tokens["sessionToken"]).status_code == 200
    return tokens


@pytest.fixture
def show(front, signed_in):
    """Show the session both ways; return the answer that both give."""

    def show(token: str = signed_in["sessionToken"]):
        short, ordinary = front.session(token), Api(token).get(f"{front.auth}/session", **ORDINARY)
        told = [
            {name: value for name, value in each.json().items() if name != "requestId"} for each in (short, ordinary)
        ]
        assert told[0] == told[1]
        assert short.status_code == ordinary.status_code
        return short

    return show


def test_it_takes_one_query(front, signed_in, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = front.session(signed_in["sessionToken"])

    assert response.json()["customer"]["email"] == "ada@example.com"
    assert response["X-RateLimit-Limit"] == "100"


def test_the_next_token_of_a_session_takes_one_query_too(front, signed_in, django_assert_num_queries):
    token = front.refresh(signed_in["refreshToken"]).json()["sessionToken"]

    with django_assert_num_queries(1):
        assert front.session(token).status_code == 200


@pytest.mark.parametrize("begun", [True, False, None], ids=["plan", "plan to come", "no plan"])
@pytest.mark.parametrize("default", [True, False], ids=["default", "no default"])
@pytest.mark.parametrize("until", [None, timedelta(hours=1), -timedelta(hours=1)], ids=["for good", "until", "over"])
def test_what_the_plan_holds_is_shown_alike(acme, signed_in, show, begun, default, until):
    moment = wall_clock()
    override = {"value": 7, "until": until and (moment + until).isoformat()}
    with change(acme.scope):
        pro, free = make_plan(acme, "pro"), make_plan(acme, "free")
        if begun is not None:
            Access.unscoped.create(
                **owned_by(acme.scope),
                customer_id=decode("cust", signed_in["customerId"]),
                plan_id=pro.id,
                plan_name="Pro",
                status="active",
                source="plan:pro",
                entitlements={"sso": True, "seats": 5},
                overrides={"seats": override},
                access_from=moment - timedelta(days=1) if begun else moment + timedelta(days=1),
            )
        if default:
            given = {"plan_id": free.id, "plan_name": "Free", "source": "plan:free", "entitlements": {"sso": False}}
            DefaultAccess.unscoped.create(**owned_by(acme.scope), **given)

    shown = show().json()["entitlements"]

    assert shown["planName"] == ("Pro" if begun else "Free" if default else None)


def test_a_name_and_metadata_are_shown_alike(acme, acme_api, signed_in, show):
    acme_api.patch(f"/customers/{signed_in['customerId']}", {"name": "Ada", "metadata": {"beta": True}})

    assert show().json()["customer"]["metadata"] == {"beta": True}


def test_what_ends_a_session_ends_it_on_the_next_request(acme, signed_in, show):
    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).update(revoked_at=wall_clock())

    assert show().json()["code"] == "SESSION_INVALID"


@pytest.mark.parametrize("column", ["archived_at", "suspended_at"])
def test_a_closed_app_shows_no_session(acme, show, column):
    with change(acme.scope):
        App.objects.within(acme.scope).update(**{column: wall_clock()})

    assert show().status_code == 401


def test_a_deleted_customer_has_no_session_to_show(acme, show):
    with change(acme.scope):
        Customer.objects.within(acme.scope).update(deleted_at=wall_clock())

    assert show().status_code == 401


def test_a_token_that_was_verified_is_refused_once_it_has_expired(signed_in, show, monkeypatch):
    monkeypatch.setattr(proofs.time, "time", lambda: wall_clock().timestamp() + 3600)

    assert proofs.proven(signed_in["sessionToken"]) is None


def test_another_apps_path_shows_nothing(front, rival, signed_in):
    response = Api(signed_in["sessionToken"]).get(f"{rival.auth}/session")

    assert (response.status_code, response.json()["code"]) == (404, "APP_NOT_FOUND")


def test_a_session_past_its_limit_is_told_to_wait(acme, front, signed_in):
    with change(acme.scope):
        App.objects.within(acme.scope).update(session_limit_per_minute=2)

    answers = [front.session(signed_in["sessionToken"]) for _ in range(3)]

    assert answers[-1].status_code == 429
    assert int(answers[-1]["Retry-After"]) > 0
