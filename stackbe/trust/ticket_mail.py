"""The mails around tickets. A receipt repeats nothing of what was written, or the form were a way to mail others."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from accounts.models import User
from stackbe.kernel.jobs import job
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import reading
from stackbe.mail.sending import Message, send, write
from stackbe.trust.models import Ticket, TicketAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE, MAILTO = "/contact", "mailto:"


@job("trust.mail_ticket_receipt")
def mail_ticket_receipt(ticket_id: str) -> None:
    """Tell whoever wrote that it has arrived, and when to expect an answer."""
    with reading(platform_scope("mail")):
        ticket = Ticket.unscoped.filter(pk=UUID(ticket_id)).first()
        message = None if ticket is None else _receipt(ticket)
    if message is not None:
        send(message)


@job("trust.mail_ticket_answer")
def mail_ticket_answer(answer_id: str) -> None:
    """Mail an answer of staff to whoever wrote."""
    with reading(platform_scope("mail")):
        answer = TicketAnswer.unscoped.select_related("ticket").filter(pk=UUID(answer_id)).first()
        message = None if answer is None else _answer(answer)
    if message is not None:
        send(message)


@job("trust.mail_security_role")
def mail_security_role(ticket_id: str, why: str) -> None:
    """Tell the security role of a report that came in, or of one that has waited for 20 hours."""
    with reading(platform_scope("mail")):
        ticket = Ticket.unscoped.filter(pk=UUID(ticket_id)).first()
        # One that was answered while the mail waited needs nobody any more.
        due = ticket is not None and ticket.answered_at is None
        messages = [_notice(ticket, address, why) for address in _security_addresses()] if ticket and due else []
    for message in messages:
        send(message)


def _receipt(ticket: Ticket) -> Message:
    security = ticket.subject == Ticket.Subject.SECURITY
    when = "Somebody of the security team answers within 24 hours." if security else "Somebody answers this address."
    context = {
        "subject": f"We have your message ({ticket.public_id})",
        "paragraphs": [
            "Thank you. What you wrote on our contact page has arrived, and it is kept encrypted.",
            when,
            "Did you not write to us? Then somebody typed your address; nothing more comes of it.",
        ],
    }
    if security:
        context["paragraphs"].insert(2, "Please tell nobody else of it before we could act.")  # type: ignore[attr-defined]  # a list of sentences
    return write("notice", ticket.email, context)


def _answer(answer: TicketAnswer) -> Message:
    ticket = answer.ticket
    subject = f"Our answer to your message ({ticket.public_id})"
    paragraphs = [part.strip() for part in answer.text.split("\n\n") if part.strip()]
    context = {
        "subject": subject,
        "paragraphs": paragraphs,
        "action": "Write again",
        "url": f"{settings.BASE_URL}{PAGE}",
    }
    return write("notice", ticket.email, context)


def _notice(ticket: Ticket, address: str, why: str) -> Message:
    late = why == "unanswered"
    what = "Unanswered for 20 hours" if late else "A report on security"
    context = {
        "subject": f"{what}: {ticket.public_id}",
        "paragraphs": [
            "Nobody has answered this report. We promise an answer within 24 hours."
            if late
            else "Somebody reports something on security. We promise an answer within 24 hours.",
            "Read it in the staff console and answer from there; the trust page shows the time that it took.",
        ],
        "action": "Open the ticket",
        "url": f"{settings.BASE_URL}/{settings.CONSOLE_PATH}/trust/ticket/{ticket.pk}/change/",
    }
    return write("notice", address, context)


def _security_addresses() -> Sequence[str]:
    """Return whom a report goes to: the security role, else the administrators, else SECURITY_CONTACT's address."""
    for role in (User.StaffRole.SECURITY, User.StaffRole.ADMINISTRATOR):
        people = User.objects.filter(staff_role=role, is_active=True).order_by("id")
        if found := [person.email for person in people if person.email]:
            return found
    contact = settings.SECURITY_CONTACT
    return [contact.removeprefix(MAILTO)] if contact.startswith(MAILTO) else []
