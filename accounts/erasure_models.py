"""That somebody was let go of: what stays when nothing else does."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import TenantOwned


class Erasure(TenantOwned):
    """An erasure that was asked for, and the signed receipt of it once it is done.

    It holds no personal data: the id of what was erased, which names nobody any more, and how many rows
    went where. These rows are also the list that a restored backup is brought up to before it serves.
    """

    class Kind(models.TextChoices):
        CUSTOMER = "customer"
        ORGANIZATION = "organization"
        TENANT = "tenant"

    id_prefix = "era"

    app_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=12, choices=Kind)
    target_id = models.UUIDField()
    asked_by = models.CharField(max_length=80)
    asked_at = models.DateTimeField(default=wall_clock)
    done_at = models.DateTimeField(null=True)
    rows = models.JSONField(null=True)
    kid = models.CharField(max_length=32, blank=True)
    signature = models.CharField(max_length=120, blank=True)

    class Meta(TenantOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "kind", "target_id"], name="one_erasure_per_target"),
        )
        indexes = (models.Index(fields=["tenant_id", "app_id", "-id"], name="erasure_newest"),)
