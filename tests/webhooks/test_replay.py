"""Sending again: what an endpoint missed, what failed, a stretch of time; and what it missed while it was off."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.ids import decode, new_id
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.queue import run_jobs
from webhooks.dispatch.fanout import fan_out
from webhooks.models import Delivery, WebhookEndpoint
from webhooks.outbox import emit
from webhooks.services import replay

if TYPE_CHECKING:
    from tests.cast import Company

URL = "https://hooks.example.com/in"
LONG_AGO = "2026-01-01T00:00:00Z"


class Shelf:
    """An endpoint of Acme's, and the fate of what was sent to it."""

    def __init__(self, company: Company, **options: Any) -> None:
        self.company, self.api = company, Api(company.key)
        self.endpoint: dict[str, Any] = self.api.post("/webhook-endpoints", {"url": URL, **options}).json()
        self.path = f"/webhook-endpoints/{self.endpoint['id']}"

    def emit(self, *types: str, subject: UUID | None = None) -> list[str]:
        """Emit events, fan them out, return their ids."""
        with change(self.company.scope):
            for name in types:
                emit(self.company.scope, name, {"about": name}, subject=subject)
        fan_out(self.company.scope)
        rows = self.api.get(f"/events?limit={len(types)}").json()["data"]
        return [row["id"] for row in rows][::-1]

    def end(self, status: str, *events: str) -> None:
        """Say how the deliveries of some events ended."""
        with change(self.company.scope):
            rows = Delivery.objects.within(self.company.scope)
            ended = rows.filter(status="pending", event_id__in=[decode("evt", event) for event in events])
            ended.update(status=status, finished_at=wall_clock())

    def replay(self, **asked: Any) -> Any:
        return self.api.post(f"{self.path}/replay", {"since": LONG_AGO, **asked})

    def waiting(self) -> list[str]:
        """Return the events that wait, oldest first."""
        rows = self.api.get(f"{self.path}/deliveries?status=pending&limit=100").json()["data"]
        return [row["eventId"] for row in rows][::-1]


@pytest.fixture
def shelf(acme: Company) -> Shelf:
    return Shelf(acme)


@pytest.fixture
def fates(shelf: Shelf) -> dict[str, str]:
    """One event for each fate at the endpoint, in the order that they happened."""
    names = ("delivered", "failed", "canceled", "pending")
    ids = dict(zip(names, shelf.emit(*["customer.created"] * 4), strict=True))
    for name in names[:3]:
        shelf.end(name, ids[name])
    shelf.api.patch(shelf.path, {"enabled": False})
    [ids["unheard"]] = shelf.emit("customer.updated")
    shelf.api.patch(shelf.path, {"enabled": True})
    return ids


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (None, ["failed", "canceled", "unheard"]),
        ("missed", ["failed", "canceled", "unheard"]),
        ("failed", ["failed", "canceled"]),
        ("delivered", ["delivered"]),
        ("all", ["delivered", "failed", "canceled", "unheard"]),
    ],
)
def test_replay_sends_again_by_how_events_fared(
    shelf: Shelf, fates: dict[str, str], status: str | None, again: list[str]
) -> None:
    told = shelf.replay(**({"status": status} if status else {}))

    assert (told.status_code, told.json()) == (202, {"count": len(again)})
    assert shelf.waiting() == [fates["pending"], *(fates[name] for name in again)]


def test_replaying_twice_queues_nothing_twice(shelf: Shelf, fates: dict[str, str]) -> None:
    assert [shelf.replay(status="all").json()["count"] for _ in range(2)] == [4, 0]


def test_replay_takes_a_stretch_and_types(shelf: Shelf) -> None:
    first, second = shelf.emit("customer.created", "customer.updated")
    shelf.end("failed", first, second)
    soon = render(wall_clock() + timedelta(minutes=1))

    assert shelf.replay(since=soon).json() == {"count": 0}
    assert shelf.replay(until="2026-01-02T00:00:00Z").json() == {"count": 0}
    assert shelf.replay(types=["customer.deleted"]).json() == {"count": 0}
    assert shelf.replay(types=["customer.updated"], until=soon).json() == {"count": 1}
    assert shelf.waiting() == [second]


