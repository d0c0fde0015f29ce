"""Events over the API: list, get, send again, try out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stackbe.kernel.ids import decode, encode, new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from tests.cast import Api
from webhooks.models import Attempt
from webhooks.outbox import emit

if TYPE_CHECKING:
    from uuid import UUID

    from tests.cast import Company

URL = "https://hooks.example.com/in"


@pytest.fixture
def person(acme: Company) -> UUID:
    """A customer of Acme's whom an event tells of."""
    found = new_id()
    with change(acme.scope):
        emit(acme.scope, "customer.created", {"name": "Ada"}, subject=found)
        emit(acme.scope, "invoice.created", {"number": 1})
    return found


@pytest.fixture
def event(acme_api: Api, person: UUID) -> str:
    """The id of the event about that person."""
    found: str = acme_api.get("/events?type=customer.created").json()["data"][0]["id"]
    return found


@pytest.fixture
def endpoint(acme_api: Api) -> str:
    """The id of an endpoint of Acme's."""
    made: str = acme_api.post("/webhook-endpoints", {"url": URL}).json()["id"]
    return made


def test_listing_shows_events_as_they_are_sent(acme_api: Api, person: UUID) -> None:
    listed = acme_api.get("/events").json()

    assert [e["type"] for e in listed["data"]] == ["invoice.created", "customer.created"]
    assert listed["data"][1]["data"] == {"name": "Ada"}
    assert set(listed["data"][0]) == {"id", "type", "timestamp", "data"}


def test_listing_filters_by_type_and_customer(acme_api: Api, person: UUID) -> None:
    by_type = acme_api.get("/events?type=invoice.created").json()["data"]
    by_customer = acme_api.get(f"/events?customerId={encode('cust', person)}").json()["data"]

    assert [e["type"] for e in by_type] == ["invoice.created"]
    assert [e["type"] for e in by_customer] == ["customer.created"]
    assert acme_api.get("/events?type=nothing.such").status_code == 400
    assert acme_api.get("/events?customerId=cust_1").status_code == 400
    assert acme_api.get("/events?unknown=1").status_code == 400


def test_lists_narrow_to_a_stretch_of_time(acme_api: Api, person: UUID, endpoint: str) -> None:
    event = acme_api.get("/events").json()["data"][0]["id"]
    acme_api.post(f"/events/{event}/redeliver")
    for path in ("/events", f"/webhook-endpoints/{endpoint}/deliveries"):
        everything = acme_api.get(path).json()["data"]
        assert everything
        assert (
            acme_api.get(f"{path}?since=2026-01-01T00:00:00Z&until=2999-01-01T00:00:00Z").json()["data"] == everything
        )
        assert acme_api.get(f"{path}?since=2999-01-01T00:00:00Z").json()["data"] == []
        assert acme_api.get(f"{path}?until=1066-10-14T00:00:00Z").json()["data"] == []
        assert "since" in acme_api.get(f"{path}?since=today").json()["fields"]


def test_deliveries_are_found_by_event_type_and_customer(
    acme_api: Api, person: UUID, event: str, endpoint: str
) -> None:
    other = acme_api.get("/events?type=invoice.created").json()["data"][0]["id"]
    for one in (event, other):
        acme_api.post(f"/events/{one}/redeliver")

    def found(query: str) -> list[str]:
        listed = acme_api.get(f"/webhook-endpoints/{endpoint}/deliveries?{query}").json()
        return [row["eventId"] for row in listed["data"]]

    assert found("status=pending") == [other, event]
    assert found(f"eventId={event}") == [event]
    assert found("type=invoice.created") == [other]
    assert found(f"customerId={encode('cust', person)}") == [event]
    assert found(f"customerId={encode('cust', new_id())}") == []
    assert acme_api.get(f"/webhook-endpoints/{endpoint}/deliveries?eventId={endpoint}").status_code == 400


def test_a_delivery_shows_every_attempt_and_what_answered(
    acme: Company, acme_api: Api, person: UUID, event: str, endpoint: str
) -> None:
    [queued] = acme_api.post(f"/events/{event}/redeliver").json()["data"]
    path = f"/webhook-endpoints/{endpoint}/deliveries/{queued['id']}"
    assert acme_api.get(path).json() == queued | {"attempts": []}
    with change(acme.scope):
        for number, (status, said) in enumerate(((500, "broken"), (200, "ok")), start=1):
            Attempt.unscoped.create(
                **owned_by(acme.scope), delivery_id=decode("del", queued["id"]), subject_id=person, number=number,
                response_status=status, duration_ms=12, error="BAD_STATUS" if status == 500 else "", answer=said,
            )  # fmt: skip

    first, second = acme_api.get(path).json()["attempts"]

    assert (first["number"], first["responseStatus"], first["error"], first["answer"]) == (
        1,
        500,
        "BAD_STATUS",
        "broken",
    )
    assert (second["number"], second["error"], second["answer"], second["durationMs"]) == (2, None, "ok", 12)
    elsewhere = acme_api.post("/webhook-endpoints", {"url": URL}).json()["id"]
    assert acme_api.get(f"/webhook-endpoints/{elsewhere}/deliveries/{queued['id']}").status_code == 404


