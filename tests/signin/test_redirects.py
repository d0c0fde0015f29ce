"""A customer is only ever sent to a registered URL, compared whole, at each step (security check 14)."""

from __future__ import annotations

import pytest

from accounts.models import MagicLink
from stackbe.kernel.transactions import change
from tests.cast import Api
from tests.queue import queued
from tests.signin.people import Browser

pytestmark = pytest.mark.django_db
CALLBACK = "https://app.example.com/callback"
HOSTILE = [
    "https://evil.example",
    "//evil.example/callback",
    "///evil.example/callback",
    "/\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "https://app.example.com@evil.example/callback",
    "https://app.example.com%40evil.example/callback",
    "https://evil.example#https://app.example.com/callback",
    "https://evil.example?https://app.example.com/callback",
    "https://evil.example\\@app.example.com/callback",
    "https://app.example.com.evil.example/callback",
    "https://app.example.comevil.example/callback",
    "https://evil-app.example.com/callback",
    "https://app.example.com:444/callback",
    "https://app.example.com:443/callback",
    "http://app.example.com/callback",
    "https://APP.example.com/callback",
    "https://app.example.com./callback",
    "https://app.example.com/callback/",
    "https://app.example.com/callback/../admin",
    "https://app.example.com/callback%2f..%2fadmin",
    "https://app.example.com/callback?next=https://evil.example",
    "https://app.example.com/callback#x",
    "https://app.example.com/Callback",
    "https://app.example.com/callbackx",
    "https://app.example.com/call\nback",
    "https://app.example.com/callback%0d%0aLocation:%20https://evil.example",
    "javascript:alert(1)//https://app.example.com/callback",
    "data:text/html,x",
    "https://аpp.example.com/callback",
    "https://app。example.com/callback",
]
# The API takes these off what it is given; in a row they would be another URL.
SPACED = [" https://app.example.com/callback", "https://app.example.com/callback "]


@pytest.fixture
def shop(front):
    front.set(callback_urls=[CALLBACK])
    return front


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_a_hostile_redirect_is_refused_when_it_is_asked_for(shop, url):
    answer = shop.ask(redirectUrl=url)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"REDIRECT_NOT_ALLOWED", "VALIDATION_ERROR"}
    assert queued() == []


@pytest.mark.parametrize("url", [*HOSTILE, *SPACED], ids=ascii)
def test_a_hostile_redirect_that_got_into_the_row_is_refused_when_the_link_is_spent(shop, acme, url):
    """Whatever wrote it there: the row is judged again by what is registered now."""
    token = shop.link()
    with change(acme.scope):
        MagicLink.objects.within(acme.scope).update(redirect_url=url)

    page = Browser().post("/auth/confirm", {"token": token})
    answer = shop.verify(token)

    assert page.status_code == 410
    assert "Location" not in page.headers
    assert answer.status_code == 400
    assert answer.json()["code"] == "REDIRECT_NOT_ALLOWED"


@pytest.mark.parametrize("url", [CALLBACK, *SPACED])
def test_what_is_registered_passes_and_is_what_comes_back(shop, url):
    assert shop.verify(shop.link(redirectUrl=url)).json()["redirectUrl"] == CALLBACK


def test_a_location_carries_a_code_that_lives_a_minute_and_never_a_session(shop):
    location = Browser().post("/auth/confirm", {"token": shop.link()}).headers["Location"]

    callback, _, code = location.partition("?token=")
    assert callback == CALLBACK
    assert code.startswith("sbc_")
    answer = shop.verify(code).json()
    for secret in ("sessionToken", "refreshToken"):
        assert answer[secret] not in location
    assert Api(code).get(f"{shop.auth}/session").status_code == 401


def test_a_callback_taken_away_while_a_code_is_under_way_spends_nothing(shop):
    """The code lies in a URL that the app no longer owns: whoever reads it there gets no session of it."""
    code = Browser().post("/auth/confirm", {"token": shop.link()}).headers["Location"].partition("token=")[2]
    shop.set(callback_urls=["https://app.example.com/elsewhere"])

    refused = shop.verify(code)

    assert refused.status_code == 400
    assert refused.json()["code"] == "REDIRECT_NOT_ALLOWED"
    shop.set(callback_urls=[CALLBACK])
    assert shop.verify(code).status_code == 200


def test_no_answer_of_sign_in_has_a_session_in_its_headers(shop):
    answer = shop.verify(shop.link())
    refreshed = shop.refresh(answer.json()["refreshToken"])

    for response in (answer, refreshed):
        for secret in ("sessionToken", "refreshToken"):
            assert response.json()[secret] not in str(response.headers)
        assert not response.cookies
        assert response.headers["Cache-Control"] == "no-store"
