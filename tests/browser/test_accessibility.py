"""Every page can be read, reached and operated: by eye, by thumb, by keyboard, by a reader of screens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.test_main_job import add_endpoint, call, make_app, make_catalogue, make_key

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]
AUDIT = (Path(__file__).parent / "audit.js").read_text()
# A colour that fades is judged where it arrives.
AT_REST = """async () => {
  do await new Promise((frame) => requestAnimationFrame(() => requestAnimationFrame(frame)));
  while (document.getAnimations().length);
}"""
LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 860}},
    "desktop, dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone, dark": {"viewport": {"width": 375, "height": 760}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "reduced_motion": "reduce"},
}
OPEN_PAGES = ["/", "/login", "/signup", "/auth/confirm", "/contact", "/security", "/dev/inbox", "/nothing-here"]
APP_PAGES = [
    "",
    "customers",
    "organizations",
    "subscriptions",
    "usage",
    "plans",
    "plans/new",
    "features",
    "stripe",
    "webhooks",
    "events",
    "keys",
    "settings",
    "audit",
]


def faults_of(page, url):
    """Open a page once and judge it in each of the looks, without motion after the first."""
    page.set_viewport_size(LOOKS["desktop"]["viewport"])
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.goto(url)
    found = []
    for name, looks in LOOKS.items():
        if name != "desktop":
            page.emulate_media(color_scheme=looks.get("color_scheme", "light"), reduced_motion="reduce")
            page.set_viewport_size(looks["viewport"])
            page.evaluate(AT_REST)
        found += [f"{name}: {url}: {fault}" for fault in page.evaluate(AUDIT)]
    return found


def test_open_pages_are_accessible(visitors):
    passer_by = visitors()

    found = [fault for path in OPEN_PAGES for fault in faults_of(passer_by.page, f"{passer_by.stack.base_url}{path}")]

    assert found == []


def test_pages_of_an_empty_and_of_a_busy_app_are_accessible(visitors):
    ada = visitors()
    ada.sign_in()
    busy = make_app(ada, "Northwind")
    key = make_key(ada)
    make_catalogue(ada)
    add_endpoint(ada, "http://127.0.0.1:9009/nobody-listens")
    customer = call(ada.stack.base_url, key, "/customers", {"email": "kim@example.com", "name": "Kim"})["id"]
    team = call(ada.stack.base_url, key, "/organizations", {"name": "Engines", "customerId": customer})["id"]
    call(ada.stack.base_url, key, f"/organizations/{team}/invites", {"email": "lin@example.com", "role": "admin"})
    empty = make_app(ada, "Meridian")
    ada.go(f"/dashboard/{busy}/webhooks")
    hook = re.search(r"we_[a-z0-9]{26}", ada.page.content())[0]
    event = re.search(r"evt_[a-z0-9]{26}", ada.page.content())[0]
    paths = [f"/dashboard/{app}/{page}" for app in (busy, empty) for page in APP_PAGES]
    paths += [f"/dashboard/{busy}/{page}" for page in (f"customers/{customer}", f"webhooks/{hook}", f"events/{event}")]
    paths += [f"/dashboard/{busy}/customers/{customer}/checkout", "/dashboard/new"]
    paths += [f"/dashboard/{busy}/organizations/{team}", f"/auth/invite?app={busy}"]

    found = [fault for path in paths for fault in faults_of(ada.page, f"{ada.stack.base_url}{path}")]

    assert found == []


def test_a_dialog_takes_the_focus_and_gives_it_back(visitors):
    ada = visitors()
    ada.sign_in()
    app = make_app(ada)
    ada.go(f"/dashboard/{app}/keys")
    opener = ada.page.get_by_role("button", name="Create key").first

    opener.focus()
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("dialog", name="Create a key").wait_for()
    inside = ada.page.evaluate("document.activeElement.closest('dialog') !== null")
    ada.page.keyboard.press("Escape")

    assert inside
    assert not ada.page.get_by_role("dialog").is_visible()
    assert opener.evaluate("element => element === document.activeElement")


def test_without_scripts_a_key_is_made_and_revoked(visitors):
    ada = visitors()
    ada.sign_in()
    app = make_app(ada)
    plain = visitors(java_script_enabled=False, storage_state=ada.context.storage_state())

    plain.go(f"/dashboard/{app}/keys")
    plain.page.get_by_role("button", name="Create key").first.click()
    plain.page.get_by_label("Name").fill("server")
    plain.page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    assert plain.page.locator("#new-key").inner_text().startswith("sbk_test_")
    plain.page.get_by_role("button", name="Revoke server").click()
    plain.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    plain.page.get_by_text("The next request with that key is refused").wait_for()
