"""Archives of whole tenants on their way out."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import TenantOwned


class Archive(TenantOwned):
    """An archive that the worker writes and an owner fetches. It is kept for a day.

    `wrapping` is the key that the passphrase gives, sealed, until the archive is written; the passphrase
    itself is shown once and kept nowhere.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"

    id_prefix = "arc"

    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    wrapping = Sealed(null=True, as_json=True)
    done_rows = models.BigIntegerField(default=0)
    total_rows = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    asked_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=wall_clock)
    finished_at = models.DateTimeField(null=True)
    dropped_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = (models.Index(fields=["tenant_id", "-id"], name="archive_newest"),)


class ArchivePart(TenantOwned):
    """A piece of an archive, sealed under the tenant's key by hand: it is bytes, not text."""

    archive = models.ForeignKey(Archive, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["archive", "number"], name="one_part_per_number"),)
