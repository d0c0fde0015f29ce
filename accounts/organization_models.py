"""Invitations of customers to organizations: a place that waits for whoever reads mail at an address."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


class OrganizationInvite(AppOwned):
    """A place in an organization that waits for the person at an address to take it.

    The request stores the row without a token; the worker mints one, keeps its hash and mails it.
    `sendings` counts how often that was asked for: a job of an earlier asking mints no more. Taking the
    place, or revoking it, deletes the row.
    """

    id_prefix = "oinv"

    organization = models.ForeignKey("accounts.Organization", models.CASCADE, related_name="+")
    email = Sealed()
    email_index = models.BinaryField()
    role = models.CharField(max_length=10)
    token_digest = models.BinaryField(null=True)
    sendings = models.PositiveIntegerField(default=1)
    redirect_url = models.CharField(max_length=2048, blank=True)
    invited_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=wall_clock)
    sent_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(fields=["organization", "email_index"], name="one_invite_per_address"),
            models.UniqueConstraint(fields=["app_id", "token_digest"], name="one_invite_per_token"),
        )
        indexes = (
            models.Index(fields=["app_id", "email_index"], name="invite_email"),
            models.Index(fields=["expires_at"], name="invite_expiry"),
        )