def test_getting_one_shows_the_same(acme_api: Api, event: str) -> None:
    shown = acme_api.get(f"/events/{event}")

    assert shown.status_code == 200
    assert shown.json()["id"] == event


def test_an_erased_persons_event_shows_no_data_and_is_not_sent_again(
    acme: Company, acme_api: Api, person: UUID, event: str, endpoint: str
) -> None:
    with change(acme.scope) as unit:
        unit.keys.destroy_subject(person)

    shown = acme_api.get(f"/events/{event}")
    again = acme_api.post(f"/events/{event}/redeliver")

    assert shown.json()["data"] is None
    assert again.status_code == 409


def test_sending_again_queues_a_delivery_under_the_same_id(acme_api: Api, event: str, endpoint: str) -> None:
    again = acme_api.post(f"/events/{event}/redeliver", {"endpointId": endpoint})

    assert again.status_code == 202
    [delivery] = again.json()["data"]
    assert delivery["eventId"] == event
    assert delivery["endpointId"] == endpoint
    assert (delivery["status"], delivery["attempt"]) == ("pending", 0)
    listed = acme_api.get(f"/webhook-endpoints/{endpoint}/deliveries").json()["data"]
    assert listed == [delivery]
    assert acme_api.get(f"/webhook-endpoints/{endpoint}/deliveries?status=failed").json()["data"] == []


def test_sending_again_with_one_idempotency_key_queues_one(acme_api: Api, event: str, endpoint: str) -> None:
    for _ in range(2):
        assert acme_api.post(f"/events/{event}/redeliver", Idempotency_Key="r").status_code == 202

    assert len(acme_api.get(f"/webhook-endpoints/{endpoint}/deliveries").json()["data"]) == 1


def test_sending_again_wants_a_listener(acme_api: Api, event: str) -> None:
    assert acme_api.post(f"/events/{event}/redeliver").status_code == 409


def test_sending_again_to_anothers_or_a_disabled_endpoint_is_refused(
    acme_api: Api, globex_api: Api, event: str, endpoint: str
) -> None:
    theirs = globex_api.post("/webhook-endpoints", {"url": URL}).json()["id"]
    acme_api.patch(f"/webhook-endpoints/{endpoint}", {"enabled": False})

    foreign = acme_api.post(f"/events/{event}/redeliver", {"endpointId": theirs})
    disabled = acme_api.post(f"/events/{event}/redeliver", {"endpointId": endpoint})

    assert foreign.status_code == 404
    assert disabled.status_code == 409


def test_trying_out_sends_a_test_event_to_that_endpoint_alone(acme_api: Api, endpoint: str) -> None:
    other = acme_api.post("/webhook-endpoints", {"url": URL}).json()["id"]

    tried = acme_api.post(f"/webhook-endpoints/{endpoint}/test")

    assert tried.status_code == 202
    assert tried.json()["eventType"] == "webhook.test"
    event = acme_api.get(f"/events/{tried.json()['eventId']}").json()
    assert event["data"]["endpointId"] == endpoint
    assert acme_api.get(f"/webhook-endpoints/{other}/deliveries").json()["data"] == []


def test_trying_out_a_disabled_endpoint_is_refused(acme_api: Api, endpoint: str) -> None:
    acme_api.patch(f"/webhook-endpoints/{endpoint}", {"enabled": False})

    assert acme_api.post(f"/webhook-endpoints/{endpoint}/test").status_code == 409


@pytest.mark.parametrize(("method", "tail"), [("get", ""), ("post", "/redeliver")])
def test_the_rival_gets_the_404_of_an_id_that_never_was(globex_api: Api, event: str, method: str, tail: str) -> None:
    known = getattr(globex_api, method)(f"/events/{event}{tail}", X_Request_Id="same-request")
    unknown = getattr(globex_api, method)(f"/events/evt_01jd0000000000000000000000{tail}", X_Request_Id="same-request")

    assert known.status_code == 404
    assert known.content == unknown.content


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/events"), ("get", "/events/{}"), ("post", "/events/{}/redeliver")]
)
def test_a_credential_and_its_scope_are_asked_for(acme: Company, event: str, method: str, path: str) -> None:
    assert getattr(Api(None), method)(path.format(event)).status_code == 401
    refused = getattr(acme.api("customers:read"), method)(path.format(event))
    assert refused.status_code == 403
    assert refused.json()["code"] == "INSUFFICIENT_SCOPE"


def test_the_rivals_list_is_empty(globex_api: Api, person: UUID) -> None:
    assert globex_api.get("/events").json()["data"] == []
    assert globex_api.get(f"/events?customerId={encode('cust', person)}").json()["data"] == []
