"""The way into the console: a second factor, a session of its own, and a fresh proof before what is grave."""

from __future__ import annotations

import json
import re

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import App, User
from accounts.pages.proof import stamp
from stackbe.kernel.middleware import CanonicalHost
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import reading
from stackbe.staff import entry
from tests.members.authenticators import SoftKey, app_code
from tests.staff.conftest import hire, looks
from tests.staff.test_console import url_of

ENTRY, HERE = "/login/staff", "http://localhost:8000"


def at_the_desk(role="support"):
    """Return the ordinary browser of somebody of staff who has just come by a link, and has no factor yet."""
    hire(role)
    client = Client(headers={"host": "localhost:8000"})
    client.force_login(User.objects.order_by("-pk").first(), "accounts.backends.MagicLinkBackend")
    session = client.session
    stamp(session, "email")
    session.save()
    return client


def knock(client, path="/staff/"):
    """Open the console; return where a stranger is sent to prove who they are."""
    sent = client.get(client.get(path)["Location"])
    assert sent["Location"].startswith(f"{HERE}{ENTRY}?")
    return sent["Location"].removeprefix(HERE)


def is_shut(client):
    """Say whether the console sends the browser away to sign in."""
    return client.get("/staff/").get("Location", "").startswith("/staff/login/")


def moment():
    return timezone.now().timestamp()


def add_authenticator(client):
    """Add an authenticator app as a person does; return its secret and the page with the codes."""
    page = client.post("/account/security/authenticator").content.decode()
    secret = re.search(r"<code>([A-Z2-7 ]{39})</code>", page)[1].replace(" ", "")
    return secret, client.post("/account/security/authenticator", {"code": app_code(secret, moment())})


def test_the_first_way_in_leads_by_a_new_factor_and_its_recovery_codes(committed, clock):
    client = at_the_desk()

    asked = client.get(knock(client, "/staff/accounts/app/"))
    _, codes = add_authenticator(client)
    back = re.search(r'href="([^"]+)">I have kept them: open the console', codes.content.decode())[1]
    arrived = client.get(client.get(knock(client, back.removeprefix(HERE)))["Location"])

    assert "First, a second factor" in asked.content.decode()
    assert len(re.findall(r"\b[0-9a-z]{5}-[0-9a-z]{5}\n", codes.content.decode())) == 10
    assert arrived["Location"] == "/staff/accounts/app/"
    assert client.get("/staff/accounts/app/").status_code == 200
    assert len(looks(PLATFORM, "staff.entered")) == 1


def test_a_code_opens_the_console_until_it_lies_idle_or_the_day_is_over(committed, clock, settings):
    settings.CONSOLE_HOURS = 1
    client = at_the_desk()
    secret, _ = add_authenticator(client)
    clock.move(minutes=11)

    question = knock(client)
    asked = client.get(question)
    wrong = client.post(question, {"code": "000000"})
    through = client.post(question, {"code": app_code(secret, moment())})
    client.get(through["Location"])

    assert "Is it you?" in asked.content.decode()
    assert wrong.status_code == 400
    assert client.get("/staff/").status_code == 200
    clock.move(minutes=settings.CONSOLE_IDLE_MINUTES, seconds=1)
    assert is_shut(client)

    client.get(client.post(knock(client), {"code": app_code(secret, moment())})["Location"])
    for _ in range(6):
        assert client.get("/staff/jsi18n/").status_code == 200
        clock.move(minutes=10)
    clock.move(seconds=1)
    assert is_shut(client)


def test_a_passkey_opens_it_too(committed, clock):
    client, key = at_the_desk(), SoftKey()
    options = options_of(client.get("/account/security/passkeys"))
    client.post("/account/security/passkeys", {"name": "blue", "answer": key.create(options)})
    clock.move(minutes=11)

    question = knock(client)
    through = client.post(question, {"answer": key.get(options_of(client.get(question)))})
    client.get(through["Location"])

    assert client.get("/staff/").status_code == 200


def options_of(page):
    return json.loads(re.search(r'passkey-options" type="application/json">(.*?)</script>', page.content.decode())[1])


def test_a_pass_is_good_once_for_a_minute_and_in_the_browser_that_asked(committed, clock):
    client = at_the_desk("administrator")
    add_authenticator(client)

    def fresh_pass():
        return client.get(knock(client))["Location"]

    spent = fresh_pass()
    assert Client(headers={"host": "localhost:8000"}).get(spent).status_code == 403
    assert client.get(spent[:-2] + "xx").status_code == 403
    asked = client.cookies[entry.ASKED].value
    assert client.get(spent).status_code == 302
    assert client.get(spent).status_code == 403
    client.cookies[entry.ASKED] = asked  # as a second tab has it that sent its request at the same time
    assert client.get(spent).status_code == 403
    client.post("/staff/logout/")
    late = fresh_pass()
    clock.move(seconds=61)
    assert client.get(late).status_code == 403
    dismissed = fresh_pass()
    User.objects.update(staff_role="")
    assert client.get(dismissed).status_code == 403


def test_the_dashboards_session_is_not_the_consoles_nor_the_other_way_round(committed, clock, settings):
    client = at_the_desk()
    add_authenticator(client)
    arrived = client.get(client.get(knock(client))["Location"])

    cookie = arrived.cookies[settings.CONSOLE_COOKIE_NAME]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/staff/", True, "Lax")
    assert settings.SESSION_COOKIE_NAME not in arrived.cookies
    elsewhere = Client(headers={"host": "localhost:8000"})
    elsewhere.cookies[settings.SESSION_COOKIE_NAME] = cookie.value
    assert elsewhere.get("/staff/").status_code == 302
    elsewhere.cookies[settings.CONSOLE_COOKIE_NAME] = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert elsewhere.get("/staff/").status_code == 302

    client.post("/staff/logout/")
    assert client.get("/staff/").status_code == 302
    assert client.get("/account/security").status_code == 200


def test_developers_without_a_role_get_no_further_than_the_question(committed):
    client = at_the_desk("")

    assert client.get(knock(client)).status_code == 403


def test_what_is_grave_wants_a_fresh_proof_and_keeps_what_was_typed(acme):
    client = hire("security", proven_minutes_ago=11)
    url, row = (
        url_of("accounts.App", acme.app_id, "suspend", page="deed"),
        url_of("accounts.App", acme.app_id, page="change"),
    )

    asked = client.post(url, {"reason": "Reported for abuse."})
    again = client.get(row).content.decode()

    assert asked["Location"].startswith(f"{HERE}{ENTRY}?")
    assert "press the button once more" in again
    assert 'value="Reported for abuse."' in again
    with reading(acme.scope):
        assert not App.objects.within(acme.scope).filter(suspended_at__isnull=False).exists()


@pytest.mark.parametrize(
    ("method", "host", "path", "status"),
    [
        ("GET", "console.example.com", "/staff/", 200),
        ("GET", "localhost:8000", "/staff/", 301),
        ("POST", "localhost:8000", "/staff/accounts/app/1/do/suspend", 404),
        ("GET", "console.example.com", "/dashboard/", 301),
        ("POST", "console.example.com", "/login", 404),
        ("GET", "localhost:8000", "/dashboard/", 200),
        ("POST", "localhost:8000", "/login", 200),
    ],
)
def test_a_host_of_its_own_serves_the_console_alone(settings, method, host, path, status):
    settings.CONSOLE_HOST, settings.CONSOLE_URL = "console.example.com", "http://console.example.com"
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "console.example.com"]
    request = RequestFactory().generic(method, path, headers={"host": host})

    assert CanonicalHost(lambda _: HttpResponse("here"))(request).status_code == status
