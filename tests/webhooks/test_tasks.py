"""The mail on a disabled endpoint, and what is not kept for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core import mail

from accounts.services.members import add_member
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.queue import run_periodic
from webhooks.models import Attempt, Delivery, Event, WebhookEndpoint
from webhooks.services.endpoints import create_endpoint, rotate_secret, update_endpoint
from webhooks.tasks import mail_disabled

if TYPE_CHECKING:
    from tests.cast import Company

URL = "https://hooks.example.com/in"


@pytest.fixture
def owned(acme: Company, settings: object) -> Company:
    """Acme with an owner and a viewer, and mail that is kept in memory."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]  # pytest-django's
    with change(acme.scope):
        add_member(acme.scope, email="ada@acme.example", role="owner")
        add_member(acme.scope, email="vera@acme.example", role="viewer")
    return acme


def disabled(company: Company, reason: str) -> WebhookEndpoint:
    with change(company.scope):
        endpoint = create_endpoint(company.scope, url=URL)
        endpoint.disable(reason, wall_clock())
        endpoint.save()
    return endpoint


def tell(company: Company, endpoint: WebhookEndpoint) -> None:
    mail_disabled(str(company.tenant_id), str(company.app_id), str(endpoint.pk))


@pytest.mark.parametrize(("reason", "said"), [("gone", "410"), ("failing", "five days")])
def test_owners_are_told_when_we_switch_an_endpoint_off(owned: Company, reason: str, said: str) -> None:
    endpoint = disabled(owned, reason)

    tell(owned, endpoint)

    [sent] = mail.outbox
    assert sent.to == ["ada@acme.example"]
    assert said in sent.body
    assert f"/dashboard/{owned.app}/webhooks/{endpoint.public_id}" in sent.body
    assert URL not in sent.body


def test_nobody_is_told_of_what_they_did_or_undid_themselves(owned: Company) -> None:
    by_request, enabled = disabled(owned, "by_request"), disabled(owned, "gone")
    with change(owned.scope):
        update_endpoint(owned.scope, enabled.pk, enabled=True)

    tell(owned, by_request)
    tell(owned, enabled)

    assert mail.outbox == []


def test_what_is_old_goes_and_what_is_young_or_waits_stays(acme: Company) -> None:
    ages = {"fresh": 1, "month": 31, "quarter": 91}
    with change(acme.scope):
        for days in ages.values():
            at_ms = int((wall_clock() - timedelta(days=days)).timestamp() * 1000)
            mine = owned_by(acme.scope)
            event = Event.unscoped.create(**mine, id=new_id(at_ms), type="webhook.test", body="{}")
            for status in ("pending", "delivered"):
                Delivery.unscoped.create(
                    **mine, id=new_id(at_ms), event_id=event.pk, endpoint_id=new_id(), status=status
                )
            Attempt.unscoped.create(
                **mine, id=new_id(at_ms), delivery_id=new_id(), number=1, duration_ms=1, answer="said"
            )

    run_periodic("trust.purge")

    with reading(acme.scope):
        assert Event.objects.within(acme.scope).count() == 2
        assert Delivery.objects.within(acme.scope).filter(status="pending").count() == 3
        assert Delivery.objects.within(acme.scope).filter(status="delivered").count() == 2
        answers = [a.answer for a in Attempt.objects.within(acme.scope).order_by("id")]
        assert answers == [None, "said"]


def test_a_retired_secret_is_wiped_once_its_day_is_over(acme: Company) -> None:
    with change(acme.scope):
        endpoints = [create_endpoint(acme.scope, url=URL) for _ in range(2)]
        for endpoint in endpoints:
            rotate_secret(acme.scope, endpoint.pk)
        rows = WebhookEndpoint.objects.within(acme.scope).filter(pk=endpoints[0].pk)
        rows.update(previous_secret_until=wall_clock() - timedelta(seconds=1))

    run_periodic("trust.purge")

    with reading(acme.scope):
        kept = {e.pk: e.previous_secret for e in WebhookEndpoint.objects.within(acme.scope)}
    assert kept[endpoints[0].pk] is None
    assert kept[endpoints[1].pk] is not None
