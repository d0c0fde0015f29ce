"""Jobs around webhooks: the mail on a disabled endpoint, and what is not kept for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from accounts.services.members import list_members
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, first_id
from stackbe.kernel.jobs import every_tenant, job, periodic
from stackbe.kernel.scope import PLATFORM, Role, system_scope
from stackbe.kernel.transactions import change, reading
from stackbe.mail.sending import Message, send, write
from webhooks.models import WebhookEndpoint
from webhooks.services import replay

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

JOBS = (replay.go_on_replaying,)  # Importing it declares it to the worker.
KEEP_ANSWERS = timedelta(days=30)
KEEP_EVENTS = timedelta(days=90)
WHY = {
    WebhookEndpoint.DisabledReason.GONE: "It answered 410 Gone, which asks us to stop.",
    WebhookEndpoint.DisabledReason.FAILING: "For five days it answered none of our requests with a 2xx status.",
}


@job("webhooks.mail_disabled")
def mail_disabled(tenant_id: str, app_id: str, endpoint_id: str) -> None:
    """Tell the tenant's owners that we switched an endpoint off, unless somebody has acted since."""
    scope = system_scope(UUID(tenant_id), UUID(app_id), actor_name="mail")
    with reading(scope):
        messages = _disabled_messages(scope, UUID(endpoint_id))
    for message in messages:
        send(message)


def _disabled_messages(scope: Scope, endpoint_id: UUID) -> list[Message]:
    endpoint = WebhookEndpoint.objects.within(scope).filter(pk=endpoint_id).first()
    if endpoint is None or endpoint.enabled or endpoint.disabled_reason not in WHY:
        return []
    app = encode("app", scope.app)
    context = {
        "subject": "A webhook endpoint was switched off",
        "paragraphs": [
            f"StackBE no longer sends events to the endpoint {endpoint.public_id} of your app {app}.",
            WHY[WebhookEndpoint.DisabledReason(endpoint.disabled_reason)],
            "Repair it and switch it on again: what it missed is sent then, oldest first.",
        ],
        "action": "Look at the endpoint",
        "url": f"{settings.BASE_URL}/dashboard/{app}/webhooks/{endpoint.public_id}",
    }
    return [
        write("notice", user.email, context, subject_id=user.id)
        for place, user in list_members(scope)
        if place.role == Role.OWNER and user.email is not None
    ]


@periodic("webhooks.purge_expired", "23 * * * *")
def purge_expired(timestamp: int) -> None:
    """Drop receivers' answers after 30 days, events and their deliveries after 90, retired secrets at once.

    Rows are found by their key, a UUIDv7, so only the partitions of that time are read.
    """
    for tenant_id in every_tenant():
        if tenant_id != PLATFORM:
            with change(system_scope(tenant_id, actor_name="purge")):
                purge_tenant(tenant_id)


PURGES = (
    """
    update webhooks_webhookendpoint set previous_secret = null, previous_secret_until = null
    where tenant_id = %(tenant)s and previous_secret_until < %(now)s
    """,
    """
    update webhooks_attempt set answer = null
    where tenant_id = %(tenant)s and id < %(answers)s and answer is not null
    """,
    "delete from webhooks_attempt where tenant_id = %(tenant)s and id < %(events)s",
    "delete from webhooks_delivery where tenant_id = %(tenant)s and id < %(events)s and status <> 'pending'",
    "delete from webhooks_event where tenant_id = %(tenant)s and id < %(events)s",
)


def purge_tenant(tenant_id: UUID) -> None:
    """Do it for one tenant, in the open change, for all its apps at once."""
    moment = wall_clock()
    bounds: dict[str, Any] = {
        "tenant": tenant_id,
        "now": moment,
        "answers": first_id(moment - KEEP_ANSWERS),
        "events": first_id(moment - KEEP_EVENTS),
    }
    with connection.cursor() as cursor:
        for statement in PURGES:
            cursor.execute(statement, bounds)
