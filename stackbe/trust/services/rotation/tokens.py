"""Key pairs of session tokens and secrets of webhook endpoints, replaced by the services that tenants use too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.db.models import Q

from accounts.models import SigningKey
from accounts.services.tokens import rotate_signing_key
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import rotate_secret

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def old_signing_keys(scope: Scope, moment: datetime) -> list[UUID]:
    """Return the apps whose newest key pair was made before a moment."""
    with reading(scope):
        keys = SigningKey.objects.across_apps(scope).filter(retired_at__isnull=True, created_at__lt=moment)
        return list(keys.order_by("app_id").values_list("app_id", flat=True))


def rotate_signing_keys(scope: Scope, moment: datetime) -> int:
    """Give each of them a new one, which signs in six minutes; no token is refused meanwhile."""
    apps = old_signing_keys(scope, moment)
    for app_id in apps:
        own = replace(scope, app_id=app_id)
        with change(own):
            rotate_signing_key(own)
    return len(apps)


def old_endpoint_secrets(scope: Scope, moment: datetime) -> list[tuple[UUID, UUID]]:
    """Return (app, endpoint) where the secret was made before a moment. While two sign, the newer one is young."""
    with reading(scope):
        rows = WebhookEndpoint.objects.across_apps(scope).filter(deleted_at__isnull=True, created_at__lt=moment)
        settled = Q(previous_secret_until__isnull=True) | Q(previous_secret_until__lt=wall_clock())
        return list(rows.filter(settled).order_by("app_id", "id").values_list("app_id", "id"))


def rotate_endpoint_secrets(scope: Scope, moment: datetime) -> int:
    """Give each of them a new secret; both sign for 24 hours."""
    endpoints = old_endpoint_secrets(scope, moment)
    for app_id, endpoint_id in endpoints:
        own = replace(scope, app_id=app_id)
        with change(own):
            rotate_secret(own, endpoint_id)
    return len(endpoints)
