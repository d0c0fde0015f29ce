"""A customer's link in a real browser: named in the app's page, spent by a click, back at the app's callback."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.signin.test_live import Caller

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
CALLBACK = "http://localhost:3000/callback"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def caller(live_stack) -> Caller:
    return Caller(live_stack.new_tenant())


def asked(caller: Caller, email: str) -> dict:
    status, _ = caller.call("POST", f"{caller.auth}/magic-link", caller.tenant["apiKey"], {"email": email})
    assert status == 200
    return caller.mail(email)


@pytest.mark.parametrize("looks", [{}, PHONE], ids=["desktop", "phone"])
def test_a_click_leads_back_to_the_app_with_a_code_that_opens_a_session(visitors, caller, looks):
    bob = visitors(**looks)
    bob.page.route(
        f"{CALLBACK}**", lambda route: route.fulfill(status=200, content_type="text/html", body="<h1>App</h1>")
    )

    bob.page.goto(asked(caller, bob.email)["links"][0])
    bob.page.get_by_role("button", name=re.compile("Sign in as .•••@example.com")).click()

    bob.page.wait_for_url(f"{CALLBACK}?token=*")
    (code,) = parse_qs(urlsplit(bob.page.url).query)["token"]
    status, answer = caller.call("POST", f"{caller.auth}/verify", None, {"token": code})
    assert (status, answer["email"]) == (200, bob.email)


def test_without_scripts_the_digits_lead_back_to_the_app(visitors, caller):
    bob = visitors(java_script_enabled=False)
    bob.page.route(
        f"{CALLBACK}**", lambda route: route.fulfill(status=200, content_type="text/html", body="<h1>App</h1>")
    )
    mail = asked(caller, bob.email)

    bob.page.goto(mail["links"][0])
    bob.page.get_by_label("E-mail").fill(bob.email)
    bob.page.get_by_label("Code").fill(mail["code"])
    bob.page.get_by_role("button", name="Sign in").click()

    bob.page.wait_for_url(f"{CALLBACK}?token=*")


def test_a_spent_link_says_so(visitors, caller):
    bob = visitors()
    mail = asked(caller, bob.email)
    caller.call("POST", f"{caller.auth}/verify", None, {"email": bob.email, "code": mail["code"]})

    bob.page.goto(mail["links"][0])

    bob.page.get_by_role("heading", name="This link no longer works").wait_for()
