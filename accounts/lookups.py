"""What may be asked of the database before a tenant is known: an app by its id, an origin."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from accounts.app_settings import AppSettings
from stackbe.kernel.scope import Scope, system_scope


class KnownApp(NamedTuple):
    """What `lookup.app` answers. `closed`: archived or suspended, itself or its tenant."""

    id: UUID
    tenant_id: UUID
    name: str
    environment: str
    clock_offset_ms: int
    stored_settings: dict[str, Any]
    closed: bool

    @property
    def settings(self) -> AppSettings:
        """Return the app's settings with defaults."""
        return AppSettings.of(self.stored_settings)

    def system_scope(self, actor_name: str) -> Scope:
        """Return the scope of a job or an unauthenticated call that acts for this app."""
        return system_scope(
            self.tenant_id,
            self.id,
            actor_name=actor_name,
            environment=self.environment,
            clock_offset=timedelta(milliseconds=self.clock_offset_ms),
        )


def known_app(app_id: UUID) -> KnownApp | None:
    """Return an app of any tenant by its id, None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, tenant_id, name, environment, clock_offset_ms, settings::text, closed from lookup.app(%s)",
            [app_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    identifier, tenant_id, name, environment, offset, settings, closed = row
    return KnownApp(identifier, tenant_id, name, environment, offset, json.loads(settings), closed)


def origin_registered(origin: str) -> bool:
    """Say whether any app that is in service registers the origin."""
    with connection.cursor() as cursor:
        cursor.execute("select lookup.origin_registered(%s)", [origin])
        (found,) = cursor.fetchone()
    return bool(found)
