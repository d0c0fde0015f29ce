"""Staff in each role, let into the console."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.models import Customer, User, domain_index, email_index
from billing.models import StripeEvent
from stackbe.kernel import tally
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import KeyDestroyed
from stackbe.kernel.ids import new_id
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.sessions import SessionStore
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import Unit, change, reading
from stackbe.mail.outgoing import record_asked
from stackbe.staff import entry
from stackbe.staff.services import staff_scope
from tests.cast import Company, found_company
from tests.members.conftest import clock  # noqa: F401  # a fixture of theirs
from tests.trust.conftest import owner  # noqa: F401  # a fixture of theirs
from webhooks.models import Attempt, Delivery

if TYPE_CHECKING:
    from uuid import UUID


def hire(role: str, *, proven_minutes_ago: int = 0) -> Client:
    """Return the browser of somebody who holds a role and has come in with a second factor."""
    with change(platform_scope()) as unit:
        ensure_platform_key(unit)
        user = User(email=f"{role or 'nobody'}@staff.example", email_index=f"{role}-index".encode(), staff_role=role)
        user.save(force_insert=True)
    client = Client(headers={"host": "localhost:8000"})
    admit(client, user, proven_minutes_ago=proven_minutes_ago)
    return client


def admit(client: Client, user: User, *, proven_minutes_ago: int = 0) -> None:
    """Give a browser a console session as `arrive` begins it."""
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "accounts.backends.MagicLinkBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    proven_at = int(wall_clock().timestamp()) - 60 * proven_minutes_ago
    entry.begin(session, by="authenticator", proven_at=proven_at)
    session.save()
    client.cookies[settings.CONSOLE_COOKIE_NAME] = session.session_key or ""


def ensure_platform_key(unit: Unit) -> None:
    """Make the platform's key where a test's database has none yet."""
    try:
        unit.keys.tenant_key(PLATFORM)
    except KeyDestroyed:
        unit.keys.create_tenant_key(PLATFORM)


@pytest.fixture
def acme(committed: None) -> Company:
    """The tenant that staff look at."""
    return found_company("Acme")


@pytest.fixture
def customer(acme: Company) -> Customer:
    """A person who is named nowhere but in sealed fields."""
    with change(acme.scope) as unit:
        key = unit.keys.secret("blind_index", acme.app_id)
        row = Customer(
            **owned_by(acme.scope),
            email="grace@example.com",
            name="Grace",
            metadata={},
            email_index=email_index(key, "grace@example.com"),
            domain_index=domain_index(key, "grace@example.com"),
        )
        row.save()
    return row


def looks(tenant_id: UUID, action: str) -> list[str]:
    """Return the targets of a kind of act in a tenant's log."""
    with reading(staff_scope(User(), tenant_id)):
        rows = AuditEvent.unscoped.filter(tenant_id=tenant_id, action=action).order_by("pk")
        return list(rows.values_list("target", flat=True))


def failed_job() -> int:
    """Leave a job that was given up; return its id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_jobs (queue_name, task_name, args, status, attempts)"
            " values ('default', 'mail.send', '{}', 'failed', 10) returning id"
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def troubles(acme: Company) -> tuple[int, StripeEvent, Delivery]:
    """A failed job, an event that had to be looked for, a delivery that failed, mail that waits, an error of ours."""
    moment = wall_clock()
    with change(acme.scope):
        event = StripeEvent(
            **owned_by(acme.scope), account_id="acct_1", event_id="evt_1", type="customer.subscription.updated",
            object_id="sub_1", created=moment, recovered=True,
        )  # fmt: skip
        event.save(force_insert=True)
        delivery = Delivery(
            **owned_by(acme.scope), event_id=new_id(), endpoint_id=new_id(), event_type="customer.created",
            status="failed", attempts=8,
        )  # fmt: skip
        delivery.save(force_insert=True)
        for status in (200, 500, 500):
            Attempt(
                **owned_by(acme.scope), delivery_id=delivery.pk, number=1, response_status=status, duration_ms=5
            ).save(force_insert=True)
        record_asked(acme.scope, new_id(), "magic_link", b"nobody", asked_at=moment - timedelta(seconds=90))
    tally.count(tally.SERVER_ERROR)
    tally.count(tally.SERVER_ERROR)
    return failed_job(), event, delivery
