"""Events, the endpoints they go to, and the record of how each got there."""

from __future__ import annotations

from datetime import datetime, timedelta

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned
from webhooks.catalogue import EVERY_TYPE
from webhooks.filters import matches

SECRET_OVERLAP = timedelta(hours=24)
MOST_RETIRING = 4


class WebhookEndpoint(AppOwned):
    """A URL of the app that wants to hear of events.

    The URL is sealed like the secrets: many carry a token in their path or query. `previous_secret` has a
    line for each secret that rotates out, with the moment until which it signs.
    """

    id_prefix = "we"

    class DisabledReason(models.TextChoices):
        NONE = ""
        BY_REQUEST = "by_request"
        GONE = "gone"  # it answered 410
        FAILING = "failing"  # it answered no 2xx for five days

    url = Sealed()
    secret = Sealed()
    previous_secret = Sealed(null=True)
    previous_secret_until = models.DateTimeField(null=True)
    events = ArrayField(models.CharField(max_length=80))
    filter = Sealed(as_json=True, null=True)
    ordered = models.BooleanField(default=False, db_default=False)
    description = models.CharField(max_length=255, blank=True)
    live = models.BooleanField()
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=12, choices=DisabledReason, blank=True)
    failing_since = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)
    deleted_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        indexes = (models.Index(fields=["app_id", "-id"], name="endpoint_newest"),)

    @property
    def receiving(self) -> bool:
        """Say whether events are sent to it at all."""
        return self.enabled and self.deleted_at is None

    @property
    def why_silent(self) -> str:
        """Return what to tell its owners of an endpoint that we switched off."""
        why = {
            self.DisabledReason.GONE: "it answered 410 Gone, which asks us to stop",
            self.DisabledReason.FAILING: "for five days it answered none of our requests with a 2xx status",
        }
        reason = why.get(self.DisabledReason(self.disabled_reason), "it was asked for")
        return f"No events go to {self.url}: {reason}. Repair it and switch it on again; what it missed is sent then."

    def takes(self, event_type: str) -> bool:
        """Say whether the endpoint asked for events of a type."""
        return self.receiving and (EVERY_TYPE in self.events or event_type in self.events)

    def wants(self, event: Event) -> bool:
        """Say whether the endpoint asked for an event: for its type, and for what its body says where it has a filter.

        What a filter cannot read (the person is erased) it does not want.
        """
        if not self.takes(event.type):
            return False
        wanted = self.filter
        if not wanted:
            return True
        body = event.body
        return body is not None and matches(wanted, orjson.loads(body))

    def signing_secrets(self, at: datetime) -> list[str]:
        """Return what signs at a moment, newest first: two secrets while one rotates out."""
        return [self.secret, *(secret for _, secret in self._retiring(at))]

    def rotate(self, secret: str, at: datetime) -> None:
        """Sign with a new secret; the one before it signs along for a day.

        So does one that was rotated out earlier that day: whoever repeats a rotation whose answer got
        lost must not cut off a receiver that still holds the first secret.
        """
        until = at + SECRET_OVERLAP
        retiring = [(until, self.secret), *self._retiring(at)][:MOST_RETIRING]
        self.previous_secret = "\n".join(f"{moment.isoformat()} {old}" for moment, old in retiring)
        self.previous_secret_until = until
        self.secret = secret

    def _retiring(self, at: datetime) -> list[tuple[datetime, str]]:
        """Return until when which earlier secrets sign, newest first."""
        last = self.previous_secret_until
        if last is None or at >= last:
            return []
        lines = [line.rpartition(" ") for line in (self.previous_secret or "").splitlines()]
        parsed = [(datetime.fromisoformat(moment) if moment else last, secret) for moment, _, secret in lines]
        return [(moment, secret) for moment, secret in parsed if at < moment]

    def disable(self, reason: str, at: datetime) -> None:
        """Stop sending, and remember since when and why."""
        self.enabled, self.disabled_reason, self.disabled_at = False, reason, at

    def enable(self) -> None:
        """Start sending anew, with a clean record."""
        self.enabled, self.disabled_reason, self.failing_since, self.disabled_at = True, "", None, None


class Event(AppOwned):
    """One fact, written in the change that made it true and delivered later.

    `body` is the JSON text that is sent, sealed under the key of the person it is about. The
    table is partitioned by month through its key, a UUIDv7.
    """

    id_prefix = "evt"

    type = models.CharField(max_length=80)
    subject_id = models.UUIDField(null=True)
    body = Sealed(subject="subject_id", mask='{"data": "•••"}')
    created_at = models.DateTimeField(default=wall_clock)
    fanned_out_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        indexes = (
            models.Index(fields=["app_id", "-id"], name="event_newest"),
            models.Index(fields=["app_id", "subject_id", "-id"], name="event_of_subject"),
            models.Index(fields=["id"], condition=Q(fanned_out_at__isnull=True), name="event_to_fan_out"),
        )


class Delivery(AppOwned):
    """One event on its way to one endpoint: the queue that the dispatcher works.

    A claim moves `due_at` past a lease and writes `lease`; whoever finishes later than that
    finds another lease in the row and leaves it alone. An `ordered` one waits for all before it, in
    the order of their events.
    """

    id_prefix = "del"

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"
        CANCELED = "canceled"  # endpoint gone or disabled, or the person's data erased

    event_id = models.UUIDField()
    endpoint_id = models.UUIDField()
    event_type = models.CharField(max_length=80)
    subject_id = models.UUIDField(null=True)
    ordered = models.BooleanField(default=False, db_default=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=wall_clock)
    lease = models.UUIDField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=wall_clock)
    finished_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(
                fields=["endpoint_id", "due_at"],
                condition=Q(status="pending", ordered=False),
                name="delivery_due",
            ),
            models.Index(
                fields=["endpoint_id", "event_id", "id"],
                condition=Q(status="pending", ordered=True),
                name="delivery_in_order",
            ),
            models.Index(fields=["endpoint_id", "-id"], name="delivery_newest"),
            models.Index(fields=["app_id", "event_id"], name="delivery_of_event"),
            models.Index(
                fields=["app_id", "subject_id"],
                condition=Q(status="pending", subject_id__isnull=False),
                name="delivery_waiting_on_subject",
            ),
        )


class Attempt(AppOwned):
    """One try of a delivery and what answered. Partitioned by month, kept for a while."""

    id_prefix = "att"

    delivery_id = models.UUIDField()
    subject_id = models.UUIDField(null=True)
    number = models.PositiveSmallIntegerField()
    response_status = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.PositiveIntegerField()
    error = models.CharField(max_length=40, blank=True)
    answer = Sealed(subject="subject_id", null=True)
    attempted_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        indexes = (
            models.Index(fields=["delivery_id", "-id"], name="attempt_of_delivery"),
            models.Index(
                fields=["app_id", "subject_id"],
                condition=Q(subject_id__isnull=False),
                name="attempt_of_subject",
            ),
        )
