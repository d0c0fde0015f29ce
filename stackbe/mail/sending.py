"""Write a mail from its templates and hand it to the mail server.

Only jobs send. A job carries ids; it reads the address in a change, closes the change, then sends:
a slow mail server must not hold a transaction. What fails raises, and the job is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formataddr, parseaddr
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from stackbe.kernel.transactions import forbid_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A mail to one person. It has no repr: what it holds belongs in no log and no traceback."""

    to: str
    subject: str
    text: str
    html: str
    from_name: str = ""
    code: str | None = None
    subject_id: UUID | None = None


class _Mail(EmailMultiAlternatives):
    """Django's message, with what the development inbox shows apart."""

    code: str | None = None
    subject_id: UUID | None = None


def write(
    template: str,
    to: str,
    context: Mapping[str, Any],
    *,
    from_name: str = "",
    code: str | None = None,
    subject_id: UUID | None = None,
) -> Message:
    """Return the mail that `templates/emails/<template>.{subject.txt,txt,html}` make of a context.

    `from_name` is shown before the deployment's own address; `subject_id` is the person it is
    about, so that a caught copy is erased with them.
    """
    shown = {"base_url": settings.BASE_URL, **context}
    subject = render_to_string(f"emails/{template}.subject.txt", shown)
    return Message(
        to=to,
        subject=" ".join(subject.split()),
        text=render_to_string(f"emails/{template}.txt", shown),
        html=render_to_string(f"emails/{template}.html", shown),
        from_name=from_name,
        code=code,
        subject_id=subject_id,
    )


def send(message: Message) -> str | None:
    """Hand a mail to the mail server, or to the development inbox. Raises what the server raises.

    Returns the id by which a provider will speak of the mail, None from servers that give none.
    """
    forbid_transaction("the mail server")
    mail = _Mail(
        subject=message.subject,
        body=message.text,
        from_email=sender(message.from_name),
        to=[message.to],
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
    mail.attach_alternative(message.html, "text/html")
    mail.code, mail.subject_id = message.code, message.subject_id
    mail.send()
    told = getattr(getattr(mail, "anymail_status", None), "message_id", None)
    return None if told is None else str(told)[:255]


def sender(name: str = "") -> str:
    """Return the From header: our address always (SPF and DKIM hang on it), an app's name before it."""
    own_name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    plain = "".join(c for c in name if c.isprintable()).strip()
    return formataddr((plain or own_name, address))
