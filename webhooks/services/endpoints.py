"""Endpoints: where an app wants to hear of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.addresses import TargetRefused, judge_url
from webhooks.catalogue import EVERY_TYPE
from webhooks.errors import TooManyEndpoints, UrlRefused
from webhooks.models import WebhookEndpoint
from webhooks.signing import new_secret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

MOST_ENDPOINTS = 50


def endpoints_of(scope: Scope) -> ScopedQuerySet[WebhookEndpoint]:
    """Return the app's endpoints that have not been deleted."""
    return WebhookEndpoint.objects.within(scope).filter(deleted_at__isnull=True)


def find_endpoint(scope: Scope, endpoint_id: str | UUID) -> WebhookEndpoint:
    """Return one endpoint, or the API's 404."""
    return endpoints_of(scope).fetch(endpoint_id)


def create_endpoint(
    scope: Scope,
    *,
    url: str,
    events: Iterable[str] = (EVERY_TYPE,),
    enabled: bool = True,
    description: str = "",
) -> WebhookEndpoint:
    """Register a URL for events of some types, or of all (`*`).

    The caller gets the secret on the returned row and shows it once. Raises `UrlRefused` with
    the reason: a URL must be public, and https in a live app.
    """
    require_change()
    if endpoints_of(scope).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    live = scope.environment == "live"
    endpoint = WebhookEndpoint.unscoped.create(
        **owned_by(scope),
        url=judged(url, live=live),
        secret=new_secret(),
        events=tidied(events),
        enabled=enabled,
        disabled_reason="" if enabled else WebhookEndpoint.DisabledReason.BY_REQUEST,
        description=description,
        live=live,
    )
    audit(scope, "webhook_endpoint.created", endpoint.public_id, detail={"events": endpoint.events})
    return endpoint


def update_endpoint(
    scope: Scope,
    endpoint_id: str | UUID,
    *,
    url: str | None = None,
    events: Iterable[str] | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> WebhookEndpoint:
    """Change what is given. Enabling wipes the record of failures, so that it gets a fair start."""
    require_change()
    endpoint = endpoints_of(scope).locked().fetch(endpoint_id)
    changed = ["updated_at"]
    if url is not None:
        endpoint.url = judged(url, live=endpoint.live)
        changed.append("url")
    if events is not None:
        endpoint.events = tidied(events)
        changed.append("events")
    if description is not None:
        endpoint.description = description
        changed.append("description")
    if enabled is not None and enabled != endpoint.enabled:
        if enabled:
            endpoint.enable()
        else:
            endpoint.disable(WebhookEndpoint.DisabledReason.BY_REQUEST)
        changed += ["enabled", "disabled_reason", "failing_since"]
    endpoint.updated_at = wall_clock()
    endpoint.save(update_fields=changed)
    audit(scope, "webhook_endpoint.updated", endpoint.public_id, detail={"changed": changed[1:]})
    return endpoint


def delete_endpoint(scope: Scope, endpoint_id: str | UUID) -> None:
    """Stop sending for good. Its secrets are wiped; what still waits for it is never sent."""
    require_change()
    endpoint = endpoints_of(scope).locked().fetch(endpoint_id)
    endpoint.deleted_at = wall_clock()
    endpoint.enabled = False
    endpoint.secret, endpoint.previous_secret, endpoint.previous_secret_until = "", None, None
    endpoint.save(
        update_fields=[
            "deleted_at",
            "enabled",
            "secret",
            "previous_secret",
            "previous_secret_until",
        ]
    )
    audit(scope, "webhook_endpoint.deleted", endpoint.public_id)


def rotate_secret(scope: Scope, endpoint_id: str | UUID) -> WebhookEndpoint:
    """Give an endpoint a new secret, to be shown once; the old one signs along for 24 hours."""
    require_change()
    endpoint = endpoints_of(scope).locked().fetch(endpoint_id)
    endpoint.rotate(new_secret(), wall_clock())
    endpoint.updated_at = wall_clock()
    endpoint.save(update_fields=["secret", "previous_secret", "previous_secret_until", "updated_at"])
    audit(scope, "webhook_endpoint.secret_rotated", endpoint.public_id)
    return endpoint


def judged(url: str, *, live: bool) -> str:
    """Return the URL in its one spelling, or raise `UrlRefused`."""
    try:
        return judge_url(url, live=live, allow_local=settings.ALLOW_LOCAL_WEBHOOKS).url
    except TargetRefused as reason:
        raise UrlRefused(fields={"url": [str(reason)]}) from None


def tidied(events: Iterable[str]) -> list[str]:
    """Return the types without repeats; `*` swallows the rest."""
    wanted = sorted(set(events))
    return [EVERY_TYPE] if EVERY_TYPE in wanted else wanted
