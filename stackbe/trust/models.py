"""What this deployment proves of itself (backups taken, restores tried), and what people write to it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.tenancy import Row, TenantOwned


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


class Chain(TenantOwned):
    """How a tenant's audit chain was found to stand: its head that was last kept elsewhere, and the last pass over it.

    Written by the worker alone, so that a fault in the web code cannot say that a chain holds. How long the chain is
    and when it last grew is not copied here: whoever shows it reads the seals.
    """

    id_prefix = "chn"

    kept_sequence = models.BigIntegerField(null=True)
    kept_digest = models.BinaryField(null=True)
    kept_at = models.DateTimeField(null=True)
    kept_in = models.CharField(max_length=200, blank=True)
    verified_at = models.DateTimeField(null=True)
    verified_ms = models.PositiveIntegerField(null=True)
    verified_rows = models.BigIntegerField(null=True)
    compared = models.BooleanField(default=False)
    holds = models.BooleanField(null=True)
    faults = models.JSONField(default=list)

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["tenant_id"], name="one_chain_per_tenant"),)


class Ticket(Row):
    """What somebody wrote on the contact page. Who and what lie under the platform's key.

    `answered_at` is when staff first answered, which the trust page's times are made of; `escalated_at` when the
    security role was told that nobody had.
    """

    class Subject(models.TextChoices):
        SECURITY = "security", "Security"
        PRIVACY = "privacy", "Privacy"
        BILLING = "billing", "Billing"
        OTHER = "other", "Something else"

    id_prefix = "tkt"

    subject = models.CharField(max_length=10, choices=Subject)
    email = Sealed()
    name = Sealed(null=True)
    message = Sealed()
    address_index = models.BinaryField()
    opened_at = models.DateTimeField(default=wall_clock)
    answered_at = models.DateTimeField(null=True)
    escalated_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    unscoped: ClassVar[models.Manager[Ticket]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes = (
            models.Index(fields=["opened_at"], condition=models.Q(answered_at__isnull=True), name="ticket_unanswered"),
            models.Index(fields=["address_index"], name="ticket_of_address"),
        )

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM


class TicketAnswer(Row):
    """What staff answered, as it was mailed."""

    id_prefix = "tka"

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="answers")
    author_id = models.UUIDField()
    text = Sealed()
    answered_at = models.DateTimeField(default=wall_clock)

    unscoped: ClassVar[models.Manager[TicketAnswer]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM


class TrustCheck(Row):
    """What one check found at one time. The latest of each is what the trust page shows; holds no personal data.

    `changed` marks one whose state or promise differs from the one before, which `before` names: these are the feed.
    """

    id_prefix = "tck"

    promise_id = models.CharField(max_length=4)
    promise = models.CharField(max_length=200)
    state = models.CharField(max_length=10)
    evidence = models.TextField()
    checked_at = models.DateTimeField(default=wall_clock)
    changed = models.BooleanField(default=False)
    before = models.CharField(max_length=10, blank=True)
    promise_before = models.CharField(max_length=200, blank=True)

    unscoped: ClassVar[models.Manager[TrustCheck]] = models.Manager()

    class Meta:
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"
        indexes = (
            models.Index(fields=["promise_id", "-id"], name="trustcheck_newest"),
            models.Index(fields=["-id"], condition=models.Q(changed=True), name="trustcheck_changes"),
        )
