"""A customer's second factor in a real browser: added on the way in, given by keyboard and by passkey, looked after."""

from __future__ import annotations

import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import PATIENCE_SECONDS
from tests.browser.test_accessibility import AUDIT
from tests.members.authenticators import app_code
from tests.signin.test_live import Caller

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK = {**PHONE, "color_scheme": "dark"}


class App(BaseHTTPRequestHandler):
    """The page that customers come back to."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>App</title><h1>App</h1>")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def callback():
    """The app's callback, at a server of its own: redirects pass by what a browser is told to answer itself."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/callback"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def caller(live_stack, callback) -> Caller:
    """An app with a colour that wants a factor of everybody."""
    made = Caller(live_stack.new_tenant())
    settings = {"brandColor": "#5b2ba8", "secondFactors": "required", "callbackUrls": [callback]}
    status, _ = made.call("PATCH", f"/apps/{made.tenant['appId']}", made.tenant["apiKey"], {"settings": settings})
    assert status == 200
    return made


def come(caller, person, since=""):
    """Ask for a link, open the one that is newer than `since`, press its button; return the link."""
    caller.call("POST", f"{caller.auth}/magic-link", caller.tenant["apiKey"], {"email": person.email})
    deadline = time.monotonic() + PATIENCE_SECONDS
    link = person.mail("Sign in")["links"][0]
    while link == since and time.monotonic() < deadline:
        link = person.mail("Sign in")["links"][0]
    person.page.goto("about:blank")
    person.page.goto(link)
    person.page.get_by_role("button", name=re.compile("Sign in as")).click()
    return link


def session_of(caller, person):
    """Redeem the code that the browser brought to the app's callback."""
    person.page.wait_for_url("**/callback?token=*")
    (code,) = parse_qs(urlsplit(person.page.url).query)["token"]
    status, answer = caller.call("POST", f"{caller.auth}/verify", None, {"token": code})
    assert (status, answer["email"]) == (200, person.email)
    return answer


def add_app(person):
    """Add an authenticator app on the way in; return its secret and the recovery codes."""
    person.page.get_by_role("button", name="Add an authenticator app").click()
    person.page.locator("svg[width][height] path").first.wait_for()
    look(person, "app")
    secret = person.page.locator("form code").inner_text().replace(" ", "")
    person.page.get_by_label("Code that the app shows").fill(app_code(secret, time.time()))
    person.page.keyboard.press("Enter")
    person.page.get_by_role("heading", name="Your second factor is added").wait_for()
    look(person, "codes")
    return secret, person.page.locator("#codes").inner_text().split()


def with_authenticator(person):
    """Give a browser an authenticator of its own, which touches itself."""
    devtools = person.context.new_cdp_session(person.page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    looks = {**options, "isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": looks})


def look(person, name):
    """Hold a page to what everybody can read and operate; keep a picture where somebody wants to look."""
    person.page.wait_for_load_state()  # with the style sheets that sizes hang on
    assert person.page.evaluate(AUDIT) == []
    if folder := os.environ.get("STACKBE_PICTURES"):
        width = person.page.viewport_size["width"]
        person.page.screenshot(path=str(Path(folder) / f"{name}-{width}.png"), full_page=True)


def test_required_is_added_on_a_phone_and_given_by_the_keyboard_alone(visitors, caller):
    ada = visitors(**DARK)
    link = come(caller, ada)
    ada.page.get_by_role("heading", name="Add a second factor").wait_for()
    look(ada, "add")
    secret, codes = add_app(ada)
    ada.page.get_by_role("button", name="I have kept them").click()
    session_of(caller, ada)

    come(caller, ada, since=link)
    ada.page.get_by_role("heading", name="One more step").wait_for()
    look(ada, "step")
    focused = ada.page.evaluate("document.activeElement.id")
    ada.page.keyboard.type(app_code(secret, time.time() + 30))  # that of now was taken when the app was added
    ada.page.keyboard.press("Enter")

    assert session_of(caller, ada)["sessionToken"]
    assert focused == "code"
    assert len(codes) == 10


def test_without_scripts_an_app_is_added_and_a_recovery_code_given(visitors, caller, callback):
    bob = visitors(java_script_enabled=False)
    caller.call("POST", f"{caller.auth}/magic-link", caller.tenant["apiKey"], {"email": bob.email})
    mail = bob.mail("Sign in")
    bob.page.goto(mail["links"][0])
    bob.page.get_by_label("E-mail").fill(bob.email)
    bob.page.get_by_label("Code").fill(mail["code"])
    bob.page.get_by_role("button", name="Sign in").click()
    bob.page.get_by_role("button", name="Add an authenticator app").click()
    secret = bob.page.locator("form code").inner_text().replace(" ", "")
    bob.page.get_by_label("Code that the app shows").fill(app_code(secret, time.time()))
    bob.page.keyboard.press("Enter")
    codes = bob.page.locator("#codes").inner_text().split()
    bob.page.get_by_role("button", name="I have kept them").click()
    answer = session_of(caller, bob)

    status, opened = caller.call(
        "POST", f"/customers/{answer['customerId']}/security/session", answer["sessionToken"], {"returnUrl": callback}
    )
    bob.page.goto(opened["url"])
    bob.page.get_by_label("Link").fill(opened["url"])
    bob.page.get_by_role("button", name="Open").click()
    bob.page.get_by_label("Code of your authenticator app").fill(codes[0])
    bob.page.keyboard.press("Enter")
    bob.page.get_by_role("heading", name="Your security").wait_for()

    assert status == 201
    assert "9 left" in bob.page.content()


def test_a_passkey_is_added_in_the_security_page_and_signs_in(visitors, caller, callback):
    eve = visitors()
    link = come(caller, eve)
    with_authenticator(eve)
    secret, _ = add_app(eve)
    eve.page.get_by_role("button", name="I have kept them").click()
    answer = session_of(caller, eve)

    _, opened = caller.call(
        "POST", f"/customers/{answer['customerId']}/security/session", caller.tenant["apiKey"], {"returnUrl": callback}
    )
    eve.page.goto(opened["url"])
    eve.page.get_by_role("heading", name="Is it you?").wait_for()
    token_in_address = "#" in eve.page.url
    look(eve, "proof")
    eve.page.get_by_label("Code of your authenticator app").fill(app_code(secret, time.time() + 30))
    eve.page.keyboard.press("Enter")
    eve.page.get_by_role("heading", name="Your security").wait_for()
    eve.page.get_by_label("Name").fill("laptop")
    eve.page.get_by_role("button", name="Make a passkey").click()
    eve.page.get_by_text("Your passkey is added.").wait_for()
    look(eve, "security")
    eve.page.get_by_role("button", name="Back to").click()
    eve.page.wait_for_url("**/callback")
    come(caller, eve, since=link)
    eve.page.get_by_role("button", name="Use a passkey").click()

    assert session_of(caller, eve)["sessionToken"]
    assert not token_in_address
