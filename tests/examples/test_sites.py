"""The example sites, each started as its first lines say and used by a person with a browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Visitor, chromium
from tests.databases import ROOT
from tests.signin.test_live import Caller
from tests.stack import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

    from tests.stack import Stack

__all__ = ["chromium"]
pytestmark = pytest.mark.xdist_group("live")
SITES = {"django": [sys.executable, "examples/django_site/app.py"], "node": ["node", "examples/node_site/site.mjs"]}
START_SECONDS = 30


@dataclass
class Site:
    """A running example site and the tenant whose app it is."""

    url: str
    tenant: dict[str, Any]


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest, live_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    command = SITES[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"NOT RUN: {command[0]} is not installed")
    tenant, port = live_stack.new_tenant(), free_port()
    url = f"http://localhost:{port}"
    settings = {"settings": {"callbackUrls": [f"{url}/callback"]}}
    assert Caller(tenant).call("PATCH", f"/apps/{tenant['appId']}", tenant["tenantKey"], settings)[0] == 200
    told = {
        "STACKBE_URL": tenant["baseUrl"],
        "STACKBE_APP": tenant["appId"],
        "STACKBE_KEY": tenant["apiKey"],
        "SITE_URL": url,
    }
    log = tmp_path_factory.mktemp("site") / "log"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "STACKBE_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=own | told, stdout=output, stderr=output, start_new_session=True
        )
    try:
        answers(process, port, log)
        yield Site(url, tenant)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def person(live_stack: Stack, chromium: Browser, site: Site) -> Iterator[Visitor]:
    context = chromium.new_context()
    yield Visitor(live_stack, context, f"{os.urandom(4).hex()}@example.com", context.new_page())
    context.close()


def ask(person: Visitor, site: Site) -> str:
    """Ask for a link as a person does and return where the mail's button leads."""
    person.page.goto(site.url)
    person.page.get_by_label("E-mail").fill(person.email)
    person.page.get_by_role("button", name="Send me a link").click()
    person.page.get_by_text("Look into your inbox").wait_for()
    return str(person.mail()["links"][0])


def sign_in(person: Visitor, site: Site) -> None:
    person.page.goto(ask(person, site))
    person.page.get_by_role("button", name="Sign in as").click()
    person.page.get_by_text(f"Signed in as {person.email}.").wait_for()


def me(person: Visitor, site: Site) -> tuple[int, Any]:
    reply = person.context.request.get(f"{site.url}/me")
    return reply.status, reply.json()


def cookies(context: BrowserContext) -> dict[str, Any]:
    return {cookie["name"]: cookie for cookie in context.cookies()}


def test_a_customer_signs_in_and_out(person, site):
    sign_in(person, site)

    status, told = me(person, site)
    assert (status, told["email"]) == (200, person.email)
    kept = cookies(person.context)
    assert kept["sessionToken"]["httpOnly"]
    assert kept["refreshToken"]["httpOnly"]
    person.page.get_by_role("button", name="Sign out").click()
    person.page.get_by_role("button", name="Send me a link").wait_for()
    assert me(person, site)[0] == 401
    path = f"/apps/{site.tenant['appId']}/auth/session"
    assert Caller(site.tenant).call("GET", path, kept["sessionToken"]["value"])[0] == 401


def test_an_old_session_is_renewed_on_the_way(person, site):
    sign_in(person, site)
    before = cookies(person.context)["refreshToken"]["value"]
    person.context.clear_cookies(name="sessionToken")

    assert me(person, site)[0] == 200

    after = cookies(person.context)
    assert after["refreshToken"]["value"] != before
    assert me(person, site)[0] == 200


def test_a_token_of_another_app_or_an_altered_one_is_nobody(person, site, live_stack):
    other = Caller(live_stack.new_tenant())
    foreign = other.sign_in(f"{os.urandom(4).hex()}@example.com")["sessionToken"]
    sign_in(person, site)
    own = cookies(person.context)["sessionToken"]["value"]
    head, body, signature = own.split(".")
    altered = f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{signature}"

    for token in (foreign, altered, f"{head}.{body}.", "nonsense"):
        person.context.clear_cookies()
        person.context.add_cookies([{"name": "sessionToken", "value": token, "url": site.url}])
        assert me(person, site)[0] == 401


def test_a_link_that_another_browser_asked_for_signs_nobody_in(person, site, chromium):
    link = ask(person, site)
    context = chromium.new_context()
    stranger = context.new_page()

    stranger.goto(link)
    stranger.get_by_role("button", name="Sign in as").click()

    stranger.get_by_text("Ask for the link in this browser").wait_for()
    assert "sessionToken" not in cookies(context)
    context.close()


def test_a_form_of_another_site_is_refused(site):
    request = urllib.request.Request(f"{site.url}/sign-out", b"", headers={"Origin": "https://evil.example"})

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)

    with refused.value as answer:
        assert answer.code == 403


def test_a_wrong_address_is_answered_with_a_sentence(person, site):
    person.page.goto(site.url)
    person.page.get_by_label("E-mail").evaluate("field => field.type = 'text'")
    person.page.get_by_label("E-mail").fill("nobody")
    person.page.get_by_role("button", name="Send me a link").click()

    person.page.get_by_text("email").first.wait_for()
    assert person.page.get_by_role("button", name="Send me a link").is_visible()
