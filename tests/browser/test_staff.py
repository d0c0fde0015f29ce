"""The staff console in a browser: the first way in with a new factor, and the health page on a wide and a narrow screen."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from tests.members.authenticators import app_code

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
SHOTS = os.environ.get("STACKBE_SCREENSHOTS")


def keep(page, name):
    """Keep a picture for a person to look at, where one is wanted."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def test_the_first_administrator_adds_a_factor_and_sees_how_the_service_fares(visitors, live_stack):
    visitor = visitors()
    page = visitor.page

    page.goto(json.loads(live_stack.ask("staff_link", "--json"))["url"])
    page.get_by_role("button", name="Sign in as").click()
    page.get_by_role("heading", name="First, a second factor").wait_for()
    keep(page, "factor")
    page.get_by_role("link", name="Add an authenticator app").click()
    page.get_by_role("button", name="Show the QR code").click()
    secret = re.sub(r"\s", "", page.locator("form code").inner_text())
    page.get_by_label("Code that the app shows").fill(app_code(secret, time.time()))
    page.get_by_role("button", name="Add the app").click()
    page.get_by_role("link", name="I have kept them: open the console").click()
    page.get_by_role("link", name="Webhooks").first.wait_for()
    keep(page, "index")

    page.locator(".console-chip").first.click()
    page.get_by_role("heading", name="Stripe", exact=True).wait_for()
    assert page.locator(".console-panel").count() == 7
    keep(page, "health")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    keep(page, "health-phone")
    if SHOTS:
        page.set_viewport_size({"width": 1280, "height": 860})
        page.evaluate("document.documentElement.classList.add('dark')")
        keep(page, "health-dark")
        visitor.go("/staff/")
        keep(page, "index-2")
        visitor.go("/staff/accounts/tenant/")
        keep(page, "tenants")
        if page.locator("#result_list a").count():
            page.locator("#result_list a").last.click()
            keep(page, "tenant")
            page.set_viewport_size({"width": 390, "height": 844})
            keep(page, "tenant-phone")
