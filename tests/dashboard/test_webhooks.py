"""The pages of webhooks: the log and its search, sending again, what was switched off, requests as curl."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest
from standardwebhooks.webhooks import Webhook

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import change, reading
from webhooks.dispatch.fanout import fan_out
from webhooks.models import Delivery, Event, WebhookEndpoint
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cast import Api
    from tests.dashboard.conftest import Desk

URL = "https://hooks.example.com/in?token=s3cr3t"


@pytest.fixture
def endpoint(desk: Desk) -> WebhookEndpoint:
    with change(desk.company.scope):
        return create_endpoint(desk.company.scope, url=URL)


@pytest.fixture
def person(acme_api: Api, desk: Desk, endpoint: WebhookEndpoint) -> str:
    """A customer whose event waits at the endpoint, beside a test event."""
    made: str = acme_api.post("/customers", {"email": "o'hara@example.com", "name": "O'Hara $(id)"}).json()["id"]
    fan_out(desk.company.scope)
    desk.post(f"webhooks/{endpoint.public_id}/test")
    return made


def rows(page: str) -> list[str]:
    return re.findall(r'row-link mono"[^>]*>([\w.]+)<', page)


def deliveries(desk: Desk, **wanted: str) -> list[Delivery]:
    with reading(desk.company.scope):
        return list(Delivery.objects.within(desk.company.scope).filter(**wanted))


def test_the_log_is_searched_by_status_type_event_and_customer(
    desk: Desk, endpoint: WebhookEndpoint, person: str
) -> None:
    event = encode("evt", deliveries(desk, event_type="customer.created")[0].event_id)

    def found(query: str) -> list[str]:
        return rows(desk.get(f"webhooks/{endpoint.public_id}?{query}").content.decode())

    assert found("") == ["webhook.test", "customer.created"]
    assert found("status=pending&type=webhook.test") == ["webhook.test"]
    assert found("status=failed") == []
    assert found(f"about={event}") == found(f"about={person}") == ["customer.created"]


def test_an_id_that_is_none_is_said_beside_the_search(desk: Desk, endpoint: WebhookEndpoint, person: str) -> None:
    for page in (f"webhooks/{endpoint.public_id}?about=cust_1", "events?customer=evt_1"):
        assert "Enter a whole id" in desk.get(page).content.decode()


def test_events_are_searched_by_customer_and_type(desk: Desk, person: str) -> None:
    assert rows(desk.get(f"events?customer={person}").content.decode()) == ["customer.created"]
    assert rows(desk.get("events?type=webhook.test").content.decode()) == ["webhook.test"]


def test_a_filter_and_order_are_set_in_the_form_and_a_wrong_filter_is_said(desk: Desk) -> None:
    fields = {"url": URL, "reach": "all", "ordered": "on"}

    for wrong, said in (("{", "This is not JSON"), ('{"x": 1}', "Write paths like"), ("[1]", "Must be an object")):
        assert said in desk.post("webhooks", **fields, filter=wrong).content.decode()
    desk.post("webhooks", **fields, filter='{"data.customer.id": "cust_1"}')

    with reading(desk.company.scope):
        made = WebhookEndpoint.objects.within(desk.company.scope).get()
        assert (made.filter, made.ordered) == ({"data.customer.id": "cust_1"}, True)
        public_id = made.public_id
    assert "data.customer.id" in desk.get(f"webhooks/{public_id}").content.decode()
    desk.post(f"webhooks/{public_id}", url=URL, reach="all")
    with reading(desk.company.scope):
        made = WebhookEndpoint.objects.within(desk.company.scope).get()
        assert (made.filter, made.ordered) == (None, False)


def end_all(desk: Desk, status: str) -> None:
    with change(desk.company.scope):
        Delivery.objects.within(desk.company.scope).update(status=status, finished_at=wall_clock())


def test_what_failed_is_sent_again_from_a_time(desk: Desk, endpoint: WebhookEndpoint, person: str) -> None:
    end_all(desk, "failed")
    since = (wall_clock() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")

    page = desk.post(f"webhooks/{endpoint.public_id}/replay", since=since, status="failed").content.decode()
    again = desk.post(f"webhooks/{endpoint.public_id}/replay", since=since, status="failed").content.decode()
    unsaid = desk.post(f"webhooks/{endpoint.public_id}/replay", status="failed").content.decode()

    assert "2 events are on the way again" in page
    assert "nothing to send again" in again
    assert "Say from when on" in unsaid
    assert len(deliveries(desk, status="pending")) == 2


def test_every_page_says_that_an_endpoint_was_switched_off_until_it_is_on_again(
    desk: Desk, endpoint: WebhookEndpoint, person: str
) -> None:
    end_all(desk, "failed")
    with change(desk.company.scope):
        row = WebhookEndpoint.objects.within(desk.company.scope).get()
        row.failing_since = wall_clock() - timedelta(days=5)
        row.disable("failing", wall_clock())
        row.save()

    assert "A webhook endpoint was switched off" in desk.get("customers").content.decode()
    page = desk.post(f"webhooks/{endpoint.public_id}/enable", replay="yes").content.decode()

    assert "What it missed is on its way" in page
    assert "was switched off" not in desk.get("customers").content.decode()
    assert len(deliveries(desk, status="pending")) == 2


def test_switching_on_alone_sends_nothing_again(desk: Desk, endpoint: WebhookEndpoint, person: str) -> None:
    end_all(desk, "failed")
    desk.post(f"webhooks/{endpoint.public_id}/disable")

    desk.post(f"webhooks/{endpoint.public_id}/enable")

    assert deliveries(desk, status="pending") == []


def test_a_test_event_of_any_type_is_sent(desk: Desk, endpoint: WebhookEndpoint) -> None:
    desk.post(f"webhooks/{endpoint.public_id}/test", type="payment.failed")

    assert [row.event_type for row in deliveries(desk)] == ["payment.failed"]
    assert desk.post(f"webhooks/{endpoint.public_id}/test", type="no.such").status_code == 404


def test_the_request_as_curl_is_signed_and_shell_proof(desk: Desk, endpoint: WebhookEndpoint, person: str) -> None:
    event = encode("evt", deliveries(desk, event_type="customer.created")[0].event_id)

    shown = re.search(r'<code id="curl-del_\w+">(.*?)</code>', desk.get(f"events/{event}").content.decode(), re.DOTALL)

    assert shown
    words = shlex.split(unescape(shown[1]).replace("\\\n", ""))
    headers = dict(word.split(": ", 1) for word in words if ": " in word and not word.startswith("{"))
    assert words[:3] == ["curl", "-i", URL]
    told = Webhook(endpoint.secret).verify(words[-1], {name.lower(): value for name, value in headers.items()})
    assert told["data"]["customer"]["name"] == "O'Hara $(id)"


def test_who_may_only_look_gets_no_signature(desk_of: Callable[[str], Desk], desk: Desk, person: str) -> None:
    with reading(desk.company.scope):
        event = Event.objects.within(desk.company.scope).filter(type="customer.created").get().public_id

    assert "v1," not in desk_of("viewer").get(f"events/{event}").content.decode()


def test_the_endpoint_shows_how_to_verify_in_four_languages(desk: Desk, endpoint: WebhookEndpoint) -> None:
    page = desk.get(f"webhooks/{endpoint.public_id}").content.decode()

    assert re.findall(r'id="verify-(\w+)"', page) == ["Python", "Node", "PHP", "Java"]
