"""API keys, stored as a readable prefix and a keyed hash."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import TenantOwned


class ApiKey(TenantOwned):
    """A key of one app, or of the whole tenant where `app_id` is null.

    Of a secret key only the prefix, the lookup part and HMAC-SHA-256 under the tenant's pepper are
    stored. A publishable key is public by design and kept whole in `text`.
    """

    class Kind(models.TextChoices):
        SECRET = "secret"  # noqa: S105  # a kind, not a password
        PUBLISHABLE = "publishable"

    id_prefix = "key"

    app_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.SECRET)
    environment = models.CharField(max_length=4)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=24)
    lookup = models.CharField(max_length=8, unique=True)
    digest = models.BinaryField()
    pepper_id = models.UUIDField(null=True)  # of the tenant's secrets; null where there was only one yet
    text = models.CharField(max_length=80, blank=True)
    scopes = ArrayField(models.CharField(max_length=40), default=list)
    allowed_ips = ArrayField(models.CharField(max_length=49), default=list)
    created_at = models.DateTimeField(default=wall_clock)
    last_used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # By staff, who may let it go on; revoking is for good.
    suspended_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes = (models.Index(fields=["tenant_id", "app_id", "-id"], name="apikey_newest"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind="secret", text="") | models.Q(kind="publishable"),
                name="secret_text_is_never_kept",
            ),
        )
