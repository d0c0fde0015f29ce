"""The log of deliveries by hand: a server fails, the log says how, it is repaired, and gets what it missed."""

from __future__ import annotations

import re

import pytest

from tests.browser.test_accessibility import AUDIT, LOOKS
from tests.browser.test_main_job import add_endpoint, make_app, refresh_until
from tests.webhooks.receiver import Receiver, Reply

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]


def test_a_failure_is_read_in_the_log_and_sent_again_once_repaired(visitors):
    ada = visitors()
    page = ada.page
    ada.sign_in()
    app = make_app(ada, "Northwind")
    with Receiver(lambda _: Reply(503, b"the queue is full, password=hunter22")) as receiver:
        add_endpoint(ada, receiver.url)
        ada.go(f"/dashboard/{app}/webhooks")
        page.get_by_role("link", name=receiver.url).click()
        endpoint = page.url
        page.get_by_role("button", name="Send test event").click()
        refresh_until(ada, "503")

        page.get_by_role("link", name="webhook.test").click()
        page.get_by_text("What it said").first.click()
        page.get_by_text("the queue is full, [masked]").first.wait_for()
        page.get_by_text("The request as curl").click()
        page.get_by_text("webhook-signature: v1,").wait_for()
        event = page.url

        receiver.answer = lambda _: Reply()
        page.goto(endpoint)
        page.get_by_role("button", name="Switch off").click()
        page.get_by_text("Switched off.").wait_for()
        before = len(receiver.calls)
        page.get_by_role("button", name="Switch on", exact=True).click()
        page.get_by_text("Switched on.").wait_for()
        page.get_by_role("button", name="Send again…").click()
        page.get_by_role("dialog").get_by_label("Which events").select_option("all")
        page.get_by_role("dialog").get_by_role("button", name="Send again", exact=True).click()
        page.get_by_text(re.compile("on the way again|nothing to send again")).wait_for()
        receiver.wait_for(lambda calls: len(calls) > before)
        refresh_until(ada, "Delivered")

    page.get_by_label("Status").select_option("delivered")
    page.get_by_label("Event or customer").fill(re.search(r"evt_\w+", event)[0])
    page.get_by_role("button", name="Search").click()
    page.get_by_role("cell", name="Delivered").first.wait_for()
    assert page.get_by_role("cell", name="Failed").count() == 0

    found = []
    for looks in LOOKS.values():
        page.set_viewport_size(looks["viewport"])
        page.emulate_media(color_scheme=looks.get("color_scheme", "light"))
        for path in (endpoint, event):
            page.goto(path)
            for summary in page.locator("details > summary").all():
                summary.click()
            found += page.evaluate(AUDIT)
    assert found == []
