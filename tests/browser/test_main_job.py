"""The main job by hand: from signing up to a paying customer and the webhook that tells of it."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]


class Receiver:
    """A server of the developer's own, to which webhooks are sent."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        self.got: list[tuple[dict[str, str], bytes]] = []
        box = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                box.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def call(base: str, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call the API as the developer's server would."""
    request = urllib.request.Request(
        f"{base}/v1{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def make_app(ada: Visitor, name: str = "Northwind") -> str:
    """Make an app and return its public id."""
    ada.go("/dashboard/new")
    ada.page.get_by_label("App name").fill(name)
    ada.page.get_by_role("button", name="Create app").click()
    ada.page.get_by_role("heading", name=name, level=1).wait_for()
    return re.search(r"app_[a-z0-9]{26}", ada.page.url)[0]


def make_key(ada: Visitor) -> str:
    """Make a key and return it, as the page shows it this once."""
    ada.page.get_by_role("navigation", name="Main").get_by_role("link", name="API keys").click()
    ada.page.get_by_role("button", name="Create key").first.click()
    ada.page.get_by_label("Name").fill("server")
    ada.page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    return ada.page.locator("#new-key").inner_text()


def make_catalogue(ada: Visitor) -> None:
    """Count something, grant something, and sell both as a plan."""
    menu = ada.page.get_by_role("navigation", name="Main")
    menu.get_by_role("link", name="Usage").click()
    ada.page.get_by_label("Name").fill("api_calls")
    ada.page.get_by_role("button", name="Create metric").click()
    ada.page.get_by_text("api_calls is counted from now on").wait_for()
    menu.get_by_role("link", name="Plans").click()
    ada.page.get_by_role("link", name="Features", exact=True).click()
    ada.page.get_by_label("Key").fill("priority_support")
    ada.page.get_by_role("button", name="Add feature").click()
    ada.page.get_by_text("Plans may grant priority_support now").wait_for()
    menu.get_by_role("link", name="Plans").click()
    ada.page.get_by_role("link", name=re.compile("New plan|Create a plan")).first.click()
    ada.page.get_by_label("Name").fill("Pro")
    ada.page.get_by_label("Price").fill("49")
    ada.page.get_by_label("Priority support").check()
    ada.page.get_by_label("api_calls included").fill("1000")
    ada.page.get_by_role("button", name="Create plan").click()
    ada.page.get_by_text("Pro is made").wait_for()


def connect_stripe(ada: Visitor) -> None:
    """Allow us at the sandbox to act for an account."""
    ada.page.get_by_role("navigation", name="Main").get_by_role("link", name="Stripe").click()
    ada.page.get_by_role("link", name="Connect with Stripe").click()
    ada.page.get_by_role("button", name=re.compile("Connect", re.IGNORECASE)).first.click()
    ada.page.get_by_text("Stripe is connected").wait_for()


def add_endpoint(ada: Visitor, url: str) -> str:
    """Register an endpoint and return its secret."""
    ada.page.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks").click()
    ada.page.get_by_role("button", name="Add endpoint").first.click()
    ada.page.get_by_role("dialog").get_by_label("URL").fill(url)
    ada.page.get_by_role("dialog").get_by_role("button", name="Add endpoint").click()
    return ada.page.locator("#new-secret").inner_text()


def refresh_until(ada: Visitor, text: str) -> None:
    """Reload a page until what the worker does shows on it; a filter's options say it before it is so."""
    for _ in range(40):
        if ada.page.locator("main").get_by_text(text).filter(visible=True).count():
            return
        ada.page.wait_for_timeout(250)
        ada.page.reload()
    raise AssertionError(f"{text} never showed on {ada.page.url}")


def test_the_main_job_by_hand(visitors, receiver):
    ada = visitors()
    ada.sign_in()
    app = make_app(ada)
    key = make_key(ada)
    make_catalogue(ada)
    connect_stripe(ada)
    secret = add_endpoint(ada, receiver.url)
    base = ada.stack.base_url

    customer = call(base, key, "/customers", {"email": "kim@example.com", "name": "Kim"})
    ada.go(f"/dashboard/{app}/customers")
    ada.page.get_by_role("link", name="kim@example.com").click()
    ada.page.get_by_role("link", name="New checkout").click()
    ada.page.get_by_role("button", name="Open a checkout").click()
    ada.page.get_by_role("link", name="Open the checkout").click()
    ada.page.get_by_role("button", name=re.compile("^Pay")).click()
    ada.page.wait_for_url(f"**/dashboard/{app}/customers/{customer['id']}?checkout=done")
    refresh_until(ada, "Active")

    call(base, key, "/usage/track", {"customerId": customer["id"], "metric": "api_calls", "quantity": 250})
    ada.page.reload()
    ada.page.get_by_text("250 of 1,000").wait_for()

    ada.go(f"/dashboard/{app}/webhooks")
    ada.page.get_by_role("link", name=receiver.url).click()
    refresh_until(ada, "subscription.created")
    ada.page.get_by_role("cell", name="Delivered").first.wait_for()
    sent = {json.loads(Webhook(secret).verify(body, headers) and body)["type"] for headers, body in receiver.got}
    assert {"customer.created", "subscription.created"} <= sent

    ada.page.get_by_role("button", name="Send test event").click()
    ada.page.get_by_text("A test event is on its way").wait_for()
    ada.page.get_by_role("link", name="webhook.test").click()
    ada.page.get_by_role("button", name="Send again to all").click()
    ada.page.get_by_text("On its way again").wait_for()

    ada.go(f"/dashboard/{app}/subscriptions")
    ada.page.get_by_role("link", name="kim@example.com").click()
    ada.page.get_by_role("button", name="Cancel at period end").click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Cancel at period end").click()
    refresh_until(ada, "It ends with this period")
    ada.page.get_by_role("button", name="Keep it going").click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Keep it going").click()
    refresh_until(ada, "Cancel at period end")

    ada.go(f"/dashboard/{app}/")
    assert not ada.page.get_by_text("From here to a first subscription").is_visible()


def test_a_revoked_key_is_refused_on_its_next_call(visitors):
    ada = visitors()
    ada.sign_in()
    make_app(ada)
    key = make_key(ada)
    base = ada.stack.base_url
    call(base, key, "/customers", {"email": "kim@example.com"})

    ada.go(ada.page.url.removeprefix(base))
    ada.page.get_by_role("button", name="Revoke server").click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    ada.page.get_by_text("The next request with that key is refused").wait_for()

    for _ in range(10):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            call(base, key, "/customers", {"email": "lee@example.com"})


def test_customers_are_found_while_one_types(visitors):
    ada = visitors()
    ada.sign_in()
    app = make_app(ada)
    key = make_key(ada)
    for name in ("kim", "lee"):
        call(ada.stack.base_url, key, "/customers", {"email": f"{name}@example.com"})
    ada.go(f"/dashboard/{app}/customers")
    ada.page.evaluate("window.stillTheSamePage = true")

    ada.page.get_by_label("Find a customer").press_sequentially("lee@example.com")

    ada.page.get_by_role("link", name="kim@example.com").wait_for(state="hidden")
    assert ada.page.get_by_role("link", name="lee@example.com").is_visible()
    assert ada.page.evaluate("window.stillTheSamePage")
    assert "q=lee" in ada.page.url


def test_a_delivery_changes_before_ones_eyes(visitors, receiver):
    ada = visitors()
    ada.sign_in()
    make_app(ada)
    add_endpoint(ada, receiver.url)
    ada.page.get_by_role("link", name=receiver.url).click()

    ada.page.get_by_role("button", name="Send test event").click()

    ada.page.get_by_role("cell", name="Delivered").wait_for()
    assert [headers["webhook-id"][:4] for headers, _ in receiver.got] == ["evt_"]
