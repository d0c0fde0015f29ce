"""The mail that tells a tenant's owners that a promise is broken, or kept again, or reads otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from accounts.services.members import mailable_owners
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import send, write
from stackbe.trust.checks.shapes import State
from stackbe.trust.models import TrustCheck

if TYPE_CHECKING:
    from collections.abc import Sequence


@job("trust.mail_changes")
def mail_trust_changes(tenant_id: str, check_ids: list[str]) -> None:
    """Mail every owner of a tenant what has changed."""
    scope = system_scope(UUID(tenant_id), actor_name="mail")
    with reading(scope):
        rows = list(TrustCheck.unscoped.filter(pk__in=[UUID(each) for each in check_ids]).order_by("id"))
        owners = mailable_owners(scope)
    broken = [row for row in rows if State(row.state).is_red]
    context = {
        "subject": "A promise on our security page is broken" if broken else "Our security page has changed",
        "paragraphs": [*map(sentence, rows), *_closing(broken)],
        "action": "See what was found",
        "url": f"{settings.BASE_URL}/security",
    }
    for email, user_id in owners:
        send(write("notice", email, context, subject_id=user_id))


def sentence(row: TrustCheck) -> str:
    """Return what has changed about one promise."""
    if row.promise != row.promise_before and row.promise_before:
        return f"{row.promise_id}: the promise now reads “{row.promise}”; it read “{row.promise_before}”."
    red, was_red = State(row.state).is_red, State(row.before).is_red
    if red and not was_red:
        return f"{row.promise_id}, {row.promise}: not kept since {row.checked_at:%d %b %Y, %H:%M} UTC. {row.evidence}"
    if was_red and not red:
        return f"{row.promise_id}, {row.promise}: kept again since {row.checked_at:%d %b %Y, %H:%M} UTC. {row.evidence}"
    return f"{row.promise_id}, {row.promise}: {State(row.state).word}. {row.evidence}"


def _closing(broken: Sequence[TrustCheck]) -> list[str]:
    return ["We are looking at it. You need not do anything; the page shows when it is kept again."] if broken else []
