"""The mail that tells a tenant's owners that a key of theirs was found in public."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from accounts.services.members import mailable_owners
from apikeys.models import ApiKey
from stackbe.kernel.ids import encode
from stackbe.kernel.jobs import job
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import send, write


@job("trust.mail_leaked_key")
def mail_leaked_key(tenant_id: str, key_id: str) -> None:
    """Mail every owner of the tenant which key it was, where it was found, and what to do."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with reading(scope):
        row = ApiKey.objects.within(scope).get(pk=UUID(key_id))
        leaks = AuditEvent.objects.within(scope).filter(action="api_key.leaked", target=row.public_id)
        told = leaks.order_by("-id").first()
        where = (told.detail or {}).get("url", "") if told is not None else ""
        owners = mailable_owners(scope)
    path = f"/dashboard/{encode('app', row.app_id)}/keys" if row.app_id else "/dashboard/"
    context = {
        "subject": f"We revoked an API key that was found in public: {row.prefix}",
        "paragraphs": [
            f"The key “{row.name}” ({row.prefix}…) was found in public and reported to us. It is refused from now on.",
            *([f"It was found here: {where}"] if where else []),
            "Make a new key, put it where your server reads its secrets, and take the old one out of what is public.",
            "Then look through your audit log for what it was used for.",
        ],
        "action": "Make a new key",
        "url": f"{settings.BASE_URL}{path}",
    }
    for email, user_id in owners:
        send(write("notice", email, context, subject_id=user_id))
