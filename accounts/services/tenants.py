"""Found a tenant and rename it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.errors import TenantNotFound
from accounts.models import Membership, Tenant, User
from accounts.services.users import ensure_user
from stackbe.kernel.audit import audit
from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import Role, Scope, system_scope
from stackbe.kernel.transactions import change, require_change

if TYPE_CHECKING:
    from uuid import UUID


def open_tenant(name: str, owner_email: str, *, tenant_id: UUID | None = None) -> tuple[Tenant, User, Membership]:
    """Found a tenant in a change of its own; what sign-up calls.

    `tenant_id` lets a retried request name the tenant it may already have founded.
    """
    scope = system_scope(tenant_id or new_id(), actor_name="signup")
    with change(scope):
        return create_tenant(name, owner_email)


def create_tenant(name: str, owner_email: str) -> tuple[Tenant, User, Membership]:
    """Found the tenant that the open change is scoped to: its keys, its row, its first owner.

    The owner is whoever can read mail at that address; nothing is proven by founding.
    """
    unit = require_change()
    scope = unit.scope
    unit.keys.create_tenant_key(scope.tenant_id)
    tenant = Tenant(id=scope.tenant_id, name=name)
    tenant.save(force_insert=True)
    user = ensure_user(owner_email)
    membership = Membership(tenant_id=tenant.id, user_id=user.id, role=Role.OWNER.value)
    membership.save(force_insert=True)
    audit(scope, "tenant.created", tenant.public_id, detail={"name": name})
    return tenant, user, membership


def fetch_tenant(scope: Scope) -> Tenant:
    """Return the scope's own tenant."""
    tenant = Tenant.unscoped.filter(pk=scope.tenant_id).first()
    if tenant is None:
        raise TenantNotFound
    return tenant


def rename_tenant(scope: Scope, *, name: str) -> Tenant:
    """Give the tenant another name."""
    require_change()
    tenant = fetch_tenant(scope)
    if tenant.name != name:
        before, tenant.name = tenant.name, name
        tenant.save(update_fields=["name"])
        audit(scope, "tenant.renamed", tenant.public_id, detail={"from": before, "to": name})
    return tenant
