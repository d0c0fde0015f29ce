"""What developers have of their own: invitations on their way, second factors, the browsers they use.

Invitations belong to the tenant that asks. Everything else lies under the platform's key, as the
developer does: one person may be a member of several tenants.
"""

from __future__ import annotations

from uuid import UUID

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.scope import PLATFORM, Role
from stackbe.kernel.tenancy import Row, TenantOwned


class MemberInvitation(TenantOwned):
    """A place in a tenant that waits for the person at an address to take it.

    The request stores the row without a token; the worker mints it, keeps its hash and mails it.
    Taking the place deletes the row.
    """

    id_prefix = "minv"

    email = Sealed()
    email_index = models.BinaryField()
    role = models.CharField(max_length=20, choices=[(r.value, r.value) for r in Role])
    token_digest = models.BinaryField(null=True, unique=True)
    invited_by = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    sent_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["tenant_id", "email_index"], name="one_invitation_per_address"),)
        indexes = (models.Index(fields=["email_index"], name="memberinvitation_email"),)


class OwnedByDeveloper(Row):
    """Base of what a developer owns; it lies under the platform's key and their own."""

    user_id = models.UUIDField(db_index=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta:
        abstract = True

    @property
    def tenant_id(self) -> UUID:
        """Return whose keys this row lies under."""
        return PLATFORM


class TotpFactor(OwnedByDeveloper):
    """An authenticator app. It counts once a code of it was seen; `last_step` is the newest one taken."""

    id_prefix = "totp"

    secret = Sealed(subject="user_id")
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user_id"], name="one_authenticator_per_developer"),)


class Passkey(OwnedByDeveloper):
    """A passkey: the public half of a key pair that never leaves its authenticator."""

    id_prefix = "pk"

    credential_id = models.BinaryField(unique=True)
    public_key = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    name = models.CharField(max_length=60)
    last_used_at = models.DateTimeField(null=True)


class RecoveryCode(OwnedByDeveloper):
    """A recovery code that was not used yet, as a keyed hash. Using it deletes the row."""

    id_prefix = "rc"

    digest = models.BinaryField(unique=True)


class Device(OwnedByDeveloper):
    """A browser that a developer signed in with, told by a cookie of its own.

    `session_key` is the stored hash of the session that it holds, so that it can be ended from afar.
    """

    id_prefix = "dev"

    digest = models.BinaryField()
    session_key = models.CharField(max_length=64, blank=True, db_index=True)
    signed_in_at = models.DateTimeField(default=wall_clock)
    last_seen_at = models.DateTimeField(default=wall_clock)
    address = models.CharField(max_length=45, blank=True)
    user_agent_family = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user_id", "digest"], name="one_row_per_browser"),)
