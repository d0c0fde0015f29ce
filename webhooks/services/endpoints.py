"""Endpoints: where an app wants to hear of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

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
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

MOST_ENDPOINTS = 50


def endpoints_of(scope: Scope) -> ScopedQuerySet[WebhookEndpoint]:
    """Return the app's endpoints that have not been deleted."""
    return WebhookEndpoint.objects.within(scope).filter(deleted_at__isnull=True)


def silenced_endpoints(scope: Scope) -> ScopedQuerySet[WebhookEndpoint]:
    """Return the endpoints that we switched off, so that every page can say so."""
    reason = WebhookEndpoint.DisabledReason
    return endpoints_of(scope).filter(enabled=False, disabled_reason__in=[reason.GONE, reason.FAILING]).order_by("id")


def find_endpoint(scope: Scope, endpoint_id: str | UUID) -> WebhookEndpoint:
    """Return one endpoint, or the API's 404."""
    return endpoints_of(scope).fetch(endpoint_id)


def create_endpoint(
    scope: Scope,
    *,
    url: str,
    events: Iterable[str] = (EVERY_TYPE,),
    filter: Mapping[str, Any] | None = None,  # noqa: A002  # reads as what it is
    ordered: bool = False,
    enabled: bool = True,
    description: str = "",
) -> WebhookEndpoint:
    """Register a URL for events of some types, or of all (`*`), and of what `filter` says.

    The caller gets the secret on the returned row and shows it once. Raises `UrlRefused` with
    the reason: a URL must be public, and https in a live app. `ordered` sends one event after the
    other, so that a failure holds up what comes after it.
    """
    require_change()
    _take_turns(scope)
    if endpoints_of(scope).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    live, moment = scope.environment == "live", wall_clock()
    endpoint = WebhookEndpoint.unscoped.create(
        **owned_by(scope),
        url=judged(url, live=live),
        secret=new_secret(),
        events=tidied(events),
        filter=dict(filter) if filter else None,
        ordered=ordered,
        enabled=enabled,
        disabled_reason="" if enabled else WebhookEndpoint.DisabledReason.BY_REQUEST,
        disabled_at=None if enabled else moment,
        description=description,
        live=live,
        created_at=moment,
        updated_at=moment,
    )
    audit(scope, "webhook_endpoint.created", endpoint.public_id, detail={"events": endpoint.events})
    return endpoint


def update_endpoint(scope: Scope, endpoint_id: str | UUID, **changes: Any) -> WebhookEndpoint:
    """Change what is given of `url, events, filter, ordered, description, enabled`; None leaves all but a filter alone.

    Enabling wipes the record of failures, so that it gets a fair start. `ordered` counts for what is queued from then
    on.
    """
    require_change()
    endpoint = endpoints_of(scope).locked().fetch(endpoint_id)
    changed = _change(endpoint, changes)
    enabled = changes.get("enabled")
    if enabled is not None and enabled != endpoint.enabled:
        if enabled:
            endpoint.enable()
        else:
            endpoint.disable(WebhookEndpoint.DisabledReason.BY_REQUEST, wall_clock())
        changed += ["enabled", "disabled_reason", "disabled_at", "failing_since"]
    endpoint.updated_at = wall_clock()
    endpoint.save(update_fields=["updated_at", *changed])
    audit(scope, "webhook_endpoint.updated", endpoint.public_id, detail={"changed": changed})
    return endpoint


def _change(endpoint: WebhookEndpoint, changes: Mapping[str, Any]) -> list[str]:
    """Write what is given on the row; return the columns."""
    written = {name: changes[name] for name in ("ordered", "description") if changes.get(name) is not None}
    if changes.get("url") is not None:
        written["url"] = judged(changes["url"], live=endpoint.live)
    if changes.get("events") is not None:
        written["events"] = tidied(changes["events"])
    if "filter" in changes:
        written["filter"] = changes["filter"] or None
    for name, value in written.items():
        setattr(endpoint, name, value)
    return list(written)


def delete_endpoint(scope: Scope, endpoint_id: str | UUID) -> None:
    """Stop sending for good. Its secrets and its filter are wiped; what still waits for it is never sent."""
    require_change()
    endpoint = endpoints_of(scope).locked().fetch(endpoint_id)
    endpoint.deleted_at = wall_clock()
    endpoint.enabled = False
    endpoint.secret, endpoint.previous_secret, endpoint.previous_secret_until = "", None, None
    endpoint.filter = None
    endpoint.save(
        update_fields=["deleted_at", "enabled", "secret", "previous_secret", "previous_secret_until", "filter"]
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


def _take_turns(scope: Scope) -> None:
    """Have those who add endpoints to one app wait for each other, so that their number is counted exactly."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 13))", [str(scope.app)])


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
