"""What was an app's ends with the app, and never follows it to another owner (security check 22)."""

from __future__ import annotations

import os

import psycopg
import pytest

from accounts.models import App
from accounts.services.apps import archive_app
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change
from tests.cast import Api, found_company
from tests.signin.conftest import Front
from tests.signin.people import Browser


def archive(company) -> None:
    with change(company.scope):
        archive_app(company.scope, company.app)


def suspend(company) -> None:
    with change(company.scope):
        App.objects.within(company.scope).filter(pk=company.app_id).update(suspended_at=wall_clock())


@pytest.mark.django_db
@pytest.mark.parametrize("close", [archive, suspend])
def test_a_closed_apps_sessions_links_codes_and_keys_open_nothing_any_more(front, acme, close):
    signed_in, link = front.sign_in(), front.link("bob@example.com")
    code = Browser().post("/auth/confirm", {"token": front.link("eve@example.com")}).headers["Location"]
    minted = acme.api("auth:write")

    close(acme)

    assert front.session(signed_in["sessionToken"]).status_code == 401
    assert Api(signed_in["sessionToken"]).get("/me").status_code == 401
    assert front.refresh(signed_in["refreshToken"]).status_code == 404
    assert front.verify(link).status_code == 404
    assert Browser().post("/auth/confirm", {"token": link}).status_code == 410
    assert front.verify(code.partition("token=")[2]).status_code == 404
    assert front.backend.get("/customers").status_code == 401
    assert minted.post(f"/customers/{signed_in['customerId']}/sessions").status_code == 401
    assert Api(acme.publishable, Origin="http://localhost:3000").post(f"{front.auth}/magic-link", {}).status_code == 401


@pytest.mark.django_db
def test_a_link_that_was_asked_for_before_the_end_is_mailed_to_nobody(front, acme):
    front.ask()

    archive(acme)

    assert front.mailbox("ada@example.com") == []


def test_an_app_cannot_be_moved_to_another_owner_while_anything_of_it_stands(committed, mailbox):
    """Every row of an app names its tenant as well: the database refuses to part the two."""
    company, buyer = found_company("Acme"), found_company("Globex")
    front = Front(company, mailbox)
    token = front.sign_in()["sessionToken"]

    with (
        psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner,
        pytest.raises(psycopg.errors.ForeignKeyViolation),
    ):
        owner.execute("select set_config('stackbe.tenant', %s, true)", [str(company.tenant_id)])
        owner.execute("alter table accounts_app no force row level security")
        owner.execute("update accounts_app set tenant_id = %s where id = %s", [buyer.tenant_id, company.app_id])
        owner.commit()

    assert front.session(token).status_code == 200
    assert Api(buyer.tenant_key, X_StackBE_App=company.app).get("/customers").status_code in {403, 404}
