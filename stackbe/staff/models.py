"""What a tenant lets staff do."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import TenantOwned


class Consent(TenantOwned):
    """An owner's leave for staff to look through the account's dashboard, until it ends or is taken back."""

    id_prefix = "leave"

    granted_by = models.UUIDField()
    created_at = models.DateTimeField(default=wall_clock)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = (models.Index(fields=["tenant_id", "-id"], name="consent_newest"),)
