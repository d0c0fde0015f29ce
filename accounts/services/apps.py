"""Make, change and archive a tenant's apps, and settle which app a request is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts import app_settings
from accounts.errors import AppNotFound
from accounts.models import App
from accounts.services.logos import queue_copy
from accounts.services.tokens import current_signing_key
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stackbe.kernel.tenancy import ScopedQuerySet


def create_app(
    scope: Scope,
    *,
    name: str,
    environment: str = "test",
    settings: Mapping[str, Any] | None = None,
) -> App:
    """Make an app of the tenant. `settings` are in snake_case, validated by shape.

    A test app starts with callbacks and origins on the developer's own machine unless told
    otherwise; a live app starts with none. Its first signing key is there from the start, so that
    a backend that reads the key set before anybody has signed in finds one.
    """
    require_change()
    wanted = {**app_settings.first_settings(environment), **(settings or {})}
    app = App(
        tenant_id=scope.tenant_id,
        name=name,
        environment=environment,
        settings=app_settings.merged({}, wanted, environment),
    )
    app.save(force_insert=True)
    current_signing_key(scope_of(scope, app))
    audit(
        scope_of(scope, app),
        "app.created",
        app.public_id,
        detail={"name": name, "environment": environment},
    )
    return app


def scope_of(scope: Scope, app: App) -> Scope:
    """Return the same caller narrowed to an app of the tenant."""
    return scope.for_app(app.id, app.environment, app.clock_offset)


def list_apps(scope: Scope) -> ScopedQuerySet[App]:
    """Return the apps that the credential may name: its own one, or all of the tenant."""
    apps = App.objects.within(scope).filter(archived_at__isnull=True)
    if scope.credential in {Credential.TENANT_KEY, Credential.MEMBER, Credential.SYSTEM}:
        return apps
    return apps.filter(pk=scope.app)


def app_of_path(scope: Scope, app_id: str) -> App:
    """Return the app that a path names, or the API's 404 unless the credential may name it.

    A tenant key may name any app of the tenant, but not one in the path and another in the header.
    """
    if scope.app_id is not None and encode("app", scope.app_id) != app_id:
        raise AppNotFound
    return list_apps(scope).fetch(app_id, AppNotFound)


def update_app(
    scope: Scope,
    app_id: str,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> App:
    """Change an app's name or some of its settings; what is not given stays.

    The environment is fixed for life: keys, Stripe accounts and customers hang on it.
    """
    require_change()
    app_of_path(scope, app_id)
    app = App.objects.within(scope).locked().fetch(app_id, AppNotFound)
    before = {"name": app.name, **app.settings}
    app.name = app.name if name is None else name
    app.settings = app_settings.merged(app.settings, settings or {}, app.environment)
    after = {"name": app.name, **app.settings}
    if before != after:
        app.updated_at = wall_clock()
        app.save(update_fields=["name", "settings", "updated_at"])
        changed = {key for key in after if before.get(key) != after[key]}
        detail = {key: {"from": before.get(key), "to": after[key]} for key in sorted(changed)}
        audit(scope_of(scope, app), "app.updated", app.public_id, detail=detail)
    if "logo_url" in (settings or {}):
        queue_copy(scope_of(scope, app))  # Named anew, it is copied anew: the picture may be another.
    return app


def archive_app(scope: Scope, app_id: str) -> None:
    """Take an app out of service: its keys and sessions are refused from the next request on.

    Nothing is deleted; what its customers' data is owed runs on.
    """
    require_change()
    app = app_of_path(scope, app_id)
    app.archived_at = wall_clock()
    app.save(update_fields=["archived_at"])
    audit(scope_of(scope, app), "app.archived", app.public_id, detail={"name": app.name})
