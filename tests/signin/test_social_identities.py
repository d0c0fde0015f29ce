"""Connecting and disconnecting accounts elsewhere: by who is signed in, and by the app's backend."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from accounts.social_models import CustomerIdentity, SocialAttempt
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.transactions import reading
from tests.cast import LOCAL_CALLBACK, Api
from tests.queue import run_jobs
from tests.signin.conftest import words
from tests.signin.people import Browser
from tests.signin.provider import ADA

pytestmark = pytest.mark.django_db
BOB = "bob@example.com"


@pytest.fixture
def bob(social):
    """A customer who is signed in, whose address the provider does not know."""
    made = social.backend.post("/customers", {"email": BOB}).json()
    session = social.backend.post(f"/customers/{made['id']}/sessions").json()
    return made["id"], Api(session["sessionToken"])


def offered(social, api, **body):
    """Ask for leave to connect, and return the path that the app sends the browser to."""
    response = api.post(f"{social.auth}/identities", {"provider": "sso", **body})
    assert response.status_code == 201, response.content
    return response.json()["url"].removeprefix("http://localhost:8000")


def token_in(url):
    return urlsplit(url).query.removeprefix("token=")


def confirmed(browser, url):
    """Press the button of the page."""
    assert browser.get(url).status_code == 200
    return browser.post("/auth/social/connect", {"token": token_in(url)})


def test_who_is_signed_in_connects_an_account_of_any_address(social, bob):
    customer, api = bob
    social.provider.person |= {"email_verified": False}
    browser, url = Browser(), offered(social, api)

    page = browser.get(url)
    assert "will sign in b•••@example.com at Acme from then on" in words(page)
    assert social.provider.issuer in page["Content-Security-Policy"]
    assert page["Cache-Control"] == "no-store"
    sent = confirmed(browser, url)
    assert sent.status_code == 303
    back = social.back(browser, social.provider.approve(sent["Location"]))

    assert back["Location"] == f"{LOCAL_CALLBACK}?linked=sso"
    (identity,) = api.get(f"{social.auth}/identities").json()["data"]
    assert (identity["provider"], identity["email"], identity["lastUsedAt"]) == ("sso", None, None)
    assert social.signed_in(social.go())["customerId"] == customer


def test_opening_the_page_connects_nothing(social, bob):
    browser, url = Browser(), offered(social, bob[1])

    for _ in range(3):
        browser.get(url)

    with reading(social.company.scope):
        assert SocialAttempt.objects.within(social.company.scope).get().state_digest is None
    assert confirmed(browser, url).status_code == 303


def test_the_button_works_once(social, bob):
    browser, url = Browser(), offered(social, bob[1])
    confirmed(browser, url)

    again = browser.post("/auth/social/connect", {"token": token_in(url)})

    assert again.status_code == 410
    assert browser.get(url).status_code == 410


def test_the_button_wants_the_token_of_its_own_page(social, bob):
    url = offered(social, bob[1])
    browser = Browser()
    browser.get(url)

    forged = browser.client.post("/auth/social/connect", {"token": token_in(url)}, headers={"Host": "localhost:8000"})

    assert forged.status_code == 403


def test_an_account_of_somebody_else_is_not_taken_over(social, bob):
    ada = social.signed_in(social.go())
    browser = Browser()

    sent = confirmed(browser, offered(social, bob[1]))
    response = social.back(browser, social.provider.approve(sent["Location"]))

    assert "This Acme SSO account is connected to another account here already" in words(response)
    assert f"{LOCAL_CALLBACK}?error=identity_taken" in response.content.decode()
    assert social.identities(bob[0]) == []
    assert len(social.identities(ada["customerId"])) == 1


def test_connecting_twice_is_harmless(social, bob):
    for _ in range(2):
        browser = Browser()
        sent = confirmed(browser, offered(social, bob[1]))
        social.back(browser, social.provider.approve(sent["Location"]))

    assert len(social.identities(bob[0])) == 1


def test_who_signs_out_meanwhile_connects_nothing(social, bob):
    browser = Browser()
    sent = confirmed(browser, offered(social, bob[1]))
    bob[1].post(f"{social.auth}/logout")

    response = social.back(browser, social.provider.approve(sent["Location"]))

    assert "signed out meanwhile" in words(response)
    assert social.identities(bob[0]) == []


@pytest.mark.parametrize("token", ["", "sba_x", "sbm_x", "\x00"], ids=repr)
def test_a_token_that_is_none_is_a_page_that_says_so(social, token):
    assert Browser().get("/auth/social/connect", data={"token": token}).status_code == 410


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "MISSING_REQUIRED_FIELD"),
        ({"provider": "okta"}, 404, "NOT_FOUND"),
        ({"provider": "sso", "redirectUrl": "https://evil.example/"}, 400, "REDIRECT_NOT_ALLOWED"),
        ({"provider": "sso", "customerId": "x"}, 400, "VALIDATION_ERROR"),
    ],
    ids=str,
)
def test_what_cannot_be_connected_is_refused(social, bob, body, status, code):
    response = bob[1].post(f"{social.auth}/identities", body)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_key_is_no_customer_and_a_foreign_session_finds_nothing(social, bob, globex):
    assert social.backend.get(f"{social.auth}/identities").status_code == 403
    assert Api(None).get(f"{social.auth}/identities").status_code == 401
    assert bob[1].get(f"/apps/{globex.app}/auth/identities").json()["code"] == "APP_NOT_FOUND"
    assert bob[1].post(f"/apps/{globex.app}/auth/identities", {"provider": "sso"}).status_code == 404


def test_a_customer_disconnects_their_own_accounts_alone(social, bob):
    ada = social.signed_in(social.go())
    (identity,) = social.identities(ada["customerId"])
    path = f"{social.auth}/identities/{identity['id']}"

    assert bob[1].delete(path).status_code == 404
    assert Api(ada["sessionToken"]).delete(path).status_code == 204
    assert Api(ada["sessionToken"]).delete(path).status_code == 404
    assert social.identities(ada["customerId"]) == []


def test_the_backend_lists_and_disconnects(social):
    ada = social.signed_in(social.go())
    path = f"/customers/{ada['customerId']}/identities"
    (identity,) = social.backend.get(path).json()["data"]

    assert social.company.api("auth:write").get(path).json()["code"] == "INSUFFICIENT_SCOPE"
    assert (
        social.company.api("customers:read").delete(f"{path}/{identity['id']}").json()["code"] == "INSUFFICIENT_SCOPE"
    )
    assert social.backend.delete(f"{path}/{encode('iden', new_id())}").status_code == 404
    assert social.backend.delete(f"{path}/{identity['id']}").status_code == 204
    assert social.backend.get(path).json()["data"] == []


def test_connecting_and_disconnecting_are_told_once_each(social):
    ada = social.signed_in(social.go())
    social.signed_in(social.go())
    (identity,) = social.identities(ada["customerId"])
    social.backend.delete(f"/customers/{ada['customerId']}/identities/{identity['id']}")

    told = [event["type"] for event in social.backend.get("/events").json()["data"]]

    assert told == ["customer.identity_unlinked", "customer.identity_linked", "customer.created"]
    linked = social.backend.get("/events").json()["data"][1]
    data = social.backend.get(f"/events/{linked['id']}").json()["data"]
    assert data["identity"]["provider"] == "sso"
    assert data["customer"]["id"] == ada["customerId"]
    assert ADA["sub"] not in str(data)


def test_a_customer_is_mailed_what_else_signs_them_in_now(social, bob, mailbox):
    social.signed_in(social.go())
    assert mailbox(ADA["email"]) == []  # the account came with the customer: no news to them
    social.provider.person |= {"sub": "bob-1815", "email": BOB}
    social.signed_in(social.go())
    (identity,) = social.identities(bob[0])
    bob[1].delete(f"{social.auth}/identities/{identity['id']}")

    subjects = {mail["subject"] for mail in mailbox(BOB)}

    assert subjects == {"An account was connected · Acme", "An account was disconnected · Acme"}


def test_an_export_holds_them_and_the_deleted_keep_none(social):
    ada = social.signed_in(social.go())
    records = social.backend.get(f"/customers/{ada['customerId']}/export").json()["records"]
    assert [(one["provider"], one["subject"]) for one in records["identities"]] == [("sso", ADA["sub"])]
    offered(social, Api(ada["sessionToken"]))

    social.backend.delete(f"/customers/{ada['customerId']}")

    with reading(social.company.scope):
        assert not CustomerIdentity.objects.within(social.company.scope).exists()
        assert not SocialAttempt.objects.within(social.company.scope).exists()
    run_jobs()
    again = social.signed_in(social.go())
    assert again["customerId"] != ada["customerId"]
