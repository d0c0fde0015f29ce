"""Jobs around webhooks: the mail on a disabled endpoint, and replaying."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from accounts.services.members import mailable_owners
from stackbe.kernel.ids import encode
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import Message, send, write
from webhooks.models import WebhookEndpoint
from webhooks.services import replay

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

JOBS = (replay.go_on_replaying,)  # Importing it declares it to the worker.
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
    return [write("notice", email, context, subject_id=user_id) for email, user_id in mailable_owners(scope)]
