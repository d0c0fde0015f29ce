"""Nobody learns from us whose address is known: same bytes, same work, same time (security check 13)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.services.tenants import open_tenant
from tests.signin.people import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db
ADA, NOBODY = "ada@example.com", "bob@example.com"
VALUE = re.compile(r"'[^']*'|\"s\d+_x\d+\"|\b\d+\b|\\x[0-9a-f]+")


def work_of(act: Callable[[], object]) -> list[str]:
    """Return the statements that an act runs, without their values."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return [VALUE.sub("?", query["sql"]) for query in captured]


def auc(left: list[float], right: list[float]) -> float:
    """Return how often a value of the left is larger than one of the right: 0.5 is a coin."""
    wins = sum((a > b) + (a == b) / 2 for a in left for b in right)
    return wins / (len(left) * len(right))


@pytest.mark.parametrize("create", [True, False])
def test_a_link_for_a_stranger_takes_the_same_statements(front, acme, create):
    front.sign_in(ADA)
    front.set(auto_create_customer=create)
    key = acme.api("customers:read")
    ask = lambda email: key.post(f"{front.auth}/magic-link", {"email": email})  # noqa: E731  # one call, twice
    ask("warm@example.com")

    assert work_of(lambda: ask(ADA)) == work_of(lambda: ask(NOBODY))


def test_a_developers_link_for_a_stranger_takes_the_same_statements(mailbox):
    open_tenant("Acme", ADA)
    browser = Browser()
    browser.post("/login", {"email": "warm@example.com"})

    known = work_of(lambda: browser.post("/login", {"email": ADA}))
    unknown = work_of(lambda: browser.post("/login", {"email": NOBODY}))

    assert known == unknown


def test_a_wrong_code_costs_the_same_whether_or_not_there_is_an_account(mailbox):
    open_tenant("Acme", ADA)
    browser = Browser()
    for email in ("warm@example.com", ADA, NOBODY):
        browser.post("/auth/developer/code", {"email": email, "code": "123456"})

    pages = [browser.post("/auth/developer/code", {"email": email, "code": "123456"}) for email in (ADA, NOBODY)]

    plain = [re.sub(r'value="[^"]*"|nonce="[^"]*"|nonce-[^ ;]*', "", page.content.decode()) for page in pages]
    assert plain[0] == plain[1]


@pytest.mark.slow
def test_timing_tells_nothing(front, acme):
    """Known and unknown addresses are asked for in turn; the first 20 of each get mail, the rest are limited."""
    rounds, addresses = 800, 32
    for n in range(addresses):
        front.backend.post("/customers", {"email": f"known{n}@example.com"})
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    order = ["known", "unknown"]
    for n in range(rounds):
        if n % 200 == 0:
            key = acme.api("customers:read")
        for kind in order:
            started = time.perf_counter()
            answer = key.post(f"{front.auth}/magic-link", {"email": f"{kind}{n % addresses}@example.com"})
            times[kind].append(time.perf_counter() - started)
            assert answer.status_code == 200
        order.reverse()

    assert 0.45 <= auc(times["known"], times["unknown"]) <= 0.55
