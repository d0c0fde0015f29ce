"""What people wrote on the contact page, and answering it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin import register

from stackbe.staff.console import ConsoleAdmin, console, sealed_fields
from stackbe.staff.roles import Power, may
from stackbe.staff.services import answers
from stackbe.trust.models import Ticket

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.models import User


@register(Ticket, site=console)
class TicketRows(ConsoleAdmin):
    """Tickets, newest first; what was written is revealed like any personal data."""

    masked: ClassVar[tuple[str, ...]] = sealed_fields(Ticket)
    plain = ("subject", "opened_at", "answered_at", "escalated_at", "closed_at")

    def deeds(self, user: User, row: Any) -> list[dict[str, Any]]:
        """Offer to answer, and to put away what is answered."""
        offered = super().deeds(user, row)
        if row is None or not may(user.staff_role, Power.ANSWER):
            return offered
        hint = "It is mailed to whoever wrote. The first answer stops the clock that the trust page shows."
        offered.append({"name": "answer", "label": "Send the answer", "hint": hint, "reason": False, "text": "Answer"})
        if row.answered_at is not None and row.closed_at is None:
            hint = "It can still be answered afterwards."
            offered.append({"name": "close", "label": "Put away", "hint": hint, "reason": False})
        return offered

    def perform(self, request: HttpRequest, user: User, row: Any, deed: str) -> HttpResponse | None:
        """Answer, or put away."""
        if deed not in {"answer", "close"}:
            return super().perform(request, user, row, deed)
        if deed == "answer":
            answers.answer(user, row.pk, request.POST.get("text", ""))
        else:
            answers.close(user, row.pk)
        messages.success(request, "The answer is on its way." if deed == "answer" else "Put away.")
        return None
