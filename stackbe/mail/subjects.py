"""What the development inbox holds on a person, and how it lets go of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from stackbe.kernel.subjects import register
from stackbe.mail.models import InboxMessage

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


def export(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return nothing: mails carry live sign-in links, and the person has had them."""
    return []


def erase(scope: Scope, subject_id: UUID) -> int:
    """Delete the caught mails to a person."""
    return InboxMessage.unscoped.filter(subject_id=subject_id).delete()[0]


register("inbox", models=("mail.InboxMessage",), export=export, erase=erase)
