"""What became of each mail, addresses that take none, and the development inbox's table."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.tenancy import Row, TenantOwned


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


class OutgoingMail(TenantOwned):
    """A mail that was asked for and what became of it: no address, no text, no link.

    `address_index` is the blind index that the caller found the addressee by; `said` is the code of the
    mail server's last refusal, none of its words; `provider_id` is what bounces name the mail by.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        SENT = "sent", "sent"
        REFUSED = "refused", "refused by the mail server"
        BOUNCED = "bounced", "bounced"
        SKIPPED = "skipped", "not sent: earlier mail to this address bounced"
        LATE = "late", "not sent: its link had expired or was replaced"

    id_prefix = "eml"

    app_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=20)
    address_index = models.BinaryField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    said = models.CharField(max_length=40, blank=True)
    provider_id = models.CharField(max_length=255, null=True)
    asked_at = models.DateTimeField(default=wall_clock)
    sent_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = (
            models.Index(fields=["tenant_id", "app_id", "address_index", "-id"], name="outgoing_of_address"),
            models.Index(
                fields=["tenant_id", "app_id", "asked_at"],
                condition=models.Q(status="waiting"),
                name="outgoing_waiting",
            ),
            models.Index(fields=["provider_id"], name="outgoing_provider"),
        )


class BouncedAddress(TenantOwned):
    """An address, by its blind index, to which an app sends nothing more until somebody says so."""

    class Reason(models.TextChoices):
        BOUNCED = "bounced", "the mail came back"
        COMPLAINED = "complained", "the addressee marked it as spam"
        REFUSED = "refused", "the mail server refused the address"

    id_prefix = "bnc"

    app_id = models.UUIDField(null=True)
    address_index = models.BinaryField()
    reason = models.CharField(max_length=10, choices=Reason)
    said = models.CharField(max_length=40, blank=True)
    bounced_at = models.DateTimeField(default=wall_clock)

    class Meta(TenantOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["tenant_id", "app_id", "address_index"],
                nulls_distinct=False,
                name="one_bounce_per_address",
            ),
        )
