"""What a credential is, told to the one who holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.models import App
from accounts.services.customers import live_customers
from accounts.services.tenants import fetch_tenant
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

KINDS = {
    Credential.KEY: "api_key",
    Credential.TENANT_KEY: "tenant_api_key",
    Credential.SESSION: "session",
}


def describe(scope: Scope) -> dict[str, Any]:
    """Return the tenant and app, and the scopes of a key or the customer and session of a token."""
    tenant = fetch_tenant(scope)
    told: dict[str, Any] = {
        "credential": KINDS[scope.credential],
        "tenant": {"id": tenant.public_id, "name": tenant.name},
        "app": _app(scope),
    }
    if scope.credential == Credential.SESSION:
        return told | {"customer": _customer(scope), "session": _session(scope)}
    return told | {
        "key_id": _encoded("key", scope.credential_id),
        "scopes": sorted(scope.scopes),
    }


def _app(scope: Scope) -> dict[str, Any] | None:
    if scope.app_id is None:
        return None
    app = App.objects.within(scope).get(pk=scope.app)
    return {"id": app.public_id, "name": app.name, "environment": app.environment}


def _customer(scope: Scope) -> dict[str, Any] | None:
    if scope.customer_id is None:
        return None
    customer = live_customers(scope).filter(pk=scope.customer_id).first()
    if customer is None:
        return None
    return {"id": customer.public_id, "email": customer.email, "name": customer.name}


def _session(scope: Scope) -> dict[str, Any]:
    return {
        "id": _encoded("sess", scope.session_id),
        "organization_id": _encoded("org", scope.organization_id),
        "org_role": scope.organization_role,
    }


def _encoded(prefix: str, identifier: UUID | None) -> str | None:
    return None if identifier is None else encode(prefix, identifier)
