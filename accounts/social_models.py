"""Signing in with an account elsewhere: the providers of an app, whose accounts are whose, and sign-ins under way."""

from __future__ import annotations

from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models

from stackbe.kernel import crypto
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned

GOOGLE, GITHUB = "google", "github"
SLUG = r"[a-z][a-z0-9-]{0,38}[a-z0-9]"


def subject_index(key: bytes, issuer: str, subject: str) -> bytes:
    """Return the blind index of an account elsewhere.

    The issuer is part of it: a slug that is pointed at another provider recognises nobody of the first one's.
    """
    return crypto.keyed_hash(key, "identity", issuer, subject)


class SocialProvider(AppOwned):
    """Where an app lets its customers sign in: Google, GitHub, or an OpenID Connect provider of its own.

    `slug` names it in URLs and says which kind it is. `trouble` is the last failure that was the
    configuration's or the provider's, in a sentence for the app's developers.
    """

    id_prefix = "idp"

    slug = models.CharField(max_length=40)
    name = models.CharField(max_length=60)
    issuer = models.CharField(max_length=2048)
    client_id = models.CharField(max_length=255)
    client_secret = Sealed()
    secret_set_at = models.DateTimeField(default=wall_clock)
    scopes = ArrayField(models.CharField(max_length=80))
    enabled = models.BooleanField(default=True)
    trouble = models.CharField(max_length=300, blank=True)
    trouble_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "slug"], name="one_provider_per_slug"),)


class CustomerIdentity(AppOwned):
    """An account elsewhere that signs a customer in.

    It is known by the issuer and its subject, which never change; the address is only what the provider said
    when the two were connected. It outlives the provider's configuration, so that one who is turned off and on
    again is the same customer.
    """

    id_prefix = "iden"

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="+")
    provider = models.CharField(max_length=40)
    subject_index = models.BinaryField()
    subject = Sealed(subject="customer_id")
    email = Sealed(subject="customer_id", null=True)
    created_at = models.DateTimeField(default=wall_clock)
    last_used_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id", "subject_index"], name="one_customer_per_identity"),)
        indexes = (models.Index(fields=["customer", "-id"], name="identity_of_customer"),)

    @property
    def subject_id(self) -> UUID:
        """Return whose data this is: the customer's."""
        customer_id: UUID = self.customer_id
        return customer_id


class SocialAttempt(AppOwned):
    """A sign-in that has left for a provider and is to come back to the same browser, once.

    With `customer` it connects an account to that customer and signs nobody in: then it begins as a token
    (`link_digest`) that a session was given, and leaves once a browser has confirmed whose account it is.
    """

    id_prefix = "soa"

    provider = models.ForeignKey(SocialProvider, models.CASCADE, related_name="+")
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, null=True, related_name="+")
    session_id = models.UUIDField(null=True)
    link_digest = models.BinaryField(null=True)
    state_digest = models.BinaryField(null=True)
    browser_digest = models.BinaryField(null=True)
    checks = Sealed(as_json=True, null=True)
    redirect_url = models.CharField(max_length=2048)
    organization_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=wall_clock)
    expires_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["app_id", "state_digest"], name="one_attempt_per_state"),
            models.UniqueConstraint(fields=["app_id", "link_digest"], name="one_attempt_per_link"),
        )
        indexes = (models.Index(fields=["expires_at"], name="socialattempt_expiry"),)
