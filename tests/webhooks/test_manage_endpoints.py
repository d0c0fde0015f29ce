"""Endpoints over the API: create, list, get, change, delete, rotate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from webhooks.catalogue import EVENT_TYPES
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import MOST_ENDPOINTS, create_endpoint
from webhooks.signing import key_of

if TYPE_CHECKING:
    from tests.cast import Company

PATH = "/webhook-endpoints"
URL = "https://hooks.example.com/in?token=s3cr3t"


@pytest.fixture
def endpoint(acme_api: Api) -> dict[str, object]:
    """One of Acme's endpoints, as created."""
    created = acme_api.post(PATH, {"url": URL, "events": ["customer.created"]})
    assert created.status_code == 201, created.content
    body: dict[str, object] = created.json()
    return body


def test_creating_shows_the_secret_once(acme_api: Api, endpoint: dict[str, str]) -> None:
    assert endpoint["id"].startswith("we_")
    assert endpoint["secret"].startswith("whsec_")
    assert len(key_of(endpoint["secret"])) == 32
    assert endpoint["events"] == ["customer.created"]
    assert endpoint["enabled"] is True
    assert endpoint["disabledReason"] is None

    shown = acme_api.get(f"{PATH}/{endpoint['id']}")

    assert shown.status_code == 200
    assert "secret" not in shown.json()
    assert shown.json()["url"] == URL


def test_events_default_to_all(acme_api: Api) -> None:
    created = acme_api.post(PATH, {"url": URL})

    assert created.json()["events"] == ["*"]


def test_urls_and_secrets_lie_encrypted(endpoint: dict[str, str], acme: Company) -> None:
    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute("select url, secret from webhooks_webhookendpoint")
        stored = b"".join(bytes(column) for column in cursor.fetchone())

    assert b"s3cr3t" not in stored
    assert endpoint["secret"].encode() not in stored


def test_creating_twice_with_one_idempotency_key_makes_one(acme_api: Api) -> None:
    first = acme_api.post(PATH, {"url": URL}, Idempotency_Key="k1")
    again = acme_api.post(PATH, {"url": URL}, Idempotency_Key="k1")

    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert len(acme_api.get(PATH).json()["data"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 5}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["no.such_type"]}, "events"),
        ({"url": URL, "events": "customer.created"}, "events"),
        ({"url": URL, "enabled": "yes"}, "enabled"),
        ({"url": URL, "description": "x" * 256}, "description"),
        ({"url": URL, "description": "4242 4242 4242 4242"}, "description"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
        ({"url": "https://exa\0mple.com"}, "url"),
    ],
)
def test_bad_input_is_refused_with_its_field_named(acme_api: Api, body: dict[str, object], field: str) -> None:
    refused = acme_api.post(PATH, body)

    assert refused.status_code == 400
    assert field in str(refused.json()["fields"])


def test_an_app_may_have_fifty_endpoints(acme_api: Api) -> None:
    for _ in range(MOST_ENDPOINTS):
        assert acme_api.post(PATH, {"url": URL}).status_code == 201

    one_more = acme_api.post(PATH, {"url": URL})

    assert one_more.status_code == 409
    assert one_more.json()["code"] == "CONFLICT"


