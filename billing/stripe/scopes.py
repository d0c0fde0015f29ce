"""From an app's id, or a Stripe account, to the scope of work that nobody asked for by a credential."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from accounts.lookups import known_app
from stackbe.kernel.scope import Scope, system_scope

if TYPE_CHECKING:
    from collections.abc import Iterator


def app_scope(app_id: UUID | str, actor_name: str) -> Scope | None:
    """Return the scope of an app for a job; None when the app is gone."""
    app = known_app(UUID(str(app_id)))
    return app.system_scope(actor_name) if app else None


def scopes_of_account(account_id: str, actor_name: str) -> list[Scope]:
    """Return the scopes of the apps that are connected to a Stripe account; none when nobody's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select tenant_id, app_id, environment, clock_offset_ms from lookup.stripe_apps(%s)", [account_id]
        )
        rows = cursor.fetchall()
    return [
        system_scope(tenant_id, app_id, actor_name=actor_name, environment=environment,
                     clock_offset=timedelta(milliseconds=offset_ms))
        for tenant_id, app_id, environment, offset_ms in rows
    ]  # fmt: skip


def connected_scopes(actor_name: str) -> Iterator[tuple[Scope, str]]:
    """Yield every connected app's scope with its Stripe account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select tenant_id, app_id, environment, clock_offset_ms, account from lookup.stripe_connections()"
        )
        rows = cursor.fetchall()
    for tenant_id, app_id, environment, offset_ms, account in rows:
        scope = system_scope(
            tenant_id, app_id, actor_name=actor_name, environment=environment,
            clock_offset=timedelta(milliseconds=offset_ms),
        )  # fmt: skip
        yield scope, account