def test_replay_asks_what_the_endpoint_takes(acme: Company) -> None:
    shelf = Shelf(acme, events=["customer.updated"], filter={"data.about": "customer.created"})
    shelf.emit("customer.created", "customer.updated")

    assert shelf.replay().json() == {"count": 0}
    shelf.api.patch(shelf.path, {"filter": None})
    assert shelf.replay().json() == {"count": 1}


def test_what_an_erased_persons_event_said_is_not_replayed(shelf: Shelf) -> None:
    person = new_id()
    shelf.end("failed", *shelf.emit("customer.updated", subject=person))
    with change(shelf.company.scope) as unit:
        unit.keys.destroy_subject(person)

    assert shelf.replay().json() == {"count": 0}


def test_a_long_replay_goes_on_in_a_job(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 3)
    ids = shelf.emit(*["customer.created"] * 8)
    shelf.end("failed", *ids)

    assert shelf.replay().json() == {"count": 8}
    assert shelf.waiting() == ids[:3]
    run_jobs()
    assert shelf.waiting() == ids


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": None}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"until": LONG_AGO}, "until"),
        ({"status": "pending"}, "status"),
        ({"types": ["no.such"]}, "types"),
        ({"everything": True}, "everything"),
    ],
)
def test_bad_input_is_refused_with_its_field_named(shelf: Shelf, asked: dict[str, Any], field: str) -> None:
    refused = shelf.replay(**asked)

    assert refused.status_code == 400
    assert field in str(refused.json()["fields"])


def test_nothing_is_replayed_to_an_endpoint_that_is_off(shelf: Shelf) -> None:
    shelf.api.patch(shelf.path, {"enabled": False})

    assert shelf.replay().status_code == 409


def test_a_credential_its_scope_and_its_app_are_asked_for(acme: Company, globex_api: Api, shelf: Shelf) -> None:
    path, body = f"{shelf.path}/replay", {"since": LONG_AGO}

    assert Api(None).post(path, body).status_code == 401
    assert acme.api("webhooks:read").post(path, body).json()["code"] == "INSUFFICIENT_SCOPE"
    assert globex_api.post(path, body).status_code == 404


def switch_off(shelf: Shelf, reason: str) -> None:
    with change(shelf.company.scope):
        row = WebhookEndpoint.objects.within(shelf.company.scope).get()
        row.disable(reason, wall_clock())
        row.save()


@pytest.fixture
def missed(shelf: Shelf, request: pytest.FixtureRequest) -> list[str]:
    """What the endpoint missed: an event that failed as it began to, one that waited, one while it was off."""
    with change(shelf.company.scope):
        WebhookEndpoint.objects.within(shelf.company.scope).update(failing_since=wall_clock())
    first, second = shelf.emit("customer.created", "customer.updated")
    shelf.end("failed", first)
    switch_off(shelf, request.param)
    shelf.end("canceled", second)
    return [first, second, *shelf.emit("customer.deleted")]


@pytest.mark.parametrize("missed", ["gone", "failing"], indirect=True)
def test_switching_on_again_sends_what_was_missed(shelf: Shelf, missed: list[str]) -> None:
    assert shelf.waiting() == []
    assert shelf.api.get(shelf.path).json()["disabledAt"]

    on = shelf.api.patch(shelf.path, {"enabled": True}).json()

    assert (on["enabled"], on["disabledAt"], on["failingSince"]) == (True, None, None)
    assert shelf.waiting() == missed


@pytest.mark.parametrize("missed", ["by_request"], indirect=True)
def test_what_was_missed_while_off_by_request_is_sent_only_where_asked(shelf: Shelf, missed: list[str]) -> None:
    shelf.api.patch(shelf.path, {"enabled": True})
    assert shelf.waiting() == []

    shelf.api.patch(shelf.path, {"enabled": False})
    with reading(shelf.company.scope):
        off_since = WebhookEndpoint.objects.within(shelf.company.scope).get().disabled_at
    assert off_since is not None
    [late] = shelf.emit("customer.created")
    shelf.api.patch(shelf.path, {"enabled": True, "replayMissed": True})
    assert shelf.waiting() == [late]


@pytest.mark.parametrize("missed", ["failing"], indirect=True)
def test_what_was_missed_is_left_where_asked(shelf: Shelf, missed: list[str]) -> None:
    shelf.api.patch(shelf.path, {"enabled": True, "replayMissed": False})

    assert shelf.waiting() == []
