"""Files of customers on their way in or out."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


class CustomerFile(AppOwned):
    """A CSV file of customers that is imported, or was exported, by the worker.

    Its content is sealed and dropped: an imported file's as soon as it is done with, an exported one's
    after a day. `done_rows` moves in the same change as the rows it counts, so that whoever goes on after
    a crash begins where the last one ended.
    """

    class Kind(models.TextChoices):
        IMPORT = "import"
        EXPORT = "export"

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"

    id_prefix = "file"

    kind = models.CharField(max_length=10, choices=Kind)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    content = Sealed(null=True)
    is_trial = models.BooleanField(default=False)
    updates_existing = models.BooleanField(default=False)
    total_rows = models.PositiveIntegerField(default=0)
    done_rows = models.PositiveIntegerField(default=0)
    created_rows = models.PositiveIntegerField(default=0)
    updated_rows = models.PositiveIntegerField(default=0)
    unchanged_rows = models.PositiveIntegerField(default=0)
    refused_rows = models.PositiveIntegerField(default=0)
    faults = Sealed(as_json=True, null=True, mask='[{"row": "•••", "problem": "•••"}]')
    asked_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=wall_clock)
    finished_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        indexes = (models.Index(fields=["app_id", "-id"], name="customerfile_newest"),)
