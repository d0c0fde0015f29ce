"""What an endpoint hears of beyond the type: filters over the API, and what they match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from webhooks.dispatch.fanout import fan_out
from webhooks.filters import MOST_PATHS, matches
from webhooks.models import WebhookEndpoint
from webhooks.outbox import emit

if TYPE_CHECKING:
    from tests.cast import Company

PATH = "/webhook-endpoints"
URL = "https://hooks.example.com/in"
EVENT = {
    "type": "subscription.created",
    "data": {
        "customer": {"id": "cust_1", "metadata": {"region": "eu", "beta": True, "seats": 5}},
        "subscription": {"organizationId": None},
    },
}


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (None, True),
        ({}, True),
        ({"data.customer.id": "cust_1"}, True),
        ({"data.customer.id": "cust_2"}, False),
        ({"data.customer.id": ["cust_2", "cust_1"]}, True),
        ({"data.customer.metadata.region": "eu", "data.customer.metadata.beta": True}, True),
        ({"data.customer.metadata.region": "eu", "data.customer.metadata.beta": False}, False),
        ({"data.customer.metadata.seats": 5.0}, True),
        ({"data.customer.metadata.beta": 1}, False),
        ({"data.customer.metadata.seats": "5"}, False),
        ({"data.subscription.organizationId": None}, True),
        ({"data.no.such.thing": None}, True),
        ({"data.no.such.thing": "x"}, False),
        ({"data.customer.id.deeper": "x"}, False),
    ],
)
def test_all_paths_must_hold_and_a_list_is_one_of_these(wanted: Any, takes: bool) -> None:
    assert matches(wanted, EVENT) is takes


@pytest.mark.parametrize(
    "wanted",
    [
        "data.customer.id",
        {"customer.id": "x"},
        {"data": "x"},
        {"data..id": "x"},
        {"data.customer.id": []},
        {"data.customer.id": {"not": "x"}},
        {"data.customer.id": [["x"]]},
        {"data.customer.id": ["x"] * 21},
        {"data.customer.id": "x" * 256},
        {"data.customer.id": "4242 4242 4242 4242"},
        {"data.customer.email": "ada@example.com"},
        {"data.customer.name": "Ada"},
        {f"data.{'.'.join('abcdefghi')}": "x"},
        {f"data.a{number}": 1 for number in range(MOST_PATHS + 1)},
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused_with_the_field_named(acme_api: Api, wanted: Any) -> None:
    refused = acme_api.post(PATH, {"url": URL, "filter": wanted})

    assert refused.status_code == 400
    assert [field for field in refused.json()["fields"] if field.startswith("filter")]


def test_a_filter_is_shown_changed_and_taken_away_and_lies_sealed(acme: Company, acme_api: Api) -> None:
    made = acme_api.post(PATH, {"url": URL, "filter": {"data.customer.id": "cust_1"}}).json()
    path = f"{PATH}/{made['id']}"

    assert made["filter"] == {"data.customer.id": "cust_1"}
    assert acme_api.patch(path, {"description": "x"}).json()["filter"] == {"data.customer.id": "cust_1"}
    with reading(acme.scope):
        raw = WebhookEndpoint.objects.within(acme.scope).get().__dict__["filter"]
    assert b"cust_1" not in raw
    assert acme_api.patch(path, {"filter": None}).json()["filter"] is None


def queued_for(api: Api, endpoint: dict[str, Any]) -> int:
    return len(api.get(f"{PATH}/{endpoint['id']}/deliveries").json()["data"])


def test_only_events_that_the_filter_matches_are_sent(acme: Company, acme_api: Api) -> None:
    ada, bob = new_id(), new_id()
    everything = acme_api.post(PATH, {"url": URL}).json()
    wanted = {"data.customer.id": encode("cust", ada), "data.customer.metadata.tier": ["gold", "silver"]}
    picky = acme_api.post(PATH, {"url": URL, "events": ["customer.updated"], "filter": wanted}).json()

    with change(acme.scope):
        for person, tier in ((ada, "gold"), (ada, "iron"), (bob, "gold")):
            customer = {"id": encode("cust", person), "metadata": {"tier": tier}}
            emit(acme.scope, "customer.updated", {"customer": customer}, subject=person)
    fan_out(acme.scope)

    assert queued_for(acme_api, everything) == 3
    assert queued_for(acme_api, picky) == 1


def test_sending_again_to_all_asks_the_filter_too(acme: Company, acme_api: Api) -> None:
    acme_api.post(PATH, {"url": URL, "filter": {"data.number": 2}})
    with change(acme.scope):
        emit(acme.scope, "customer.updated", {"number": 1})
    event = acme_api.get("/events").json()["data"][0]["id"]

    assert acme_api.post(f"/events/{event}/redeliver").status_code == 409
