"""The table of routes: for each URL and method, what it takes to call it.

Each app lists its routes in urls.py; `stackbe/urls.py` joins them. The URLconf, the OpenAPI document
and the permission tests are all made from this one table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.urls import URLPattern, path

from stackbe.kernel.scope import Credential, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS = frozenset({Credential.KEY, Credential.TENANT_KEY})
TENANT_KEYS = frozenset({Credential.TENANT_KEY})
SESSIONS = frozenset({Credential.SESSION})
PUBLIC = frozenset({Credential.NONE})


class Limit(StrEnum):
    """Which bucket a call is counted in."""

    API = "api"  # 1,000 a minute per key, 100 per customer session
    HOT = "hot"  # 60,000 a minute per key
    AUTH = "auth"  # per address and per e-mail, on what proves nothing yet
    SIGNUP = "signup"  # a few an hour per address
    PAGE = "page"  # documents that anybody may read


@dataclass(frozen=True, slots=True)
class Access:
    """What one method of one route takes.

    `scope` is what a key must carry; `role` what a member of the tenant must at least be to do the
    same in the dashboard; `credentials` which kinds of proof count; `place` what a session's customer
    must at least be in the organization that the URL names.
    """

    scope: str | None = None
    credentials: frozenset[Credential] = KEYS
    limit: Limit = Limit.API
    role: Role = Role.DEVELOPER
    place: str | None = None

    @property
    def public(self) -> bool:
        """True where no credential is asked for."""
        return Credential.NONE in self.credentials


_ROLES = {"keys:write": Role.ADMIN, "apps:write": Role.ADMIN, "members:write": Role.ADMIN}


def least_role(scope: str | None) -> Role:
    """Return the least role whose member may do what a key may with that scope."""
    if scope is None or scope.endswith(":read"):
        return Role.VIEWER
    return _ROLES.get(scope, Role.DEVELOPER)


def may(
    scope: str | None = None,
    *,
    credentials: Iterable[Credential] = KEYS,
    limit: Limit = Limit.API,
    role: Role | None = None,
    place: str | None = None,
) -> Access:
    """Write one cell of the table."""
    return Access(scope, frozenset(credentials), limit, role or least_role(scope), place)


@dataclass(frozen=True, slots=True)
class Route:
    """One URL under /v1 and what each of its methods takes.

    `url` is Django's path syntax without the leading `v1/`. `name` is unique and doubles as the
    OpenAPI operation's stem.
    """

    url: str
    view: Any
    name: str
    methods: dict[str, Access] = field(default_factory=dict)

    @property
    def is_hot(self) -> bool:
        """True where an app may ask on its every request."""
        return any(access.limit == Limit.HOT for access in self.methods.values())

    def as_path(self) -> URLPattern:
        """Return the URL pattern, its view told what it takes."""
        view = self.view.as_view(access=self.methods, route_name=self.name)
        found: URLPattern = path(self.url, view, name=self.name)
        return found


def route(url: str, view: Any, name: str, **methods: Access) -> Route:
    """Write one row of the table: `route("me", Me, "me", GET=may())`."""
    return Route(url, view, name, methods)
