"""An invitation in a real browser: it names whom it is for and to what, a click joins, and scanners join nothing."""

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


@pytest.fixture
def team(caller) -> str:
    """Return the path of an organization of the tenant's app."""
    status, made = caller.call("POST", "/organizations", caller.tenant["apiKey"], {"name": "Analytical Engines"})
    assert status == 201, made
    return f"/organizations/{made['id']}"


def invited(caller: Caller, team: str, email: str) -> str:
    """Have somebody invited, and return the link that they are mailed."""
    status, made = caller.call("POST", f"{team}/invites", caller.tenant["apiKey"], {"email": email, "role": "admin"})
    assert status == 201, made
    link: str = caller.mail(email)["links"][0]
    return link


def members(caller: Caller, team: str) -> list[tuple[str, str]]:
    _, listed = caller.call("GET", f"{team}/members", caller.tenant["apiKey"])
    return [(row["email"], row["role"]) for row in listed["data"]]


def led_to(page, act) -> str:
    """Do something and return the address at the app that it leads to. Nobody need answer there."""
    with page.expect_request(re.compile(re.escape(CALLBACK))) as asked:
        act()
    url: str = asked.value.url
    return url


@pytest.mark.parametrize("looks", [{}, PHONE], ids=["desktop", "phone"])
def test_a_click_joins_and_leads_to_the_app_with_a_session_in_the_organization(visitors, caller, team, looks):
    bob = visitors(**looks)

    bob.page.goto(invited(caller, team, bob.email))
    bob.page.get_by_role("heading", name="Join Analytical Engines").wait_for()
    assert "#" not in bob.page.url
    url = led_to(bob.page, bob.page.get_by_role("button", name=re.compile("Join as .•••@example.com")).click)

    (code,) = parse_qs(urlsplit(url).query)["token"]
    status, answer = caller.call("POST", f"{caller.auth}/verify", None, {"token": code})
    assert (status, answer["email"], answer["orgRole"]) == (200, bob.email, "admin")
    assert team.endswith(answer["organizationId"])
    assert members(caller, team) == [(bob.email, "admin")]


def test_a_scanner_that_opens_the_link_and_runs_its_scripts_joins_nothing(visitors, caller, team):
    scanner, bob = visitors(), visitors()
    link = invited(caller, team, bob.email)

    for _ in range(3):
        scanner.page.goto("about:blank")
        scanner.page.goto(link)
        scanner.page.get_by_role("button", name=re.compile("Join as")).wait_for()

    assert members(caller, team) == []
    bob.page.goto(link)
    led_to(bob.page, bob.page.get_by_role("button", name=re.compile("Join as")).click)
    assert members(caller, team) == [(bob.email, "admin")]


def test_the_keyboard_alone_is_enough(visitors, caller, team):
    bob = visitors()
    bob.page.goto(invited(caller, team, bob.email))
    bob.page.get_by_role("button", name=re.compile("Join as")).wait_for()
    bob.page.keyboard.press("Tab")

    led_to(bob.page, lambda: bob.page.keyboard.press("Enter"))

    assert members(caller, team) == [(bob.email, "admin")]


def test_without_scripts_the_link_is_pasted(visitors, caller, team):
    bob = visitors(java_script_enabled=False)
    link = invited(caller, team, bob.email)

    bob.page.goto(link)
    bob.page.get_by_label("Link").fill(link)
    led_to(bob.page, bob.page.get_by_role("button", name="Join").click)

    assert members(caller, team) == [(bob.email, "admin")]


def test_a_spent_invitation_says_so(visitors, caller, team):
    bob = visitors()
    link = invited(caller, team, bob.email)
    (token,) = parse_qs(urlsplit(link).fragment)["token"]
    status, answer = caller.call("POST", "/invites/accept", None, {"token": token})
    assert (status, answer["membership"]["role"]) == (200, "admin")

    bob.page.goto(link)

    bob.page.get_by_role("heading", name="This invitation no longer works").wait_for()
