"""PUT and DELETE of /v1/subscriptions/:id/entitlement-overrides/:feature."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import Organization, OrganizationMember
from accounts.services.customers import create_customer
from stackbe.kernel.clock import render
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.billing.conftest import END, NOW
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never

DAY = timedelta(days=1)
GIFT = {"value": 10, "reason": "a promise"}


@pytest.fixture
def subscription(make_plan, stripe, features):
    """Ada's, to a plan of three projects."""
    return stripe.subscribe(make_plan(entitlements={"projects": 3}))


@pytest.fixture
def path(subscription):
    """The URL of its override of a feature."""
    return f"/subscriptions/{subscription.public_id}/entitlement-overrides/projects"


@pytest.fixture
def held(acme_api, customer):
    """What Ada is entitled to, and the check's answer."""
    return lambda: acme_api.get(f"/entitlements?customerId={customer['id']}").json()["entitlements"]


def test_it_holds_while_the_subscription_counts_and_ends_with_it(acme_api, path, held, stripe, at, customer):
    granted = acme_api.put(path, GIFT)

    assert (granted.status_code, granted.json()["value"]) == (200, 10)
    assert held() == {"projects": 10}
    shown = acme_api.get(f"/entitlements/check/projects?customerId={customer['id']}&explain=true").json()
    assert (shown["source"], shown["value"]) == ("override", 10)
    assert "An override of the subscription sets it to 10: a promise" in [s["detail"] for s in shown["explanation"]]
    stripe.becomes(status="canceled", ended_at=NOW, canceled_at=NOW)
    assert held() == {}
    assert acme_api.put(path, GIFT).json()["code"] == "CONFLICT"


def test_what_was_granted_to_it_is_listed_apart_from_the_customers_own(acme, globex_api, acme_api, path, customer):
    listed, whole = acme.api("entitlements:read"), path.rpartition("/")[0]
    acme_api.put(f"/customers/{customer['id']}/entitlement-overrides/projects", {"value": 20, "reason": "theirs"})
    acme_api.put(path, GIFT)

    [shown] = listed.get(whole).json()["data"]

    assert (shown["feature"], shown["value"], shown["reason"]) == ("projects", 10, "a promise")
    acme_api.delete(path)
    assert listed.get(whole).json() == {"data": [], "hasMore": False, "nextCursor": None}
    assert_needs_scope(acme.api("entitlements:write"), "entitlements:read", "GET", whole)
    assert_hidden(globex_api, "GET", whole, f"/subscriptions/{never('sub')}/entitlement-overrides")


def test_a_customers_own_override_wins_and_taking_each_back_lets_the_next_count(acme_api, path, held, customer, acme):
    own = f"/customers/{customer['id']}/entitlement-overrides/projects"
    acme_api.put(own, {"value": 20, "reason": "theirs"})
    acme_api.put(path, GIFT)

    assert held() == {"projects": 20}
    assert acme_api.delete(own).status_code == 204
    assert held() == {"projects": 10}
    assert acme_api.delete(path).status_code == 204
    assert held() == {"projects": 3}
    assert acme_api.delete(path).json()["code"] == "NOT_FOUND"
    with reading(acme.scope):
        rows = list(AuditEvent.objects.within(acme.scope).order_by("id").values_list("action", flat=True))
    done = [action.rpartition(".")[2] for action in rows if "override" in action]
    assert done == ["granted", "granted", "withdrawn", "withdrawn"]


def test_it_expires_by_the_clock_granting_again_replaces_and_the_app_is_told(acme_api, path, held, at, events):
    before = len(events("entitlements"))
    acme_api.put(path, GIFT)
    acme_api.put(path, GIFT | {"value": 11, "expiresAt": render(NOW + DAY)})

    assert held() == {"projects": 11}
    assert len(events("entitlements")) == before + 2
    at(NOW + 2 * DAY)
    assert held() == {"projects": 3}
    assert acme_api.put(path, GIFT | {"expiresAt": render(NOW)}).json()["fields"].keys() == {"expiresAt"}
    assert acme_api.put(path, GIFT | {"value": "ten"}).json()["fields"].keys() == {"value"}
    assert NOW + 2 * DAY < END


def test_every_member_of_an_organization_has_it(make_plan, stripe, features, acme, acme_api, customer):
    with change(acme.scope):
        team = Organization.unscoped.create(**owned_by(acme.scope), name="Team", slug="team", metadata={})
        ben = create_customer(acme.scope, email="ben@example.com")
        OrganizationMember.unscoped.create(**owned_by(acme.scope), organization=team, customer=ben, role="member")
    row = stripe.subscribe(make_plan(entitlements={"projects": 3}), organization_id=team.pk)

    acme_api.put(f"/subscriptions/{row.public_id}/entitlement-overrides/projects", GIFT)

    shown = acme_api.get(f"/entitlements?customerId={ben.public_id}").json()
    assert shown["entitlements"] == {"projects": 10}


def test_who_may(acme, globex_api, acme_api, path, subscription):
    unknown = f"/subscriptions/{never('sub')}/entitlement-overrides/projects"
    for method in ("PUT", "DELETE"):
        assert_needs_credential(method, path)
        assert_needs_scope(acme.api("entitlements:read"), "entitlements:write", method, path)
        assert_hidden(globex_api, method, path, unknown, GIFT if method == "PUT" else None)
    assert acme_api.put(path.replace("projects", "projetcs"), GIFT).json()["code"] == "NOT_FOUND"
