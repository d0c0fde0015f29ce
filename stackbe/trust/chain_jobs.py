"""The pass over one audit chain that staff ask for."""

from __future__ import annotations

from uuid import UUID

from stackbe.kernel.jobs import job
from stackbe.trust.services.chains import verify_chain


@job("trust.verify_one_chain")
def verify_one_chain(tenant_id: str) -> None:
    """Go through it, and put what was found in its own log."""
    verify_chain(UUID(tenant_id), asked_for=True)
