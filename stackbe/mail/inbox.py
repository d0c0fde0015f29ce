"""The development inbox: what would be sent is kept, sealed, and shown at /dev/inbox.

No mail server is needed to sign in on a laptop, and a dump of the development database shows no
address and no link all the same. Production refuses to start without EMAIL_URL.
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from stackbe.kernel import crypto
from stackbe.kernel.clock import render
from stackbe.kernel.scope import PLATFORM, platform_scope
from stackbe.kernel.serializers import normalised_email
from stackbe.kernel.transactions import change, current, reading
from stackbe.mail.models import InboxMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.core.mail.message import EmailMessage

LINK = re.compile(r"https?://[^\s<>\"']+")
SHOWN = 100


def is_open() -> bool:
    """Say whether this deployment catches mail: never in production, never beside a mail server."""
    return bool(settings.DEVELOPMENT_INBOX) and not settings.PRODUCTION


class DevelopmentInbox(BaseEmailBackend):
    """Django's e-mail backend that sends nothing and keeps everything."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Keep the messages, one row for each addressee; return how many messages were taken."""
        with change(platform_scope("mail")):
            for message in email_messages:
                for addressee in message.recipients():
                    _keep(message, addressee)
        return len(email_messages)


def _keep(message: EmailMessage, addressee: str) -> None:
    text = str(message.body)
    subject_id = getattr(message, "subject_id", None)
    InboxMessage.unscoped.create(
        address_index=_index(addressee),
        subject_id=subject_id if isinstance(subject_id, UUID) else None,
        content={
            "to": addressee,
            "from": message.from_email,
            "subject": str(message.subject),
            "text": text,
            "html": _html_of(message),
            "links": list(dict.fromkeys(link.rstrip(".,)") for link in LINK.findall(text))),
            "code": getattr(message, "code", None),
        },
    )


def _html_of(message: EmailMessage) -> str | None:
    for content, kind in getattr(message, "alternatives", ()):
        if kind == "text/html":
            return str(content)
    return None


def _index(addressee: str) -> bytes:
    address = normalised_email(parseaddr(addressee)[1] or addressee)
    return crypto.keyed_hash(current().keys.secret("inbox_index"), "inbox", address)


def forget_caught(address: str) -> int:
    """Delete the caught mails to an address whose owner is being erased, whoever they were about; return how many."""
    key = crypto.Keyring(PLATFORM).secret("inbox_index")
    index = crypto.keyed_hash(key, "inbox", normalised_email(address))
    return InboxMessage.unscoped.filter(address_index=index).delete()[0]


def messages(to: str | None = None, limit: int = SHOWN) -> list[dict[str, Any]]:
    """Return caught mail, newest first, of one addressee or of all.

    Each is `{id, to, from, subject, text, html, links, code, sentAt}`.
    """
    with reading(platform_scope("inbox")):
        rows = InboxMessage.unscoped.order_by("-id")
        if to:
            rows = rows.filter(address_index=_index(to))
        return [_shown(row) for row in rows[:limit]]


def message(public_id: str) -> dict[str, Any] | None:
    """Return one caught mail, None where there is none of that id."""
    found = [shown for shown in messages() if shown["id"] == public_id]
    return found[0] if found else None


def _shown(row: InboxMessage) -> dict[str, Any]:
    return {"id": row.public_id, **(row.content or {}), "sentAt": render(row.sent_at)}
