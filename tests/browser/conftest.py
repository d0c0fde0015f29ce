"""A real Chromium on the running stack. Nothing here touches the database: a person cannot either."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from stackbe.kernel.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_SECONDS = 15


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; the tests are NOT RUN where there is none.

    Playwright keeps an event loop running in this thread, so it goes before another file's tests begin.
    """
    if CHROMIUM is None:
        pytest.skip("NOT RUN: no chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A person with a browser of their own, who notices what goes wrong on the way."""

    stack: Stack
    context: BrowserContext
    email: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open one of our pages."""
        self.page.goto(f"{self.stack.base_url}{path}")

    def mail(self, subject: str = "") -> dict[str, Any]:
        """Return the newest mail to this person, waiting for the worker to send it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        url = f"{self.stack.inbox_url}?format=json&to={self.email}"
        while time.monotonic() < deadline:
            with urllib.request.urlopen(url) as reply:
                found = [mail for mail in json.load(reply) if subject in mail["subject"]]
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no mail to {self.email}")

    def sign_in(self) -> None:
        """Sign in by the link, as a person with a mouse does."""
        self.go("/login")
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.get_by_role("button", name="E-mail me a sign-in link").click()
        self.page.get_by_role("heading", name="Check your inbox").wait_for()
        self.page.goto(self.mail()["links"][0])
        self.page.get_by_role("button", name="Sign in as").click()
        self.page.wait_for_url("**/dashboard/**")


class Visitors:
    """Makes visitors, and looks at their complaints when the test is over."""

    def __init__(self, stack: Stack, browser: Browser) -> None:
        """Hold the stage."""
        self.stack = stack
        self.browser = browser
        self.all: list[Visitor] = []

    def __call__(self, email: str = "", **looks: Any) -> Visitor:
        """Return somebody new; `looks` are Playwright's context options."""
        looks.setdefault("viewport", {"width": 1280, "height": 860})
        context = self.browser.new_context(**looks)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        visitor = Visitor(self.stack, context, email or f"{new_id().hex[-12:]}@example.com", context.new_page())
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(f"script: {error}"))
        visitor.page.on("console", lambda said: visitor.complaints.append(said.text) if is_fault(said) else None)
        self.all.append(visitor)
        return visitor


def is_fault(said: Any) -> bool:
    """Say whether the console complains of the page itself, such as of its content policy."""
    return said.type == "error" and "Failed to load resource" not in said.text


@pytest.fixture
def visitors(live_stack: Stack, chromium: Browser) -> Iterator[Visitors]:
    """Return a maker of visitors whose consoles must stay silent."""
    made = Visitors(live_stack, chromium)
    yield made
    complaints = [complaint for visitor in made.all for complaint in visitor.complaints]
    for visitor in made.all:
        visitor.context.close()
    assert complaints == []
