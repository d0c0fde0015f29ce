"""Members and second factors as people meet them: phone and desktop, keyboard, no scripts, a real authenticator."""

from __future__ import annotations

import re
import time

import pytest

from tests.browser.conftest import PATIENCE_SECONDS
from tests.browser.test_accessibility import AUDIT
from tests.browser.test_main_job import make_app
from tests.members.authenticators import app_code

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
PHONE = {"viewport": {"width": 375, "height": 760}}


def come_by_link(person, since=""):
    """Ask for a link, open the one that is newer than `since`, press its button; return the link."""
    person.go("/login")
    person.page.get_by_label("E-mail").fill(person.email)
    person.page.get_by_role("button", name="E-mail me a sign-in link").click()
    person.page.get_by_role("heading", name="Check your inbox").wait_for()
    deadline = time.monotonic() + PATIENCE_SECONDS
    link = person.mail("Sign in")["links"][0]
    while link == since and time.monotonic() < deadline:
        link = person.mail("Sign in")["links"][0]
    person.page.goto("about:blank")
    person.page.goto(link)
    person.page.get_by_role("button", name="Sign in as").click()
    return link


def sign_out(person):
    person.go("/account/security")
    person.page.get_by_role("button", name="Your account").click()
    person.page.get_by_role("button", name="Sign out", exact=True).click()
    person.page.wait_for_url("**/login**")


def add_app(person):
    """Add an authenticator app; return its secret and the recovery codes."""
    person.go("/account/security")
    person.page.get_by_role("link", name="Add an authenticator app").click()
    person.page.get_by_role("button", name="Show the QR code").click()
    person.page.locator("svg[width][height] path").first.wait_for()
    secret = person.page.locator("form code").inner_text().replace(" ", "")
    person.page.get_by_label("Code that the app shows").fill(app_code(secret, time.time()))
    person.page.keyboard.press("Enter")
    person.page.get_by_role("heading", name="Your authenticator app is added").wait_for()
    return secret, person.page.locator("#codes").inner_text().split()


def faults(person):
    return person.page.evaluate(AUDIT)


def test_somebody_is_invited_on_a_phone_and_joins_by_the_link(visitors):
    ada, kim = visitors(**PHONE), visitors(**PHONE)
    ada.sign_in()
    app = make_app(ada, "Northwind")

    ada.go(f"/dashboard/{app}/members")
    ada.page.get_by_role("button", name="Invite somebody").click()
    ada.page.get_by_label("E-mail").fill(kim.email)
    ada.page.get_by_label("Role", exact=True).select_option("viewer")
    ada.page.get_by_role("button", name="Send invitation").click()
    ada.page.get_by_text("Invited. The mail is on its way.").wait_for()
    page_faults = faults(ada)
    kim.page.goto(kim.mail("Join")["links"][0])
    kim.page.get_by_role("heading", name="Join").wait_for()
    token_in_address = "#" in kim.page.url
    kim.page.get_by_role("button", name=re.compile("Join as .•••@example.com")).click()
    kim.page.wait_for_url(f"**/dashboard/{app}/")

    assert page_faults == []
    assert not token_in_address
    assert kim.page.get_by_role("button", name="Create key").count() == 0


def test_without_scripts_an_invitation_waits_behind_sign_in(visitors):
    ada, kim = visitors(), visitors(java_script_enabled=False)
    ada.sign_in()
    app = make_app(ada, "Northwind")
    ada.go(f"/dashboard/{app}/members")
    ada.page.get_by_role("button", name="Invite somebody").click()
    ada.page.get_by_label("E-mail").fill(kim.email)
    ada.page.get_by_role("button", name="Send invitation").click()
    ada.page.get_by_text("Invited. The mail is on its way.").wait_for()

    kim.page.goto(kim.mail("Join")["links"][0])
    kim.page.get_by_role("link", name="Sign in").click()
    kim.page.get_by_label("E-mail").fill(kim.email)
    kim.page.get_by_role("button", name="E-mail me a sign-in link").click()
    kim.page.get_by_label("Code").fill(kim.mail("Sign in")["code"])
    kim.page.get_by_role("button", name="Sign in with the code").click()
    kim.page.get_by_role("heading", name="Invitations to you").wait_for()
    kim.page.get_by_role("button", name="Join").click()

    kim.page.wait_for_url(f"**/dashboard/{app}/")


def test_the_keyboard_alone_gives_the_code_of_an_authenticator_app(visitors):
    ada = visitors()
    link = come_by_link(ada)
    ada.page.wait_for_url("**/dashboard/**")
    secret, codes = add_app(ada)
    sign_out(ada)

    come_by_link(ada, since=link)
    ada.page.get_by_role("heading", name="One more step").wait_for()
    page_faults = faults(ada)
    focused = ada.page.evaluate("document.activeElement.id")
    ada.page.keyboard.type(app_code(secret, time.time() + 30))  # that of now was taken when the app was added
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_url("**/dashboard/**")

    assert len(codes) == 10
    assert focused == "code"
    assert page_faults == []


def test_a_passkey_is_made_and_signs_in(visitors):
    ada = visitors()
    link = come_by_link(ada)
    ada.page.wait_for_url("**/dashboard/**")
    devtools = ada.context.new_cdp_session(ada.page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    looks = {**options, "isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": looks})

    ada.go("/account/security/passkeys")
    ada.page.get_by_label("Name").fill("laptop")
    form_faults = faults(ada)
    ada.page.get_by_role("button", name="Make the passkey").click()
    ada.page.get_by_role("heading", name="Your passkey is added").wait_for()
    sign_out(ada)
    come_by_link(ada, since=link)
    ada.page.get_by_role("heading", name="One more step").wait_for()
    step_faults = faults(ada)
    ada.page.get_by_role("button", name="Use a passkey").click()
    ada.page.wait_for_url("**/dashboard/**")
    ada.go("/account/security")

    ada.page.get_by_role("cell", name="laptop", exact=True).wait_for()
    assert form_faults == step_faults == faults(ada) == []


def test_without_scripts_a_proof_is_given_and_the_form_goes_through(visitors):
    ada = visitors()
    ada.sign_in()
    app = make_app(ada, "Northwind")
    plain = visitors(ada.email, java_script_enabled=False, storage_state=ada.context.storage_state(), **PHONE)
    plain.go("/login")
    ada_again = visitors(ada.email)
    come_by_link(ada_again, since=ada.mail("Sign in")["links"][0])
    ada_again.page.wait_for_url("**/dashboard/**")
    _, codes = add_app(ada_again)

    plain.go(f"/dashboard/{app}/keys")
    plain.page.get_by_role("button", name="Create key").first.click()
    plain.page.get_by_label("Name").fill("server")
    plain.page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    plain.page.get_by_role("heading", name="Is it you?").wait_for()
    plain.page.get_by_label("Code of your authenticator app").fill(codes[0])
    plain.page.keyboard.press("Enter")

    assert plain.page.locator("#new-key").inner_text().startswith("sbk_test_")


def test_a_browser_is_signed_out_from_another(visitors):
    here, there = visitors(), visitors(**PHONE)
    link = come_by_link(here)
    here.page.wait_for_url("**/dashboard/**")
    there.email = here.email
    come_by_link(there, since=link)
    there.page.wait_for_url("**/dashboard/**")

    here.go("/account/security")
    page_faults = faults(here)
    here.page.get_by_role("button", name="Sign out every other browser").click()
    here.page.get_by_text("Every other browser is signed out.").wait_for()
    there.go("/account/security")

    assert page_faults == []
    assert "/login" in there.page.url
    assert here.mail("A new browser")["links"][0].endswith("/account/security")
