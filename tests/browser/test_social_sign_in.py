"""A button of the app in a real browser: out to a provider, back to the app's callback; and connecting an account."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.signin.provider import ADA, CLIENT_ID, CLIENT_SECRET, Provider
from tests.signin.test_live import Caller

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
CALLBACK = "http://localhost:3000/callback"


@pytest.fixture
def provider():
    """A provider on loopback, which says yes to everybody."""
    with Provider() as running:
        yield running


@pytest.fixture
def caller(live_stack, provider) -> Caller:
    """An app that has turned the provider on."""
    made = Caller(live_stack.new_tenant())
    client = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "issuer": provider.issuer, "name": "Acme SSO"}
    assert made.call("PUT", f"{made.auth}/providers/sso", made.tenant["apiKey"], client)[0] == 201
    return made


def at_the_app(visitor, caller):
    """Open the app's page with its button; its callback is a page too."""
    start = f"{caller.tenant['baseUrl']}/auth/social/start?app={caller.tenant['appId']}&provider=sso"
    pages = {"/": f'<a href="{start}">Sign in with Acme SSO</a>', "/callback": "<h1>App</h1>"}
    visitor.page.route(
        "http://localhost:3000/**",
        lambda route: route.fulfill(content_type="text/html", body=pages[urlsplit(route.request.url).path]),
    )
    visitor.page.goto("http://localhost:3000/")


def session_of(visitor, caller):
    """Redeem the code that the browser came back with."""
    visitor.page.wait_for_url(f"{CALLBACK}?token=*")
    (code,) = parse_qs(urlsplit(visitor.page.url).query)["token"]
    status, answer = caller.call("POST", f"{caller.auth}/verify", None, {"token": code})
    assert status == 200
    return answer


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_click_leads_to_the_provider_and_back_to_the_app(visitors, caller, scripts):
    ada = visitors(java_script_enabled=scripts)
    at_the_app(ada, caller)

    ada.page.get_by_role("link", name="Sign in with Acme SSO").click()

    assert session_of(ada, caller)["email"] == ADA["email"]


def test_an_unverified_address_gets_a_page_and_a_way_back(visitors, caller, provider):
    provider.person |= {"email_verified": False}
    ada = visitors()
    at_the_app(ada, caller)

    ada.page.get_by_role("link", name="Sign in with Acme SSO").click()
    ada.page.get_by_text("Sign in by e-mail first").wait_for()
    ada.page.get_by_role("link", name=re.compile("Back to")).click()

    ada.page.wait_for_url(f"{CALLBACK}?error=email_unverified")


def test_who_is_signed_in_connects_an_account_after_a_look_at_whose_it_is(visitors, caller, provider):
    provider.person |= {"email": None}
    key = caller.tenant["apiKey"]
    _, bob = caller.call("POST", "/customers", key, {"email": "bob@example.com"})
    _, session = caller.call("POST", f"/customers/{bob['id']}/sessions", key, {})
    _, offer = caller.call("POST", f"{caller.auth}/identities", session["sessionToken"], {"provider": "sso"})
    ada = visitors()
    at_the_app(ada, caller)

    ada.page.goto(offer["url"])
    ada.page.get_by_text("b•••@example.com").wait_for()
    ada.page.get_by_role("button", name="Continue with Acme SSO").click()

    ada.page.wait_for_url(f"{CALLBACK}?linked=sso")
    at_the_app(ada, caller)
    ada.page.get_by_role("link", name="Sign in with Acme SSO").click()
    assert session_of(ada, caller)["customerId"] == bob["id"]
