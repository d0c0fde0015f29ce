"""One link, many hands: exactly one of them gets in (security check 1), and tabs do not sign each other out."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test import Client

from accounts.lookups import known_app
from accounts.models import Customer, CustomerSession, DeveloperLink, MagicLink, OneTimeCode
from accounts.services.developers import store_link
from accounts.services.magic_links import LinkKeys, request_magic_link
from accounts.services.social_wire import forget_documents
from accounts.services.users import user_by_email
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, reading
from tests.cast import LOCAL_CALLBACK, found_company
from tests.signin.conftest import Front, Social
from tests.signin.people import HOST, Browser, token_of
from tests.signin.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable

HANDS = 32
ROUNDS = 8


@pytest.fixture
def stage(committed: None, mailbox: Any, settings: Any) -> Front:
    """A company whose requests commit for real."""
    settings.ADDRESS_LIMITS = dict.fromkeys(settings.ADDRESS_LIMITS, (1000000, 60))
    settings.RATELIMIT_ENABLE = False
    return Front(found_company("Acme"), mailbox)


def at_once(hands: int, act: Callable[[int], Any]) -> list[Any]:
    """Run the same act in many threads, released together; each closes its connection."""
    barrier = Barrier(hands)

    def one(n: int) -> Any:
        try:
            barrier.wait(timeout=30)
            return act(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(one, range(hands)))


def mint(stage: Front, email: str) -> str:
    """Have a link minted without the request, whose limits are not the subject here."""
    app = known_app(stage.company.app_id)
    with change(stage.company.scope):
        keys = LinkKeys.of(stage.company.scope)
        request_magic_link(stage.company.scope, app, keys, email=email, redirect_url=LOCAL_CALLBACK)
    return token_of(stage.mailbox.latest(email))


def count(stage: Front, model: Any) -> int:
    with reading(stage.company.scope):
        return model.objects.within(stage.company.scope).count()


def play(stage: Front, rounds: int) -> None:
    for n in range(rounds):
        token = mint(stage, f"ada{n}@example.com")

        answers = at_once(HANDS, lambda _, token=token: stage.verify(token))

        tally = Counter(answer.status_code for answer in answers)
        assert tally == {200: 1, 401: HANDS - 1}, (n, tally)
        assert {a.json()["code"] for a in answers if a.status_code == 401} == {"TOKEN_ALREADY_USED"}
        assert count(stage, CustomerSession) == n + 1
        assert count(stage, MagicLink) == 0
    assert count(stage, Customer) == rounds


def test_one_link_and_32_hands_make_one_session(stage):
    play(stage, ROUNDS)


@pytest.mark.slow
def test_one_link_and_32_hands_make_one_session_200_times(stage):
    play(stage, 200)


def test_one_press_of_the_button_wins_and_its_code_opens_one_session(stage):
    for n in range(3):
        token = mint(stage, f"ada{n}@example.com")
        browsers = [Browser(f"198.51.100.{k}") for k in range(16)]
        for browser in browsers:
            browser.get("/login")

        pages = at_once(
            16, lambda k, token=token, browsers=browsers: browsers[k].post("/auth/confirm", {"token": token})
        )

        assert Counter(page.status_code for page in pages) == {303: 1, 410: 15}
        code = next(p for p in pages if p.status_code == 303).headers["Location"].partition("token=")[2]
        verified = at_once(16, lambda _, code=code: stage.verify(code).status_code)
        assert Counter(verified) == {200: 1, 401: 15}
        assert count(stage, OneTimeCode) == 0
    assert count(stage, CustomerSession) == 3


def test_the_right_digits_from_many_hands_open_one_session(stage):
    mint(stage, "ada@example.com")
    body = {"email": "ada@example.com", "code": stage.mailbox.latest("ada@example.com")["code"]}

    answers = at_once(16, lambda _: stage.nobody.post(f"{stage.auth}/verify", body).status_code)

    assert Counter(answers) == {200: 1, 401: 15}


def test_wrong_digits_from_many_hands_cost_no_more_than_five_tries_in_all(stage):
    # Five hands and no more: were one try lost among them, the right digits would still do.
    for email in ("ada@example.com", "bob@example.com", "kim@example.com"):
        mint(stage, email)
        code = stage.mailbox.latest(email)["code"]
        guesses = [{"email": email, "code": f"{(int(code) + 1 + n) % 1_000_000:06d}"} for n in range(5)]

        at_once(5, lambda n, guesses=guesses: stage.nobody.post(f"{stage.auth}/verify", guesses[n]))

        right = stage.nobody.post(f"{stage.auth}/verify", {"email": email, "code": code})
        assert right.status_code == 401


def test_a_developers_link_opens_one_session_and_founds_one_tenant(stage):
    for n in range(3):
        email = f"dev{n}@example.com"
        with change(platform_scope()):
            store_link(email)
        token = token_of(stage.mailbox.latest(email))
        browsers = [Browser(f"198.51.100.{k}") for k in range(16)]
        for browser in browsers:
            browser.post("/auth/developer/peek", {"token": token})

        pages = at_once(
            16, lambda k, token=token, browsers=browsers: browsers[k].post("/auth/developer/confirm", {"token": token})
        )

        assert Counter(page.status_code for page in pages) == {302: 1, 410: 15}
        assert DeveloperLink.unscoped.count() == 0
        with reading(platform_scope()):
            user = user_by_email(email)
        assert BrowserSession.objects.filter(user_id=user.id).count() == 1
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from lookup.memberships(%s)", [user.id])
            assert cursor.fetchone() == (1,)


def test_twenty_tabs_refresh_at_once_and_stay_signed_in(stage):
    token = stage.verify(mint(stage, "ada@example.com")).json()["refreshToken"]
    for _ in range(3):
        answers = at_once(20, lambda _, token=token: stage.refresh(token))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refreshToken"] for answer in answers}) == 1
        assert {stage.session(a.json()["sessionToken"]).status_code for a in answers[:3]} == {200}
        token = answers[0].json()["refreshToken"]


def test_many_hands_on_a_first_sign_in_make_one_signing_key(stage):
    tokens = [mint(stage, f"ada{n}@example.com") for n in range(8)]

    answers = at_once(8, lambda n: stage.verify(tokens[n]).status_code)

    assert answers == [200] * 8
    jwks = stage.nobody.get(f"/apps/{stage.company.app}/.well-known/jwks.json").json()
    assert len(jwks["keys"]) == 1


def test_a_state_of_a_provider_signs_one_of_many_hands_in(stage):
    forget_documents()
    with Provider() as provider:
        social = Social(stage.company, provider)
        assert social.put().status_code == 201
        browser = Browser()
        url = provider.approve(social.sent(browser)).removeprefix("http://localhost:8000")
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.client.cookies.items())

        came = at_once(8, lambda _: Client().get(url, headers={**HOST, "Cookie": cookies}).status_code)

        assert Counter(came) == {303: 1, 410: 7}
        assert provider.calls.count("/token") == 1


def test_new_people_of_one_account_become_one_customer(stage):
    forget_documents()
    with Provider() as provider:
        social = Social(stage.company, provider)
        social.put()
        browsers = [Browser() for _ in range(6)]
        urls = [provider.approve(social.sent(browser)) for browser in browsers]

        came = at_once(6, lambda n: social.back(browsers[n], urls[n]).status_code)

        assert Counter(came) == {303: 6}
        (customer,) = social.customers()
        assert len(social.identities(customer["id"])) == 1
