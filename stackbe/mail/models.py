"""The development inbox's table."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.tenancy import Row


class InboxMessage(Row):
    """A mail that was caught instead of sent. Its content lies under the platform's key.

    `subject_id` names the customer or developer it is about, so that it goes with them.
    """

    id_prefix = "mail"

    address_index = models.BinaryField()
    content = Sealed(as_json=True)
    subject_id = models.UUIDField(null=True, db_index=True)
    sent_at = models.DateTimeField(default=wall_clock, db_index=True)

    unscoped: ClassVar[models.Manager[InboxMessage]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes = (models.Index(fields=["address_index", "-id"], name="inbox_newest"),)

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM
