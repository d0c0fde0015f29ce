"""Having an audit chain gone through now, not when its day is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel.audit import audit
from stackbe.kernel.ids import encode
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.transactions import change
from stackbe.staff.roles import Power
from stackbe.staff.services import refuse_without, staff_scope
from stackbe.trust.chain_jobs import verify_one_chain

if TYPE_CHECKING:
    from accounts.models import User
    from stackbe.trust.models import Chain


def ask_verification(user: User, chain: Chain) -> None:
    """Queue a pass over a chain; who asked and, later, what was found are rows of that same chain."""
    refuse_without(user, Power.VERIFY)
    with change(staff_scope(user, chain.tenant_id)) as unit:
        audit(unit.scope, "audit_chain.verification_asked", encode("ten", chain.tenant_id))
        enqueue(verify_one_chain, tenant_id=str(chain.tenant_id))
