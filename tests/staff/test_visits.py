"""Staff look through a tenant's dashboard with its consent: read-only, half an hour, every page on record."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.models import App
from accounts.services.apps import list_apps
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import reading
from stackbe.staff import visits
from tests.cast import found_company
from tests.dashboard.conftest import seated
from tests.staff.conftest import hire, looks
from tests.staff.test_console import url_of

REASON = "Support asked us to look at a plan."


@pytest.fixture
def owner(acme):
    return seated(acme)


@pytest.fixture
def staff(owner):
    return hire("support")


def begin(client, company):
    return client.post(url_of("accounts.Tenant", company.tenant_id, "visit", page="deed"), {"reason": REASON})


def test_a_visit_takes_consent_shows_pages_as_they_are_and_puts_each_on_record(
    acme, owner, staff, customer, clock, mailbox
):
    refused = begin(staff, acme)
    assert refused["Location"].endswith("/change/")
    assert "has not allowed it" in staff.get(refused["Location"]).content.decode()

    owner.post("staff", hours="24")
    entered = begin(staff, acme)
    first = staff.get(entered["Location"])
    customers = staff.get(f"{entered['Location']}customers")

    assert entered["Location"] == f"/staff/visit/{encode('ten', acme.tenant_id)}/dashboard/{acme.app}/"
    assert first.status_code == 200
    html = customers.content.decode()
    assert "grace@example.com" in html
    assert "You are visiting Acme" in html
    assert f'href="{entered["Location"]}plans"' in html
    assert 'href="/dashboard/app_' not in html
    assert "unsafe-eval" not in customers["Content-Security-Policy"]
    assert "Staff are looking through Acme" in mailbox.latest("ada@example.com")["subject"]

    assert looks(acme.tenant_id, "staff.visited") == [acme.app] * 2
    page = owner.get("staff").content.decode()
    assert f"/dashboard/{acme.app}/customers" in page
    assert REASON in page

    clock.move(minutes=14)
    assert staff.get(entered["Location"]).status_code == 200
    clock.move(minutes=14)
    assert staff.get(entered["Location"]).status_code == 200
    clock.move(minutes=3)
    assert staff.get(entered["Location"]).status_code == 403


def test_taking_the_leave_back_ends_the_visit_with_its_next_page(acme, owner, staff):
    owner.post("staff", hours="1")
    entered = begin(staff, acme)["Location"]
    assert staff.get(entered).status_code == 200

    owner.post("staff", answer="revoke")

    assert staff.get(entered).status_code == 403
    assert begin(staff, acme)["Location"].endswith("/change/")
    assert looks(acme.tenant_id, "staff.visited") == [acme.app]
    assert len(looks(acme.tenant_id, "staff_access.revoked")) == 1


def test_a_visit_changes_nothing_and_goes_nowhere_else(acme, owner, staff, monkeypatch):
    rival = found_company("Globex")
    owner.post("staff", hours="1")
    entered = begin(staff, acme)["Location"]
    root = entered.partition("dashboard/")[0]

    for method in ("post", "put", "patch", "delete"):
        assert getattr(staff, method)(f"{entered}settings/archive", {"name": "Acme"}).status_code == 405
    assert staff.get(f"{root}dashboard/{rival.app}/").status_code == 404
    assert staff.get(f"{root}account/security").status_code == 403
    assert staff.get(f"{root}staff/accounts/app/").status_code in {403, 404}
    assert staff.get(f"{entered}account").status_code == 403
    assert staff.get(f"{entered}customers/files/file_01/download").status_code == 403
    other = entered.replace(encode("ten", acme.tenant_id), encode("ten", rival.tenant_id))
    assert staff.get(other).status_code == 403

    def writing(scope):
        App.objects.within(scope).update(name="Changed")
        return list_apps(scope)

    monkeypatch.setattr("accounts.dashboard.frame.list_apps", writing)
    assert staff.get(entered).status_code == 403
    monkeypatch.undo()
    with reading(acme.scope):
        assert App.objects.within(acme.scope).get().name != "Changed"
    with connection.cursor() as cursor:
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("off",)

    assert staff.post("/staff/visit/end")["Location"] == "/staff/"
    assert staff.get(entered).status_code == 403
    assert visits.NEVER


def test_only_owners_give_leave_and_only_for_hours_that_are_offered(acme, owner):
    admin = seated(acme, "admin", "admin@example.com")

    assert admin.get("staff").status_code == 403
    assert admin.client.post(admin.url("staff"), {"hours": "1"}).status_code == 403
    assert "Choose for how long" in owner.post("staff", hours="9000").content.decode()
    assert looks(acme.tenant_id, "staff_access.allowed") == []
