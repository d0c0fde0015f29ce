"""The page that an invitation's link opens: GET shows and spends nothing, POST joins and leads to the app."""

from __future__ import annotations

import pytest

from accounts.models import App
from stackbe.kernel.transactions import change
from tests.cast import LOCAL_CALLBACK
from tests.signin.people import Browser

GRACE = "grace@example.com"


@pytest.fixture
def browser() -> Browser:
    return Browser()


def page(acme) -> str:
    return f"/auth/invite?app={acme.app}"


def test_looking_at_the_page_spends_nothing_however_often(club, acme, browser):
    club.invite()
    token = club.token()

    for _ in range(5):
        shown = browser.get(page(acme))
        assert shown.status_code == 200
        assert shown["Referrer-Policy"] == "no-referrer"
        assert shown["Cache-Control"] == "no-store"
        assert "http://localhost:3000" in shown["Content-Security-Policy"]
        told = browser.post("/auth/invite/peek", {"token": token}).json()
    browser.client.head(page(acme), headers={"Host": "localhost:8000"})

    assert told == {"email": "g•••@example.com", "organization": "Analytical Engines", "otherBrowser": False}
    assert club.accept(token).status_code == 200


def test_the_button_joins_and_leads_to_the_app_with_a_code_for_a_session_there(club, acme, browser):
    club.invite(role="admin")

    sent = browser.post(page(acme), {"token": club.token()})

    assert sent.status_code == 303
    assert sent["Location"].startswith(f"{LOCAL_CALLBACK}?token=sbc_")
    code = sent["Location"].partition("token=")[2]
    verified = club.nobody.post(f"/apps/{acme.app}/auth/verify", {"token": code}).json()
    assert (verified["email"], verified["organizationId"], verified["orgRole"]) == (GRACE, club.id, "admin")


def test_without_scripts_the_link_is_pasted(club, acme, browser):
    club.invite()
    link = club.mailbox.latest(GRACE)["links"][0]

    assert browser.post(page(acme), {"token": f"  {link} "}).status_code == 303


def test_an_app_without_a_callback_says_that_one_has_joined(club, acme, browser):
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "callback_urls": []}
        app.save(update_fields=["settings"])
    club.invite()

    sent = browser.post(page(acme), {"token": club.token()})

    assert sent.status_code == 200
    assert "You have joined Analytical Engines" in sent.content.decode()


def test_a_callback_that_the_app_took_away_leads_nowhere_and_spends_nothing(club, acme, browser):
    club.invite()
    token = club.token()
    with change(acme.scope):
        app = App.objects.within(acme.scope).get(pk=acme.app_id)
        app.settings = {**app.settings, "callback_urls": ["https://other.example/in"]}
        app.save(update_fields=["settings"])

    sent = browser.post(page(acme), {"token": token})

    assert sent.status_code == 410
    assert club.roles() == {"ada": "owner"}


def test_a_dead_link_says_so(club, acme, browser):
    club.invite()
    token = club.token()
    browser.post(page(acme), {"token": token})

    again = browser.post(page(acme), {"token": token})
    peeked = browser.post("/auth/invite/peek", {"token": token})
    nonsense = browser.post(page(acme), {"token": "x"})

    assert (again.status_code, nonsense.status_code) == (410, 410)
    assert "accepted already" in again.content.decode()
    assert (peeked.status_code, peeked.json()) == (401, {"code": "TOKEN_ALREADY_USED"})
    assert browser.get("/auth/invite?app=nonsense").status_code == 410
    assert browser.post(page(acme), {"token": ""}).status_code == 400


def test_a_full_plan_keeps_the_invitation_good(club, acme, browser):
    club.sell(seats=2)
    club.invite()
    token = club.token()
    plan = club.backend.get("/plans").json()["data"][0]["id"]
    assert club.backend.patch(f"/plans/{plan}", {"seats": 1}).status_code == 200

    by_page = browser.post(page(acme), {"token": token})
    by_api = club.accept(token)
    club.backend.patch(f"/plans/{plan}", {"seats": 2})

    assert by_page.status_code == 409
    assert "no free seat" in by_page.content.decode()
    assert (by_api.status_code, by_api.json()["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert club.accept(token).status_code == 200
