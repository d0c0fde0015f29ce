"""Customers' second factors, and the visits to our own pages at which they are given and looked after.

Everything here belongs to an app and lies under the customer's own key where it tells anything of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned

if TYPE_CHECKING:
    from uuid import UUID


class OwnedByCustomer(AppOwned):
    """Base of what a customer has of their own."""

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        abstract = True

    @property
    def subject_id(self) -> UUID:
        """Return whose data this is."""
        identifier: UUID = self.customer_id
        return identifier


class CustomerTotp(OwnedByCustomer):
    """An authenticator app. It counts once a code of it was seen; `last_step` is the newest one taken."""

    id_prefix = "totp"

    secret = Sealed(subject="customer_id")
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=0)

    class Meta(OwnedByCustomer.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "customer"], name="one_authenticator_per_customer"),)


class CustomerPasskey(OwnedByCustomer):
    """A passkey: the public half of a key pair that never leaves its authenticator."""

    id_prefix = "pk"

    credential_id = models.BinaryField()
    public_key = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    name = Sealed(subject="customer_id")
    last_used_at = models.DateTimeField(null=True)

    class Meta(OwnedByCustomer.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "credential_id"], name="one_row_per_passkey"),)


class CustomerRecoveryCode(OwnedByCustomer):
    """A recovery code that was not used yet, as a keyed hash. Using it deletes the row."""

    id_prefix = "rc"

    digest = models.BinaryField()

    class Meta(OwnedByCustomer.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "digest"], name="one_row_per_recovery_code"),)


class Visit(OwnedByCustomer):
    """Base of a customer's visit to one of our pages: an opaque token, and what a passkey is to sign."""

    digest = models.BinaryField()
    challenge = models.BinaryField(null=True)
    challenge_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta(OwnedByCustomer.Meta):
        abstract = True


class PendingSignIn(Visit):
    """A sign-in that has its first proof and waits for a factor. Completing it deletes the row.

    `came_by` names the first proof (RFC 8176), `proven_by` the factor that was added on the way in, whose
    recovery codes are being looked at.
    """

    redirect_url = models.CharField(max_length=2048)
    organization_id = models.UUIDField(null=True)
    came_by = models.CharField(max_length=40, blank=True)
    proven_by = models.CharField(max_length=20, blank=True)

    class Meta(Visit.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "digest"], name="one_pending_sign_in_per_token"),)


class SecurityVisit(Visit):
    """A visit to the page on which a customer looks after their factors.

    Its URL works once: opening replaces the token by one that lives in the browser alone. One that a session
    asked for ends with that session.
    """

    session = models.ForeignKey("accounts.CustomerSession", models.CASCADE, null=True, related_name="+")
    return_url = models.CharField(max_length=2048)
    opened_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)

    class Meta(Visit.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "digest"], name="one_security_visit_per_token"),)
