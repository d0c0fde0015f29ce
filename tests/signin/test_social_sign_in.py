"""Signing in with an account elsewhere: there and back, and whose customer one is."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.opaque import MAGIC_LINK, mint
from accounts.social_models import CustomerIdentity
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import reading
from tests.cast import LOCAL_CALLBACK, Api
from tests.signin.conftest import words
from tests.signin.people import Browser
from tests.signin.provider import ADA

pytestmark = pytest.mark.django_db


def test_a_verified_address_makes_a_customer_and_a_session(social):
    response = social.go()

    assert response["Location"].startswith(f"{LOCAL_CALLBACK}?token=sbc_")
    session = social.signed_in(response)
    assert session["email"] == ADA["email"]
    assert session["customer"]["name"] == "Ada Lovelace"
    assert Api(session["sessionToken"]).get(f"{social.auth}/session").json()["valid"] is True
    (identity,) = social.identities(session["customerId"])
    assert (identity["provider"], identity["email"]) == ("sso", ADA["email"])
    assert identity["lastUsedAt"]


def test_the_way_out_carries_what_the_way_back_must_fit(social):
    browser = Browser()
    sent = urlsplit(social.sent(browser))

    query = {name: value for name, (value,) in parse_qs(sent.query).items()}
    assert f"{sent.scheme}://{sent.netloc}{sent.path}" == f"{social.provider.issuer}/authorize"
    assert query["redirect_uri"] == f"http://localhost:8000/auth/social/callback/{social.company.app}/sso"
    assert query["scope"] == "openid email profile"
    assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    cookie = browser.client.cookies["stackbe_asked"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie.value not in sent.query


def test_pages_of_the_flow_are_kept_nowhere(social):
    browser = Browser()
    for response in (social.start(browser), social.go(browser)):
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"


def test_the_same_account_is_the_same_customer_whatever_its_address_becomes(social):
    first = social.signed_in(social.go())
    social.provider.person |= {"email": "grace@example.com"}
    grace = social.backend.post("/customers", {"email": "grace@example.com"}).json()

    second = social.signed_in(social.go())

    assert second["customerId"] == first["customerId"] != grace["id"]
    assert second["email"] == ADA["email"]


def test_a_customer_of_that_address_is_signed_in_and_connected(social):
    ada = social.backend.post("/customers", {"email": "ADA@example.com"}).json()

    session = social.signed_in(social.go())

    assert session["customerId"] == ada["id"]
    assert len(social.identities(ada["id"])) == 1


@pytest.mark.parametrize("said", [False, None, "true", 1], ids=str)
def test_an_address_that_is_not_verified_opens_no_account_and_makes_none(social, said):
    social.backend.post("/customers", {"email": ADA["email"]})
    social.provider.person |= {"email_verified": said}

    response = social.go()

    assert response.status_code == 400
    assert "Acme SSO did not tell us an e-mail address that it has verified" in words(response)
    assert "Sign in by e-mail first" in words(response)
    assert f"{LOCAL_CALLBACK}?error=email_unverified" in response.content.decode()
    assert len(social.customers()) == 1
    assert social.identities(social.customers()[0]["id"]) == []


@pytest.mark.parametrize("email", [None, "", "not an address", 7, "a@b\ud800.example"], ids=repr)
def test_without_an_address_nobody_is_made(social, email):
    social.provider.person |= {"email": email}
    social.provider.userinfo = {"sub": ADA["sub"]}

    assert social.go().status_code == 400
    assert social.customers() == []


def test_an_address_is_asked_for_where_the_id_token_has_none(social):
    social.provider.person = {"sub": ADA["sub"]}
    social.provider.userinfo = dict(ADA)

    assert social.signed_in(social.go())["email"] == ADA["email"]


def test_an_app_that_makes_no_customers_says_so(social):
    social.backend.patch(f"/apps/{social.company.app}", {"settings": {"autoCreateCustomer": False}})

    response = social.go()

    assert "Nobody with your e-mail address has an account here" in words(response)
    assert f"{LOCAL_CALLBACK}?error=customer_not_found" in response.content.decode()
    assert social.customers() == []


def test_the_redirect_url_and_the_organization_that_were_asked_for_are_kept(social):
    social.backend.patch(
        f"/apps/{social.company.app}", {"settings": {"callbackUrls": [LOCAL_CALLBACK, "http://localhost:3000/b?x=1"]}}
    )
    ada = social.backend.post("/customers", {"email": ADA["email"]}).json()
    engines = social.backend.post("/organizations", {"name": "Engines", "customerId": ada["id"]}).json()

    response = social.go(redirectUrl="http://localhost:3000/b?x=1", organizationId=engines["id"])

    assert response["Location"].startswith("http://localhost:3000/b?x=1&token=")
    session = social.signed_in(response)
    assert (session["organizationId"], session["orgRole"]) == (engines["id"], "owner")


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"app": "app_00000000000000000000000000"}, 400, "No such app"),
        ({"app": "\x00"}, 400, "No such app"),
        ({"provider": "okta"}, 404, "No such sign-in provider"),
        ({"provider": "\x00"}, 404, "No such sign-in provider"),
        ({"redirectUrl": "http://localhost:3000/callback/"}, 400, "is not registered"),
        ({"redirectUrl": "https://evil.example"}, 400, "is not registered"),
        ({"organizationId": "org_00000000000000000000000000"}, 404, "No such organization"),
        ({"organizationId": "nonsense"}, 404, "No such organization"),
    ],
    ids=str,
)
def test_a_wrong_start_is_a_page_that_says_so(social, query, status, says):
    response = social.start(Browser(), **query)

    assert response.status_code == status
    assert says in words(response)
    assert "stackbe_asked" not in response.cookies


def test_a_provider_that_is_turned_off_looks_like_none(social):
    waiting = Browser()
    url = social.provider.approve(social.sent(waiting))
    social.put(enabled=False)

    assert social.start(Browser()).status_code == 404
    assert social.back(waiting, url).status_code == 410


def test_who_presses_cancel_goes_back_to_the_app(social):
    browser = Browser()
    url = social.provider.approve(social.sent(browser), code=None, error="access_denied")

    response = social.back(browser, url)

    assert response["Location"] == f"{LOCAL_CALLBACK}?error=access_denied"
    assert social.problem() == ""


def test_a_closed_app_signs_nobody_in(social):
    browser = Browser()
    url = social.provider.approve(social.sent(browser))
    Api(social.company.tenant_key).delete(f"/apps/{social.company.app}")

    assert social.start(Browser()).status_code == 400
    assert social.back(browser, url).status_code == 400


def test_a_dead_link_offers_what_the_app_turned_on(social):
    page = Browser().get(f"/auth/confirm?app={social.company.app}")
    assert page.status_code == 200
    dead = Browser().post(
        f"/auth/confirm?app={social.company.app}", {"token": mint(MAGIC_LINK, new_id(), app_id=social.company.app_id)}
    )

    assert dead.status_code == 410
    assert "Sign in with Acme SSO" in words(dead)
    path = re.search(r'href="(/auth/social/start[^"]+)"', dead.content.decode())[1].replace("&amp;", "&")
    assert Browser().get(path).status_code == 303


def test_google_is_openid_connect_with_an_issuer_that_is_known(social, provider, monkeypatch):
    monkeypatch.setattr("accounts.services.social_providers.KNOWN_ISSUERS", {"google": provider.issuer})
    assert social.put("google", name=None).json()["name"] == "Google"

    session = social.signed_in(social.go(slug="google"))

    assert [identity["provider"] for identity in social.identities(session["customerId"])] == ["google"]


@pytest.fixture
def github(social, provider, monkeypatch):
    """GitHub on loopback."""
    from accounts.services.social_protocol import Endpoints  # noqa: PLC0415  # only to stand in for it

    endpoints = Endpoints(
        authorize=f"{provider.issuer}/github/authorize",
        token=f"{provider.issuer}/github/token",
        userinfo=f"{provider.issuer}/github/user",
        emails=f"{provider.issuer}/github/emails",
        auth_method="client_secret_post",
    )
    monkeypatch.setattr("accounts.services.social_protocol.GITHUB_ENDPOINTS", endpoints)
    monkeypatch.setattr("accounts.services.social_check.GITHUB_ENDPOINTS", endpoints)
    assert social.put("github", name=None).status_code == 201
    return social


def through_github(social):
    browser = Browser()
    url = social.provider.approve(social.sent(browser, "github"), iss=None)
    return social.back(browser, url)


def test_github_signs_in_by_its_primary_verified_address(github):
    github.provider.emails = [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "ada@example.com", "primary": True, "verified": True},
    ]

    session = github.signed_in(through_github(github))

    assert session["email"] == "ada@example.com"
    with reading(github.company.scope):
        (identity,) = CustomerIdentity.objects.within(github.company.scope)
        assert identity.subject == "1815"


@pytest.mark.parametrize(
    "emails",
    [
        None,
        [],
        [{"email": "ada@example.com", "primary": True, "verified": False}],
        [{"email": "ada@example.com", "primary": False, "verified": True}],
        [{"email": "ada@example.com", "primary": True, "verified": "true"}],
        ["ada@example.com"],
        {"email": "ada@example.com"},
    ],
    ids=str,
)
def test_any_other_address_of_github_opens_nothing(github, emails):
    github.backend.post("/customers", {"email": "ada@example.com"})
    github.provider.emails = emails

    response = through_github(github)

    assert "Sign in by e-mail first" in words(response)
    assert len(github.customers()) == 1
    assert github.identities(github.customers()[0]["id"]) == []


def test_an_answer_that_was_meant_for_another_provider_is_not_taken_for_githubs(github):
    browser = Browser()
    url = github.provider.approve(github.sent(browser, "github"), iss="https://evil.example")

    assert github.back(browser, url).status_code == 400
    assert "/github/token" not in github.provider.calls


def test_secrets_and_accounts_lie_sealed(social):
    social.signed_in(social.go())

    with reading(social.company.scope):
        (row,) = CustomerIdentity.objects.within(social.company.scope)
    stored = bytes(row.__dict__["subject"]) + bytes(row.__dict__["email"]) + bytes(row.subject_index)
    assert ADA["sub"].encode() not in stored
    assert b"ada@" not in stored
