"""Who is calling, and whose data they may touch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from stackbe.kernel.errors import MissingRequiredField
from stackbe.kernel.ids import NIL, encode

ALL_SCOPES = (
    "customers:read",
    "customers:write",
    "subscriptions:read",
    "subscriptions:write",
    "entitlements:read",
    "entitlements:write",
    "usage:read",
    "usage:write",
    "checkout:write",
    "organizations:read",
    "organizations:write",
    "plans:read",
    "plans:write",
    "webhooks:read",
    "webhooks:write",
    "auth:write",
    "keys:write",
    "apps:write",
)
PLATFORM = NIL  # The pseudo-tenant that owns developers' identities and platform events.


class Role(StrEnum):
    """What a member of a tenant may do, least first."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Role).index(self)


class Credential(StrEnum):
    """The kinds of proof that a request may carry."""

    KEY = "key"  # app-scoped secret API key
    TENANT_KEY = "tenant_key"  # secret API key of the whole tenant
    PUBLISHABLE = "publishable"  # names the app from a browser
    SESSION = "session"  # a customer's session token
    MEMBER = "member"  # a developer in the dashboard
    STAFF = "staff"
    SYSTEM = "system"  # the worker, Stripe's inbox, commands
    NONE = "none"  # routes that prove nothing or prove it in the body


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant (and, nearly always, one of its apps) as proven by a credential.

    It is the first argument of every service. `credential_id` names the key, session, member or
    staff user; `actor` is what audit rows and history show. Whoever is `masked` sees that there is
    a sealed value and not what it says.
    """

    tenant_id: UUID
    app_id: UUID | None = None
    credential: Credential = Credential.SYSTEM
    credential_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    role: Role | None = None
    environment: str = "test"
    customer_id: UUID | None = None
    organization_id: UUID | None = None
    organization_role: str | None = None
    session_id: UUID | None = None
    clock_offset: timedelta = field(default=timedelta())
    api_limit_per_minute: int = 1000
    hot_limit_per_minute: int = 60_000
    actor_name: str = ""
    masked: bool = False

    @property
    def actor(self) -> str:
        """Return the caller in a form fit for a log: never an address, never a secret."""
        prefixes = {
            Credential.KEY: "key",
            Credential.TENANT_KEY: "key",
            Credential.PUBLISHABLE: "key",
            Credential.SESSION: "cust",
            Credential.MEMBER: "mem",
            Credential.STAFF: "staff",
        }
        prefix = prefixes.get(self.credential)
        if prefix is None or self.credential_id is None:
            return self.actor_name or str(self.credential)
        return encode(prefix, self.credential_id)

    @property
    def actor_role(self) -> str:
        """Return what the caller was when they acted: a member's role, or a staff member's."""
        if self.credential is Credential.STAFF:
            return self.actor_name.removeprefix("staff:")
        return str(self.role or "")

    @property
    def app(self) -> UUID:
        """Return the app's id, or the API's 400 where a tenant key named none."""
        if self.app_id is None:
            header = "Name the app: a key of the whole tenant goes with X-StackBE-App: app_…."
            raise MissingRequiredField(fields={"X-StackBE-App": [header]})
        return self.app_id

    def allows(self, scope: str) -> bool:
        """Say whether the key carries the scope, by name or by `*`."""
        return "*" in self.scopes or scope in self.scopes

    def for_app(self, app_id: UUID, environment: str, clock_offset: timedelta) -> Scope:
        """Return the same caller narrowed to one app of the tenant."""
        return replace(self, app_id=app_id, environment=environment, clock_offset=clock_offset)


def platform_scope(actor_name: str = "platform") -> Scope:
    """Return the scope of what belongs to no tenant: developers' own identities."""
    return Scope(tenant_id=PLATFORM, actor_name=actor_name)


def system_scope(
    tenant_id: UUID,
    app_id: UUID | None = None,
    *,
    actor_name: str,
    environment: str = "test",
    clock_offset: timedelta = timedelta(),
) -> Scope:
    """Return the scope of a job or an inbox: it acts for a tenant without a person."""
    return Scope(
        tenant_id=tenant_id,
        app_id=app_id,
        actor_name=actor_name,
        environment=environment,
        clock_offset=clock_offset,
        scopes=frozenset({"*"}),
    )
