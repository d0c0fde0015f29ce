"""Made-up events of each type: their shape is that of real ones, and a live app's server never gets one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from accounts.models import App
from billing.events import invoice_as_event
from billing.models import InvoiceReference
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from webhooks.catalogue import EVENT_TYPES
from webhooks.models import Event
from webhooks.samples import sample
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from tests.cast import Company

URL = "https://hooks.example.com/in"


@pytest.fixture
def endpoint(acme_api: Api) -> dict[str, Any]:
    made: dict[str, Any] = acme_api.post("/webhook-endpoints", {"url": URL, "events": ["customer.deleted"]}).json()
    return made


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_endpoint_is_tried_with_each_type(acme_api: Api, endpoint: dict[str, Any], name: str) -> None:
    tried = acme_api.post(f"/webhook-endpoints/{endpoint['id']}/test", {"type": name})

    assert (tried.status_code, tried.json()["eventType"]) == (202, name)
    event = acme_api.get(f"/events/{tried.json()['eventId']}").json()
    assert event["type"] == name
    assert event["data"]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_triggered_event_is_listed_and_goes_to_all_that_want_it(acme_api: Api, acme: Company, name: str) -> None:
    made = acme_api.post("/test/events", {"type": name})

    assert made.status_code == 201
    assert acme_api.get("/events").json()["data"] == [made.json()]
    with reading(acme.scope):
        assert Event.objects.within(acme.scope).get().fanned_out_at is None


def test_a_type_that_is_none_is_refused(acme_api: Api, endpoint: dict[str, Any]) -> None:
    for path in (f"/webhook-endpoints/{endpoint['id']}/test", "/test/events"):
        refused = acme_api.post(path, {"type": "customer.exploded"})
        assert refused.status_code == 400
        assert "type" in refused.json()["fields"]
    assert "type" in acme_api.post("/test/events").json()["fields"]


def test_a_live_app_sends_webhook_test_alone(acme: Company, acme_api: Api) -> None:
    with change(acme.scope):
        made = create_endpoint(acme.scope, url=URL)
        App.objects.within(acme.scope).filter(pk=acme.app_id).update(environment="live")
    path = f"/webhook-endpoints/{made.public_id}/test"

    assert acme_api.post(path, {"type": "payment.succeeded"}).status_code == 409
    assert acme_api.post("/test/events", {"type": "payment.succeeded"}).json()["code"] == "CONFLICT"
    assert acme_api.post(path).status_code == 202


def test_a_credential_and_its_scope_are_asked_for(acme: Company) -> None:
    assert Api(None).post("/test/events", {"type": "webhook.test"}).status_code == 401
    refused = acme.api("webhooks:read").post("/test/events", {"type": "webhook.test"})
    assert refused.json()["code"] == "INSUFFICIENT_SCOPE"


def test_samples_have_the_keys_of_what_is_really_sent(acme: Company, acme_api: Api) -> None:
    moment = wall_clock()
    acme_api.post("/metrics", {"name": "api_calls"})
    product = acme_api.post("/products", {"name": "Orbit"}).json()
    price = {"priceCents": 0, "currency": "usd", "interval": "month"}
    plan = acme_api.post("/plans", {"name": "Free", "productId": product["id"], **price}).json()
    person = acme_api.post("/customers", {"email": "ada@example.com"}).json()
    acme_api.post("/subscriptions", {"customerId": person["id"], "planId": plan["id"]})
    company = acme_api.post("/organizations", {"name": "Engines", "customerId": person["id"]}).json()
    acme_api.delete(f"/organizations/{company['id']}")

    real = {event["type"]: event["data"] for event in acme_api.get("/events?limit=100").json()["data"]}

    assert {"customer.created", "subscription.created", "entitlements.updated", "organization.created"} <= set(real)
    for name, data in real.items():
        made = sample(name, moment)
        assert set(made) == set(data), name
        for part, value in data.items():
            if isinstance(value, dict) and isinstance(made[part], dict):
                assert set(made[part]) == set(value), f"{name}: {part}"


def test_samples_show_what_the_shapes_of_rows_show(acme: Company) -> None:
    moment = wall_clock()
    with reading(acme.scope):
        invoice = invoice_as_event(InvoiceReference(hosted_invoice_url=None))

    assert list(sample("payment.failed", moment)["invoice"]) == list(invoice)
