"""Tickets, answered and put away by staff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel.transactions import change
from stackbe.staff.roles import Power
from stackbe.staff.services import refuse_without, staff_scope
from stackbe.trust.services.tickets import answer_ticket, close_ticket

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User


def answer(user: User, ticket_id: UUID, text: str) -> None:
    """Mail an answer to whoever wrote, and stop the clock with the first one."""
    refuse_without(user, Power.ANSWER)
    with change(staff_scope(user)) as unit:
        answer_ticket(unit.scope, ticket_id, text)


def close(user: User, ticket_id: UUID) -> None:
    """Put a ticket away that was answered."""
    refuse_without(user, Power.ANSWER)
    with change(staff_scope(user)) as unit:
        close_ticket(unit.scope, ticket_id)
