"""The kernel's tables: keys, audit, idempotency, limits, browser sessions."""

from __future__ import annotations

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Now

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import TenantOwned


class TenantKey(TenantOwned):
    """A tenant's data key, wrapped by the master key."""

    wrapped = models.BinaryField()
    created_at = models.DateTimeField(default=wall_clock, db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = (models.Index(fields=["tenant_id", "-id"], name="tenantkey_newest"),)


class SubjectKey(TenantOwned):
    """One person's data key, wrapped by the tenant's. Erasure deletes the row."""

    subject_id = models.UUIDField()
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(default=wall_clock, db_default=Now())
    destroyed_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["tenant_id", "subject_id"], name="one_key_per_subject"),)


class TenantSecret(TenantOwned):
    """A random secret of a tenant or app: pepper, blind-index key."""

    app_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=40)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(default=wall_clock, db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["tenant_id", "app_id", "kind"],
                condition=models.Q(retired_at__isnull=True),
                nulls_distinct=False,
                name="one_live_secret_per_kind",
            ),
        )


class AuditEvent(TenantOwned):
    """Who did what to which object. Written in the change itself and never altered."""

    id_prefix = "aud"

    app_id = models.UUIDField(null=True)
    occurred_at = models.DateTimeField(default=wall_clock)
    actor = models.CharField(max_length=80)
    actor_role = models.CharField(max_length=20, blank=True)
    action = models.CharField(max_length=80)
    target = models.CharField(max_length=80, blank=True)
    subject_id = models.UUIDField(null=True)
    detail = Sealed(subject="subject_id", as_json=True, null=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=45, blank=True)

    class Meta(TenantOwned.Meta):
        indexes = (models.Index(fields=["tenant_id", "-id"], name="audit_newest"),)


class AuditSeal(TenantOwned):
    """The chain over a tenant's audit rows: each seal covers its row and the seal before it."""

    sequence = models.BigIntegerField()
    audit_id = models.UUIDField()
    digest = models.BinaryField()
    sealed_at = models.DateTimeField(default=wall_clock)

    class Meta(TenantOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["tenant_id", "sequence"], name="audit_chain_order"),
            models.UniqueConstraint(fields=["audit_id"], name="audit_row_sealed_once"),
        )


class IdempotencyRecord(TenantOwned):
    """A claim on an Idempotency-Key and, once answered, the sealed reply.

    Everything here is derived from the caller's credential and key, neither of which we hold.
    """

    lookup = models.BinaryField()
    request_digest = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    reply = models.BinaryField(null=True)
    subject_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    leased_until = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["tenant_id", "lookup"], name="one_claim_per_key"),)
        indexes = (
            models.Index(fields=["created_at"], name="idempotency_age"),
            models.Index(fields=["tenant_id", "subject_id"], name="idempotency_subject"),
        )


class BrowserSession(AbstractBaseSession):
    """A Django session whose key is stored as a hash, so that a dump signs nobody in.

    The column named session_key holds SHA-256 of the cookie; the content names the user by id.
    """

    session_key = models.CharField(max_length=64, primary_key=True)
    user_id = models.UUIDField(null=True, db_index=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta:
        db_table = "kernel_browsersession"
