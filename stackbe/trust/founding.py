"""Found a whole tenant in one go, as a person does by hand in the dashboard. Development only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.services.apps import create_app, scope_of
from accounts.services.tenants import open_tenant
from apikeys.services.keys import issue_api_key, issue_publishable_key
from billing.stripe.connect import connect_sandbox_account
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from accounts.models import App, Tenant
    from stackbe.kernel.scope import Scope


@dataclass(frozen=True, slots=True)
class Founded:
    """A tenant with an app, its keys and a connected sandbox account."""

    tenant: Tenant
    app: App
    scope: Scope
    owner_email: str
    api_key: str
    publishable_key: str
    tenant_key: str
    stripe_account: str

    def as_json(self) -> dict[str, str]:
        """Return what a script needs to work against this copy."""
        return {
            "baseUrl": settings.BASE_URL,
            "sandboxUrl": settings.STRIPE_API_BASE,
            "inboxUrl": f"{settings.BASE_URL}/dev/inbox",
            "tenantId": self.tenant.public_id,
            "appId": self.app.public_id,
            "apiKey": self.api_key,
            "publishableKey": self.publishable_key,
            "tenantKey": self.tenant_key,
            "stripeAccount": self.stripe_account,
            "ownerEmail": self.owner_email,
        }


def found(name: str, owner_email: str | None = None) -> Founded:
    """Found a tenant, its test app and its keys, and connect an account at the sandbox."""
    email = owner_email or f"owner-{secrets.token_hex(4)}@example.com"
    tenant, _, _ = open_tenant(name, email)
    scope = system_scope(tenant.id, actor_name="new_tenant")
    with change(scope):
        app = create_app(scope, name=f"{name} app")
        inside = scope_of(scope, app)
        _, api_key = issue_api_key(inside, name="Server", environment="test", app_id=app.id)
        _, tenant_key = issue_api_key(scope, name="Tenant", environment="test", app_id=None)
        publishable = issue_publishable_key(inside, app_id=app.id, environment="test")
    connection = connect_sandbox_account(inside)
    return Founded(tenant, app, inside, email, api_key, publishable.text, tenant_key, connection.account_id)
