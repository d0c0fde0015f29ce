"""Tickets: what is written on the contact page, and how fast it is answered.

A report of a vulnerability must not lie unread. Whoever writes gets a receipt, the security role is told at once and
again when 20 hours have passed without an answer, and the trust page shows the times that were really taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from accounts.services.users import user_index
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import Forbidden, NotFound, ValidationFailed
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.transactions import require_change
from stackbe.trust import ticket_mail
from stackbe.trust.models import Ticket, TicketAnswer

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

ESCALATE_AFTER = timedelta(hours=20)
PROMISED = timedelta(hours=24)
# The times that the trust page shows are those of this long.
LOOKED_BACK = timedelta(days=90)
SHORTEST_ANSWER, LONGEST_ANSWER = 10, 10_000


@dataclass(frozen=True, slots=True)
class Times:
    """How reports on security were answered lately: how many, the median, the longest, and how many still wait."""

    answered: int
    median: timedelta | None
    longest: timedelta | None
    waiting: int
    overdue: int


def open_ticket(scope: Scope, *, subject: str, email: str, name: str, message: str) -> Ticket:
    """Keep what was written, and queue the receipt and, for a report on security, the mail to the security role."""
    require_change()
    # The index comes first: asking for its key is what makes the platform's on a new copy.
    index = user_index(email)
    ticket = Ticket(subject=subject, email=email, name=name or None, message=message, address_index=index)
    ticket.save(force_insert=True)
    audit(scope, "ticket.opened", ticket.public_id, detail={"subject": subject})
    enqueue(ticket_mail.mail_ticket_receipt, ticket_id=str(ticket.id))
    if subject == Ticket.Subject.SECURITY:
        enqueue(ticket_mail.mail_security_role, ticket_id=str(ticket.id), why="opened")
    return ticket


def answer_ticket(scope: Scope, ticket_id: UUID, text: str) -> TicketAnswer:
    """Mail an answer to whoever wrote; the first one stops the clock.

    `scope` is a staff member's. Raises `ValidationFailed` for an answer too short to be one, and `NotFound`.
    """
    require_change()
    if scope.credential_id is None:
        raise Forbidden("Only a person answers a ticket.")
    said = text.strip()
    if not SHORTEST_ANSWER <= len(said) <= LONGEST_ANSWER:
        wanted = f"Write {SHORTEST_ANSWER} to {LONGEST_ANSWER:,} characters: this is mailed as it stands."
        raise ValidationFailed(fields={"text": [wanted]})
    ticket = _locked(ticket_id)
    moment = wall_clock()
    if ticket.answered_at is None:
        ticket.answered_at = moment
        ticket.save(update_fields=["answered_at"])
    answer = TicketAnswer(ticket=ticket, author_id=scope.credential_id, text=said, answered_at=moment)
    answer.save(force_insert=True)
    audit(scope, "ticket.answered", ticket.public_id, detail={"answer": answer.public_id})
    enqueue(ticket_mail.mail_ticket_answer, answer_id=str(answer.id))
    return answer


def close_ticket(scope: Scope, ticket_id: UUID) -> Ticket:
    """Put a ticket away. Closing twice is harmless."""
    require_change()
    ticket = _locked(ticket_id)
    if ticket.closed_at is None:
        ticket.closed_at = wall_clock()
        ticket.save(update_fields=["closed_at"])
        audit(scope, "ticket.closed", ticket.public_id)
    return ticket


def chase_unanswered(scope: Scope) -> int:
    """Tell the security role, once each, of reports that nobody has answered for 20 hours; return how many."""
    require_change()
    moment = wall_clock()
    late = Ticket.unscoped.select_for_update(skip_locked=True).filter(
        subject=Ticket.Subject.SECURITY,
        answered_at__isnull=True,
        closed_at__isnull=True,
        escalated_at__isnull=True,
        opened_at__lt=moment - ESCALATE_AFTER,
    )
    for ticket in late:
        ticket.escalated_at = moment
        ticket.save(update_fields=["escalated_at"])
        audit(scope, "ticket.escalated", ticket.public_id)
        enqueue(ticket_mail.mail_security_role, ticket_id=str(ticket.id), why="unanswered")
    return len(late)


def response_times() -> Times:
    """Return how long the first answers to reports on security really took; those unanswered count as they wait."""
    moment = wall_clock()
    rows = Ticket.unscoped.filter(subject=Ticket.Subject.SECURITY, opened_at__gt=moment - LOOKED_BACK)
    times = [(row.answered_at or moment) - row.opened_at for row in rows.filter(answered_at__isnull=False)]
    waiting = Ticket.unscoped.filter(subject=Ticket.Subject.SECURITY, answered_at__isnull=True, closed_at__isnull=True)
    return Times(
        answered=len(times),
        median=timedelta(seconds=median(time.total_seconds() for time in times)) if times else None,
        longest=max(times, default=None),
        waiting=waiting.count(),
        overdue=waiting.filter(opened_at__lt=moment - PROMISED).count(),
    )


def _locked(ticket_id: UUID) -> Ticket:
    ticket = Ticket.unscoped.select_for_update().filter(pk=ticket_id).first()
    if ticket is None:
        raise NotFound
    return ticket
