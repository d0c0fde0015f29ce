"""The logos that apps show on sign-in pages and in mails."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class AppLogo(AppOwned):
    """A copy of the picture at an app's `logoUrl`, which we show from our own origin.

    So no page with a token and no mail loads anything from elsewhere, and nobody's host learns who reads.
    `trouble` says in a sentence why there is no copy.
    """

    id_prefix = "logo"

    source_url = models.CharField(max_length=2048)
    content = models.BinaryField(null=True)
    content_type = models.CharField(max_length=20, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    trouble = models.CharField(max_length=200, blank=True)
    fetched_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id"], name="one_logo_per_app"),)
