"""What this deployment proves of itself: backups taken, restores tried."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import Row


class BackupRun(Row):
    """One backup or drill: when, how it went, and what was counted. Holds no personal data.

    `detail` of a base backup has its manifest's name, size and segment; of a drill the backup that it used, the second
    it went back to, what was counted and what was found wrong.
    """

    class Kind(models.TextChoices):
        BASE = "base"
        DRILL = "drill"

    id_prefix = "bkp"

    kind = models.CharField(max_length=10, choices=Kind)
    started_at = models.DateTimeField(default=wall_clock)
    finished_at = models.DateTimeField(null=True)
    succeeded = models.BooleanField(default=False)
    detail = models.JSONField(default=dict)

    unscoped: ClassVar[models.Manager[BackupRun]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes = (models.Index(fields=["kind", "-started_at"], name="backuprun_newest"),)
