"""Staff look through a tenant's dashboard with its consent: read-only, half an hour, every page on record."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from accounts.models import App
from accounts.services.apps import list_apps
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import reading
from stackbe.staff import visits
from tests.cast import Api, found_company
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
    assert "grace@example.com" not in html
    assert "•••" in html
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

    staff.handler.enforce_csrf_checks = True
    for method in ("post", "put", "patch", "delete"):
        assert getattr(staff, method)(f"{entered}settings/archive", {"name": "Acme"}).status_code == 405
    staff.handler.enforce_csrf_checks = False
    assert staff.get(f"{root}dashboard/{rival.app}/").status_code == 404
    assert staff.get(f"{root}account/security").status_code == 403
    assert staff.get(f"{root}staff/accounts/app/").status_code in {403, 404}
    assert staff.get(f"{entered}account").status_code == 403
    assert staff.get(f"{entered}customers/files/file_01/download").status_code == 403
    other = entered.replace(encode("ten", acme.tenant_id), encode("ten", rival.tenant_id))
    assert staff.get(other).status_code == 403
    assert staff.get(entered).status_code == 200
    # Each was refused, and each is on record where the tenant reads it: as every page that was shown.
    refused, nowhere = looks(acme.tenant_id, "staff.visit_refused"), encode("ten", acme.tenant_id)
    assert refused == [acme.app] * 4 + [nowhere] * 4
    assert looks(rival.tenant_id, "staff.visit_refused") == []
    told = owner.get("staff").content.decode()
    assert told.count("Asked for what a visit refuses") == 8
    assert "DELETE, refused" in told

    def writing(scope):
        App.objects.within(scope).update(name="Changed")
        return list_apps(scope)

    monkeypatch.setattr("accounts.dashboard.frame.list_apps", writing)
    refused = staff.get(entered)
    assert (refused.status_code, "A visit changes nothing" in refused.content.decode()) == (403, True)
    monkeypatch.undo()
    with reading(acme.scope):
        assert App.objects.within(acme.scope).get().name != "Changed"
    with connection.cursor() as cursor:
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("off",)

    assert staff.post("/staff/visit/end")["Location"] == "/staff/"
    assert looks(acme.tenant_id, "staff.visit_ended") == [nowhere]
    assert staff.get(entered).status_code == 403
    assert visits.NEVER


def test_only_owners_give_leave_and_only_for_hours_that_are_offered(acme, owner):
    admin = seated(acme, "admin", "admin@example.com")

    assert admin.get("staff").status_code == 403
    assert admin.client.post(admin.url("staff"), {"hours": "1"}).status_code == 403
    assert "Choose for how long" in owner.post("staff", hours="9000").content.decode()
    assert looks(acme.tenant_id, "staff_access.allowed") == []


def test_who_is_on_a_page_is_masked_until_it_is_revealed_with_a_reason_for_that_page_alone(
    acme, owner, staff, customer
):
    owner.post("staff", hours="1")
    root = begin(staff, acme)["Location"]
    list_, one, reveal = f"{root}customers", f"{root}customers/{customer.public_id}", "/staff/visit/reveal"
    asked = {"page": f"/dashboard/{acme.app}/customers/{customer.public_id}", "reason": "She asks why her card fails."}

    assert "grace@example.com" not in staff.get(one).content.decode()
    short = staff.post(reveal, {**asked, "reason": "look"}, follow=True)
    assert "Say in a few words why" in short.content.decode()
    assert looks(acme.tenant_id, "staff.visit_refused") == [acme.app]
    assert "grace@example.com" not in short.content.decode()
    shown = staff.post(reveal, asked, follow=True)

    assert shown.redirect_chain == [(one, 302)]
    assert "grace@example.com" in shown.content.decode()
    assert "grace@example.com" in staff.get(one).content.decode()
    for other in (list_, f"{list_}?page=2", f"{one}?page=2"):
        assert "grace@example.com" not in staff.get(other).content.decode()
    told = owner.get("staff").content.decode()
    assert "She asks why her card fails." in told
    assert "with the people on it" in told
    assert looks(acme.tenant_id, "staff.revealed") == [acme.app]

    owner.post("staff", answer="revoke")
    assert staff.post(reveal, asked).status_code == 403
    assert staff.post(reveal, {**asked, "page": "/account/security"}).status_code == 403
    assert staff.post(reveal, {**asked, "page": "//evil.example/"}).status_code == 404


def test_no_page_of_a_visit_says_who_anybody_is(acme, owner, staff):
    api = Api(acme.key)
    seated(acme, "admin", "kanari1bird@example.com")
    api.post("/webhook-endpoints", {"url": "https://kanari2bird.example/", "events": ["*"], "filter": {"data.x": "kanari3bird"}})  # fmt: skip
    api.post("/metrics", {"name": "calls"})
    api.post("/features", {"key": "sso", "name": "SSO", "type": "boolean"})
    person = {"email": "kanari4bird@example.com", "name": "kanari5bird", "externalId": "kanari6bird"}
    made = api.post("/customers", {**person, "metadata": {"kanari7bird": "kanari8bird"}}).json()
    club = api.post("/organizations", {"name": "kanari9bird", "slug": "kanari9bird", "customerId": made["id"]}).json()
    api.post(f"/organizations/{club['id']}/invites", {"email": "kanari10bird@example.com", "role": "member"})
    api.post(f"/customers/{made['id']}/credits", {"metric": "calls", "quantity": 5, "reason": "kanari11bird"})
    override = f"/customers/{made['id']}/entitlement-overrides/sso"
    assert api.request("PUT", override, {"value": True, "reason": "kanari12bird"}).status_code == 200
    shown = owner.get(f"customers/{made['id']}").content.decode() + owner.get("webhooks").content.decode()
    for canary in ("kanari2bird", "kanari5bird", "kanari6bird", "kanari8bird", "kanari11bird"):
        assert canary in shown
    owner.post("staff", hours="1")

    waiting, seen = [begin(staff, acme)["Location"]], {}
    while waiting:
        page = waiting.pop()
        answer = staff.get(page)
        seen[page] = answer.content.decode() if answer.status_code == 200 else ""
        links = re.findall(r'(?:href|hx-get)="(/staff/visit/[^"#?]+)', seen[page])
        waiting += [link for link in dict.fromkeys(links) if link not in {*seen, *waiting}]

    assert len([page for page, html in seen.items() if html]) > 15
    assert {page: re.findall(r"kanari\d+bird", html) for page, html in seen.items() if "kanari" in html} == {}
    assert any("•••" in html and "/customers/cust_" in page for page, html in seen.items())
    assert any("•••" in html and "/events/evt_" in page for page, html in seen.items())
