"""A customer's link in a real browser: named in the app's page, spent by a click, back at the app's callback.

Each way in is walked on a desktop and on a phone: by mouse and thumb, by keyboard alone, without scripts.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.signin.test_live import Caller

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
CALLBACK = "http://localhost:3000/callback"
AUDIT = (Path(__file__).parent / "audit.js").read_text()
LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
on_each_screen = pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS)
NAMED = re.compile("Sign in as .•••@example.com")
# A ring or a shadow that an element has with the focus and lacks without it.
RING = """() => {
  const looks = (e) => { const s = getComputedStyle(e); return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow].join() };
  const focused = document.activeElement, ringed = looks(focused);
  focused.blur();
  const plain = looks(focused);
  focused.focus({ focusVisible: true });
  return ringed !== plain;
}"""


@pytest.fixture
def caller(live_stack) -> Caller:
    return Caller(live_stack.new_tenant())


def asked(caller: Caller, email: str) -> dict:
    status, _ = caller.call("POST", f"{caller.auth}/magic-link", caller.tenant["apiKey"], {"email": email})
    assert status == 200
    return caller.mail(email)


def leads_home(caller: Caller, visitor, act) -> None:
    """Do what leads back to the app, with a code that opens the visitor's own session. Nobody need answer there."""
    with visitor.page.expect_request(re.compile(re.escape(CALLBACK))) as asked_for:
        act()
    (code,) = parse_qs(urlsplit(asked_for.value.url).query)["token"]
    status, answer = caller.call("POST", f"{caller.auth}/verify", None, {"token": code})
    assert (status, answer["email"]) == (200, visitor.email)


@on_each_screen
def test_a_click_leads_back_to_the_app_with_a_code_that_opens_a_session(visitors, caller, looks):
    bob = visitors(**looks)

    bob.page.goto(asked(caller, bob.email)["links"][0])
    leads_home(caller, bob, bob.page.get_by_role("button", name=NAMED).click)


@on_each_screen
def test_the_keyboard_alone_is_enough_and_shows_where_it_is(visitors, caller, looks):
    bob = visitors(**looks)
    bob.page.goto(asked(caller, bob.email)["links"][0])
    bob.page.get_by_role("button", name=NAMED).wait_for()

    bob.page.keyboard.press("Tab")

    assert NAMED.fullmatch(bob.page.evaluate("document.activeElement.textContent"))
    assert bob.page.evaluate(RING)
    leads_home(caller, bob, lambda: bob.page.keyboard.press("Enter"))


@on_each_screen
def test_the_digits_are_typed_by_keyboard_alone(visitors, caller, looks):
    bob = visitors(**looks)
    mail = asked(caller, bob.email)
    bob.page.goto(mail["links"][0].partition("#")[0])
    bob.page.get_by_role("heading", name="Enter your code").wait_for()

    for words in (bob.email, mail["code"]):
        bob.page.keyboard.press("Tab")
        assert bob.page.evaluate(RING)
        bob.page.keyboard.type(words)
    leads_home(caller, bob, lambda: bob.page.keyboard.press("Enter"))


@on_each_screen
def test_without_scripts_the_digits_lead_back_to_the_app(visitors, caller, looks):
    bob = visitors(java_script_enabled=False, **looks)
    mail = asked(caller, bob.email)

    bob.page.goto(mail["links"][0])
    bob.page.get_by_label("E-mail").fill(bob.email)
    bob.page.get_by_label("Code").fill("000000" if mail["code"] != "000000" else "111111")
    bob.page.get_by_role("button", name="Sign in").click()
    bob.page.get_by_text("This code is not valid").wait_for()
    bob.page.get_by_label("Code").fill(mail["code"])

    leads_home(caller, bob, bob.page.get_by_role("button", name="Sign in").click)


def test_a_link_asked_for_in_one_browser_opens_in_another_by_a_click_alone(visitors, caller):
    desk, phone = visitors(**LOOKS["desktop"]), visitors(**LOOKS["phone"])
    phone.email = desk.email
    link = asked(caller, desk.email)["links"][0]
    desk.page.goto(link)
    desk.page.get_by_role("button", name=NAMED).wait_for()

    phone.page.goto(link)
    phone.page.get_by_role("button", name=NAMED).wait_for()
    assert "/auth/confirm" in phone.page.url
    assert {cookie["name"] for cookie in phone.context.cookies()} <= {"csrftoken", "__Host-csrftoken"}
    leads_home(caller, phone, phone.page.get_by_role("button", name=NAMED).click)

    desk.page.get_by_role("button", name=NAMED).click()
    desk.page.get_by_role("heading", name="This link no longer works").wait_for()


def test_a_scanner_that_plays_first_leaves_the_link_to_its_owner(visitors, caller):
    """Mail gateways fetch a link, follow it, and open it in a browser that runs scripts and waits for them."""
    scanner, bob = visitors(), visitors()
    link = asked(caller, bob.email)["links"][0]

    for method in ("GET", "HEAD", "OPTIONS") * 3:
        assert scanner.context.request.fetch(link, method=method).status in {200, 405}
    for _ in range(3):
        scanner.page.goto("about:blank")
        scanner.page.goto(link)
        expect(scanner.page.get_by_role("button", name=NAMED)).to_be_visible()
        assert "/auth/confirm" in scanner.page.url

    bob.page.goto(link)
    expect(bob.page.get_by_role("button", name=NAMED)).to_be_visible()
    leads_home(caller, bob, bob.page.get_by_role("button", name=NAMED).click)


def test_a_spent_link_says_so(visitors, caller):
    bob = visitors()
    mail = asked(caller, bob.email)
    caller.call("POST", f"{caller.auth}/verify", None, {"email": bob.email, "code": mail["code"]})

    bob.page.goto(mail["links"][0])

    bob.page.get_by_role("heading", name="This link no longer works").wait_for()


@pytest.mark.parametrize("colours", ["light", "dark"])
@on_each_screen
def test_each_of_its_pages_can_be_read_by_eye_and_by_ear(visitors, caller, looks, colours):
    bob = visitors(color_scheme=colours, **looks)
    mail = asked(caller, bob.email)
    link = mail["links"][0]
    found = []

    def look(heading, *controls):
        bob.page.get_by_role("heading", name=heading).wait_for()
        found.extend(f"{heading}: {fault}" for fault in bob.page.evaluate(AUDIT))
        told = bob.page.locator("main").aria_snapshot()
        found.extend(f"{heading}: a screen reader hears no {c!r} in {told}" for c in controls if c not in told)

    bob.page.goto(link)
    look("Sign in to", 'button "Sign in as')
    bob.page.goto(link.partition("#")[0])
    look("Enter your code", 'textbox "E-mail"', 'textbox "Code"', 'button "Sign in"')
    caller.call("POST", f"{caller.auth}/verify", None, {"email": bob.email, "code": mail["code"]})
    bob.page.goto("about:blank")
    bob.page.goto(link)
    look("This link no longer works")

    assert found == []