def test_racers_for_the_last_place_are_counted_one_by_one(committed: None) -> None:
    acme = found_company("Acme")
    with change(acme.scope):
        for _ in range(MOST_ENDPOINTS - 1):
            create_endpoint(acme.scope, url=URL)
    start = Barrier(8)

    def race(_: int) -> int:
        start.wait()
        try:
            return int(Api(acme.key).post(PATH, {"url": URL}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(race, range(8)))

    assert statuses == [201] + [409] * 7


def test_listing_pages_newest_first(acme_api: Api, globex_api: Api) -> None:
    ids = [acme_api.post(PATH, {"url": URL}).json()["id"] for _ in range(3)]

    first = acme_api.get(f"{PATH}?limit=2").json()
    second = acme_api.get(f"{PATH}?limit=2&cursor={first['nextCursor']}").json()

    assert [e["id"] for e in first["data"] + second["data"]] == ids[::-1]
    assert first["hasMore"] is True
    assert second["hasMore"] is False
    assert globex_api.get(PATH).json()["data"] == []


def test_changing_changes_what_is_given(acme_api: Api, endpoint: dict[str, str]) -> None:
    changed = acme_api.patch(f"{PATH}/{endpoint['id']}", {"events": ["*", "customer.created"], "description": "Main"})

    assert changed.status_code == 200
    assert changed.json()["events"] == ["*"]
    assert changed.json()["description"] == "Main"
    assert changed.json()["url"] == URL


def test_a_changed_url_is_judged_too(acme_api: Api, endpoint: dict[str, str]) -> None:
    refused = acme_api.patch(f"{PATH}/{endpoint['id']}", {"url": "http://[fe80::1]/"})

    assert refused.status_code == 400
    assert acme_api.get(f"{PATH}/{endpoint['id']}").json()["url"] == URL


def test_disabling_and_enabling_says_so(acme_api: Api, acme: Company, endpoint: dict[str, str]) -> None:
    path = f"{PATH}/{endpoint['id']}"
    off = acme_api.patch(path, {"enabled": False}).json()
    on = acme_api.patch(path, {"enabled": True}).json()

    assert (off["enabled"], off["disabledReason"]) == (False, "by_request")
    assert (on["enabled"], on["disabledReason"]) == (True, None)
    with reading(acme.scope):
        assert WebhookEndpoint.objects.within(acme.scope).get().failing_since is None


def test_deleting_wipes_the_secret(acme_api: Api, acme: Company, endpoint: dict[str, str]) -> None:
    path = f"{PATH}/{endpoint['id']}"

    assert acme_api.delete(path).status_code == 204
    assert acme_api.get(path).status_code == 404
    assert acme_api.delete(path).status_code == 404
    assert acme_api.get(PATH).json()["data"] == []
    with reading(acme.scope):
        assert WebhookEndpoint.objects.within(acme.scope).get().secret == ""


def test_rotating_keeps_the_old_secret_signing_for_a_day(
    acme_api: Api, acme: Company, endpoint: dict[str, str]
) -> None:
    rotated = acme_api.post(f"{PATH}/{endpoint['id']}/rotate-secret").json()

    assert rotated["secret"] != endpoint["secret"]
    with reading(acme.scope):
        row = WebhookEndpoint.objects.within(acme.scope).get()
        both, one = row.signing_secrets(wall_clock()), row.signing_secrets(wall_clock() + timedelta(hours=24))
    assert both == [rotated["secret"], endpoint["secret"]]
    assert one == [rotated["secret"]]


def test_a_rotation_that_is_repeated_cuts_off_no_holder_of_the_first_secret(
    acme: Company, acme_api: Api, endpoint: dict[str, str]
) -> None:
    lost, kept = (acme_api.post(f"{PATH}/{endpoint['id']}/rotate-secret").json()["secret"] for _ in range(2))

    with reading(acme.scope):
        row = WebhookEndpoint.objects.within(acme.scope).get()
        soon, late = (row.signing_secrets(wall_clock() + timedelta(hours=hours)) for hours in (23, 25))

    assert soon == [kept, lost, endpoint["secret"]]
    assert late == [kept]


CALLS = [
    ("get", "", None),
    ("patch", "", {"description": "mine now"}),
    ("delete", "", None),
    ("post", "/rotate-secret", None),
    ("post", "/test", None),
    ("get", "/deliveries", None),
]


@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
def test_the_rival_gets_the_404_of_an_id_that_never_was(
    globex_api: Api, endpoint: dict[str, str], method: str, tail: str, body: object
) -> None:
    arguments = [] if method in {"get", "delete"} else [body]
    known = getattr(globex_api, method)(f"{PATH}/{endpoint['id']}{tail}", *arguments, X_Request_Id="same-request")
    unknown = getattr(globex_api, method)(
        f"{PATH}/we_01jd0000000000000000000000{tail}", *arguments, X_Request_Id="same-request"
    )

    assert known.status_code == 404
    assert known.content == unknown.content


@pytest.mark.parametrize(("method", "tail", "body"), [*CALLS, ("post", "", {"url": URL})])
def test_a_credential_and_its_scope_are_asked_for(
    acme: Company, endpoint: dict[str, str], method: str, tail: str, body: object
) -> None:
    path = PATH if body == {"url": URL} else f"{PATH}/{endpoint['id']}{tail}"
    arguments = [] if method in {"get", "delete"} else [body]
    needed = "webhooks:read" if method == "get" else "webhooks:write"

    assert getattr(Api(None), method)(path, *arguments).status_code == 401
    refused = getattr(acme.api("customers:read"), method)(path, *arguments)
    assert refused.status_code == 403
    assert refused.json()["code"] == "INSUFFICIENT_SCOPE"
    assert needed in refused.json()["message"]


def test_the_catalogue_is_what_the_api_document_names() -> None:
    named = {
        "subscription.created", "subscription.updated", "subscription.canceled",
        "subscription.paused", "subscription.resumed", "customer.created", "customer.updated",
        "payment.succeeded", "payment.failed", "entitlements.updated", "customer.deleted",
        "payment.action_required", "payment.refunded", "payment.disputed",
        "subscription.trial_ending", "usage.threshold_reached", "invoice.created",
        "organization.created", "organization.updated", "organization.deleted",
        "organization.member_added", "organization.member_removed", "webhook.test",
        "customer.identity_linked", "customer.identity_unlinked",
    }  # fmt: skip

    assert set(EVENT_TYPES) == named
