"""The mail that tells a tenant's owners that the operator has replaced keys or secrets of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from accounts.models import Tenant
from accounts.services.members import mailable_owners
from stackbe.kernel.ids import decode
from stackbe.kernel.jobs import job
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import send, write
from webhooks.models import SECRET_OVERLAP, WebhookEndpoint

if TYPE_CHECKING:
    from datetime import datetime

    from stackbe.kernel.scope import Scope

FOLLOWED = (
    "Whoever fetches the key set, as our libraries do, need not do anything. A server that holds a copy of the public"
    " keys wants the new one within six minutes."
)
CUT_OFF = (
    "Session tokens that an older key signed are refused from now on: your customers' apps refresh them by themselves."
)


@job("trust.mail_rotated_keys")
def mail_rotated_keys(tenant_id: str, act_id: str) -> None:
    """Mail every owner of the tenant what was replaced, and what is for them to do."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with reading(scope):
        act = AuditEvent.objects.within(scope).get(pk=UUID(act_id))
        tenant = Tenant.unscoped.get(pk=scope.tenant_id)
        owners = mailable_owners(scope)
        lines, to_do = paragraphs(scope, act.detail or {}, act.occurred_at)
    context = {
        "subject": f"{'To do: new secrets' if to_do else 'New keys'} for {tenant.name}",
        "paragraphs": [
            f"We replaced keys of {tenant.name} on {act.occurred_at.day} {act.occurred_at:%B %Y at %H:%M} UTC.",
            *lines,
            "It is in the audit log of your account, under keys.rotated.",
        ],
        "action": "Open the dashboard",
        "url": f"{settings.BASE_URL}/dashboard/",
    }
    for email, user_id in owners:
        send(write("notice", email, context, subject_id=user_id))


def paragraphs(scope: Scope, detail: dict[str, Any], at: datetime) -> tuple[list[str], bool]:
    """Return a sentence or two on each kind that was replaced, what is to do first; and whether anything is."""
    first, then = [], []
    if endpoints := detail.get("webhookEndpoints"):
        rows = WebhookEndpoint.objects.across_apps(scope).filter(pk__in=[decode("we", each) for each in endpoints])
        named = ", ".join(sorted(row.url for row in rows if row.deleted_at is None)) or ", ".join(endpoints)
        until = at + SECRET_OVERLAP
        first.append(
            f"Webhook endpoints with a new signing secret: {named}. The secret that your servers have signs along until"
            f" {until.day} {until:%B %Y, %H:%M} UTC. Before then, open each endpoint in the dashboard, choose Rotate"
            " secret, and give your server the secret that you are shown. Nobody has seen the one that we made."
        )
    if revoked := detail.get("revokedApiKeys"):
        first.append(
            f"{revoked} API key{'s that were' if revoked != 1 else ' that was'} not used for a long time"
            f" {'are' if revoked != 1 else 'is'} revoked. Make new ones where you still want them."
        )
    if apps := detail.get("signingKeysOf"):
        then.append(
            f"{len(apps)} app{'s have' if len(apps) != 1 else ' has'} a new key pair for session tokens."
            f" {CUT_OFF if detail.get('olderTokensRefused') else FOLLOWED}"
        )
    if detail.get("pepper"):
        then.append(
            "What API keys are hashed with is new. They work as before: each is hashed anew when it is next used."
        )
    if detail.get("tenantKey"):
        then.append("What your data is encrypted under is new. Nothing changes for you.")
    return [*first, *then], bool(first)
