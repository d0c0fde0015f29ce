"""What the dashboard's frame knows of a visit by staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.errors import AppNotFound
from accounts.services.members import Place
from stackbe.kernel.scope import Credential, Role, Scope

if TYPE_CHECKING:
    from accounts.lookups import KnownApp
    from accounts.models import User


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody of staff in a tenant's dashboard, with its consent: they see what a viewer sees, people masked.

    `masks` is False on the page (`page`: its path with its query) that they have revealed with a reason.
    """

    user: User
    tenant_id: UUID
    tenant_name: str
    until: datetime
    end_url: str
    reveal_url: str
    page: str
    masks: bool
    may_reveal: bool

    def scope(self, app: KnownApp) -> Scope:
        """Return a viewer's scope in one of the tenant's apps. Raises `AppNotFound` for anybody else's."""
        if app.tenant_id != self.tenant_id:
            raise AppNotFound
        return Scope(
            tenant_id=self.tenant_id,
            app_id=app.id,
            credential=Credential.STAFF,
            credential_id=self.user.id,
            actor_name=f"staff:{self.user.staff_role}",
            role=Role.VIEWER,
            environment=app.environment,
            clock_offset=timedelta(milliseconds=app.clock_offset_ms),
            masked=self.masks,
        )

    @property
    def place(self) -> Place:
        """Return the place that the frame shows."""
        return Place(self.tenant_id, self.tenant_id, Role.VIEWER, self.tenant_name)
