"""A suspension by staff bites on keys, sessions and links at once, on the short ways too, and is lifted as fast."""

from __future__ import annotations

import pytest

from accounts.models import App, Tenant, User
from apikeys.models import ApiKey
from apikeys.text import read
from stackbe.kernel.errors import Conflict, ValidationFailed
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from stackbe.staff.services import set_suspended
from tests.cast import Api
from tests.dashboard.conftest import seated
from tests.signin.people import Browser

REASON = "Reported for abuse."


@pytest.fixture
def guard(db):
    """Somebody of staff who may suspend."""
    return User(id=new_id(), staff_role="security")


def row_of(company, kind):
    with reading(company.scope):
        if kind == "tenant":
            return Tenant.unscoped.get(pk=company.tenant_id)
        if kind == "app":
            return App.objects.within(company.scope).get(pk=company.app_id)
        return ApiKey.objects.within(company.scope).get(lookup=read(company.key).lookup)


def answers_to_the_key(company):
    """Return the statuses of a key's calls: the ordinary way, and each of the short ones."""
    api, nobody = Api(company.key), encode("cust", new_id())
    return {
        "me": api.get("/me").status_code,
        "check": api.post("/entitlements/check", {"customerId": nobody, "feature": "sso"}).status_code,
        "track": api.post("/usage/track", {"customerId": nobody, "metric": "calls"}).status_code,
        "link": api.post(f"/apps/{company.app}/auth/magic-link", {"email": "eve@example.com"}).status_code,
    }


@pytest.mark.parametrize("kind", ["tenant", "app"])
def test_a_suspended_tenant_or_app_is_refused_on_every_path_and_goes_on_when_let(front, acme, guard, mailbox, kind):
    desk = seated(acme)
    signed_in, link = front.sign_in(), front.link("bob@example.com")
    assert front.session(signed_in["sessionToken"]).status_code == 200
    before = answers_to_the_key(acme)

    set_suspended(guard, row_of(acme, kind), suspended=True, reason=REASON)

    assert set(answers_to_the_key(acme).values()) == {401}
    assert Api(acme.tenant_key, **{"X-StackBE-App": acme.app}).get("/customers").status_code == 401
    publishable = Api(acme.publishable, Origin="http://localhost:3000")
    assert publishable.post(f"{front.auth}/magic-link", {"email": "eve@example.com"}).status_code == 401
    assert front.session(signed_in["sessionToken"]).status_code == 401
    assert Api(signed_in["sessionToken"]).get("/me").status_code == 401
    assert front.refresh(signed_in["refreshToken"]).status_code == 404
    assert front.verify(link).status_code == 404
    assert Browser().post("/auth/confirm", {"token": link}).status_code == 410
    page = desk.get()
    assert page.status_code == 403
    assert "Reason given: Reported for abuse" in page.content.decode()
    assert "is suspended" in mailbox.latest("ada@example.com")["subject"]
    assert REASON in mailbox.latest("ada@example.com")["text"]

    set_suspended(guard, row_of(acme, kind), suspended=False, reason="It was a mistake of ours.")

    assert answers_to_the_key(acme) == before
    assert front.session(signed_in["sessionToken"]).status_code == 200
    assert front.verify(link).status_code == 200
    assert desk.get().status_code == 200
    assert "goes on" in mailbox.latest("ada@example.com")["subject"]


def test_one_key_is_suspended_by_itself_and_has_no_successor_meanwhile(acme, guard):
    desk = seated(acme)
    before, row = answers_to_the_key(acme), row_of(acme, "key")

    set_suspended(guard, row, suspended=True, reason=REASON)

    assert set(answers_to_the_key(acme).values()) == {401}
    assert Api(acme.tenant_key).get("/me").status_code == 200
    assert "Suspended" in desk.get("keys").content.decode()
    refused = Api(acme.tenant_key).post(f"/apps/{acme.app}/api-keys/{row.public_id}/rotate")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")

    set_suspended(guard, row_of(acme, "key"), suspended=False, reason=REASON)

    assert answers_to_the_key(acme) == before


def test_it_takes_a_reason_is_on_record_once_and_not_undone_in_a_deletion(acme, guard):
    row = row_of(acme, "tenant")

    with pytest.raises(ValidationFailed):
        set_suspended(guard, row, suspended=True, reason="because")
    done = [set_suspended(guard, row, suspended=True, reason=REASON) for _ in range(2)]

    assert done == [True, False]
    with reading(acme.scope):
        (kept,) = AuditEvent.objects.within(acme.scope).filter(action="tenant.suspended")
        assert kept.actor == encode("staff", guard.pk)
        assert kept.actor_role == "security"
        assert kept.detail["reason"] == REASON
        assert kept.detail["before"] is None
        assert kept.detail["after"]
        Tenant.unscoped.filter(pk=acme.tenant_id).update(erasing_at=kept.occurred_at)
    with pytest.raises(Conflict):
        set_suspended(guard, row, suspended=False, reason=REASON)


def test_an_account_that_is_suspended_makes_no_new_app(acme, guard):
    desk = seated(acme)
    set_suspended(guard, row_of(acme, "tenant"), suspended=True, reason=REASON)

    made = desk.client.post("/dashboard/new", {"name": "Way round", "environment": "test"})

    assert made.status_code == 403
