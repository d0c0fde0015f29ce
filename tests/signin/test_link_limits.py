"""How many links an address, a caller and an app get in an hour; whoever is limited is not told so."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import MagicLink
from accounts.services import magic_links
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.queue import queued
from tests.signin.people import token_of

pytestmark = pytest.mark.django_db
ORIGIN = "http://localhost:3000"
TOLD = ("Content-Type", "Cache-Control", "Vary")


def mailed() -> int:
    return sum(name == "accounts.mail_magic_link" for name, _ in queued())


def shown(answer: Any) -> tuple[Any, ...]:
    """Return all that an answer says, without the counters of the caller's own key."""
    return (answer.status_code, answer.content, *(answer.headers.get(name) for name in TOLD), frozenset(answer.headers))


def from_browser(company, address: str) -> Api:
    browser = Api(company.publishable, Origin=ORIGIN)
    browser.client.defaults["REMOTE_ADDR"] = address
    return browser


def test_an_address_gets_twenty_links_an_hour_however_it_is_spelt(front, monkeypatch):
    monkeypatch.setattr(magic_links, "PER_ADDRESS_AN_HOUR", 4)
    spellings = ["ada@example.com", "ADA@example.com", "Ada@Example.COM"]

    answers = [front.ask(spellings[n % 3]) for n in range(7)]

    assert mailed() == 4
    assert len({shown(answer) for answer in answers}) == 1
    assert front.ask("bob@example.com").content == answers[0].content
    assert mailed() == 5


def test_a_caller_gets_sixty_links_an_hour_for_whatever_addresses(front, acme, monkeypatch):
    monkeypatch.setattr(magic_links, "PER_CALLER_AN_HOUR", 3)
    browser, other = from_browser(acme, "203.0.113.5"), from_browser(acme, "203.0.113.6")

    answers = [browser.post(f"{front.auth}/magic-link", {"email": f"u{n}@example.com"}) for n in range(6)]

    assert mailed() == 3
    assert len({shown(answer) for answer in answers}) == 1
    other.post(f"{front.auth}/magic-link", {"email": "u9@example.com"})
    assert mailed() == 4


def test_a_caller_with_a_whole_network_is_one_caller(front, acme, monkeypatch):
    monkeypatch.setattr(magic_links, "PER_CALLER_AN_HOUR", 2)

    for n in range(5):
        from_browser(acme, f"2001:db8::{n + 1}").post(f"{front.auth}/magic-link", {"email": f"u{n}@example.com"})

    assert mailed() == 2


def test_the_apps_own_backend_is_one_address_for_all_its_customers_and_not_limited_by_it(front, monkeypatch):
    monkeypatch.setattr(magic_links, "PER_CALLER_AN_HOUR", 1)

    for n in range(4):
        front.ask(f"u{n}@example.com")

    assert mailed() == 4


def test_an_app_sends_so_many_links_an_hour_and_no_other_app_feels_it(front, rival, monkeypatch):
    monkeypatch.setattr(magic_links, "PER_APP_AN_HOUR", 3)

    answers = [front.ask(f"u{n}@example.com") for n in range(5)]
    rival.ask("u1@example.com")

    assert mailed() == 4
    assert len({shown(answer) for answer in answers}) == 1


def test_the_limits_are_those_that_the_guide_names():
    limits = (magic_links.PER_ADDRESS_AN_HOUR, magic_links.PER_CALLER_AN_HOUR, magic_links.PER_APP_AN_HOUR)

    assert limits == (20, 60, 5000)


def test_the_fourth_link_of_an_address_voids_the_first(front, acme):
    tokens = []
    for _ in range(4):
        front.ask()
        tokens.append(token_of(front.mailbox.latest("ada@example.com")))

    with reading(acme.scope):
        assert MagicLink.objects.within(acme.scope).count() == magic_links.MOST_LIVE_LINKS == 3
    assert front.verify(tokens[0]).json()["code"] == "TOKEN_INVALID"
    assert [front.verify(token).status_code for token in tokens[1:]] == [200] * 3


def test_the_links_of_one_address_void_none_of_anothers_nor_of_another_apps(front, rival):
    theirs, mine = rival.link(), front.link("bob@example.com")

    for _ in range(4):
        front.ask()

    assert front.verify(mine).status_code == 200
    assert rival.verify(theirs).status_code == 200


def test_wrong_digits_take_a_try_off_each_live_link_so_that_more_links_are_no_more_tries(front):
    for _ in range(3):
        front.ask()
    codes = [mail["code"] for mail in front.mailbox("ada@example.com")]
    wrong = next(guess for guess in ("000000", "111111", "222222", "333333") if guess not in codes)
    for _ in range(5):
        assert front.nobody.post(f"{front.auth}/verify", {"email": "ada@example.com", "code": wrong}).status_code == 401

    right = [front.nobody.post(f"{front.auth}/verify", {"email": "ada@example.com", "code": code}) for code in codes]

    assert [answer.json()["code"] for answer in right] == ["TOKEN_INVALID"] * 3


def test_equal_digits_of_two_links_are_stored_differently_and_under_the_pepper(front, acme, monkeypatch):
    monkeypatch.setattr("accounts.opaque.mint_code", lambda: "123456")
    front.ask()
    front.ask()
    front.mailbox()

    with reading(acme.scope) as unit:
        rows = list(MagicLink.objects.within(acme.scope))
        pepper = unit.keys.secret("pepper")
    digests = {bytes(row.code_digest) for row in rows}
    assert len(digests) == 2
    assert {magic_links.opaque.code_digest(pepper, row.id, "123456") for row in rows} == digests
    assert not digests & {magic_links.opaque.code_digest(bytes(32), row.id, "123456") for row in rows}
