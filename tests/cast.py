"""The cast of the tests: tenants with an app and keys, and clients that speak the API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.test import Client

from accounts.models import App, Tenant
from apikeys.services.keys import issue_api_key, issue_publishable_key
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.scope import Scope, system_scope
from stackbe.kernel.transactions import change

LOCAL_CALLBACK = "http://localhost:3000/callback"


class Api:
    """A bare JSON client with one credential."""

    def __init__(self, token: str | None, **headers: str) -> None:
        """Hold the credential and what else goes with each call."""
        self.client = Client(raise_request_exception=False)
        self.headers = dict(headers)
        if token is not None:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a call to a path below /v1 and return Django's response."""
        content = b"" if body is None else json.dumps(body).encode()
        spelt = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(method, f"/v1{path}", content, "application/json", headers=self.headers | spelt)

    def get(self, path: str, **headers: str) -> Any:
        """GET."""
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST."""
        return self.request("POST", path, {} if body is None else body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        """PUT."""
        return self.request("PUT", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        """PATCH."""
        return self.request("PATCH", path, {} if body is None else body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        """DELETE."""
        return self.request("DELETE", path, **headers)

    def one_by_one(self, path: str) -> list[Any]:
        """Return a list's rows, each asked for by a page of its own."""
        asked, rows = f"{path}{'&' if '?' in path else '?'}limit=1", []
        page = self.get(asked).json()
        while page["hasMore"]:
            rows += page["data"]
            page = self.get(f"{asked}&cursor={page['nextCursor']}").json()
        return [*rows, *page["data"]]


@dataclass(frozen=True)
class Company:
    """A tenant with one test app and a key of each kind."""

    scope: Scope
    tenant_id: UUID
    app_id: UUID
    key: str
    publishable: str
    tenant_key: str

    @property
    def app(self) -> str:
        """Return the app's public id."""
        return encode("app", self.app_id)

    def api(self, *scopes: str) -> Api:
        """Return a client with a key of exactly these scopes."""
        with change(self.scope):
            _, key = issue_api_key(self.scope, name="test", environment="test", app_id=self.app_id, scopes=scopes)
        return Api(key)


def found_company(name: str) -> Company:
    """Make a tenant, its app and its keys, as sign-up does."""
    tenant_id, app_id = new_id(), new_id()
    scope = system_scope(tenant_id, app_id, actor_name="test")
    with change(scope) as unit:
        unit.keys.create_tenant_key(tenant_id)
        Tenant.unscoped.create(id=tenant_id, name=name)
        App.unscoped.create(
            id=app_id,
            tenant_id=tenant_id,
            name=name,
            settings={
                "callback_urls": [LOCAL_CALLBACK],
                "allowed_origins": ["http://localhost:3000"],
                "organizations_enabled": True,
            },
        )
        _, key = issue_api_key(scope, name="app", environment="test", app_id=app_id)
        _, tenant_key = issue_api_key(scope, name="tenant", environment="test", app_id=None)
        publishable = issue_publishable_key(scope, app_id=app_id, environment="test").text
    return Company(scope, tenant_id, app_id, key, publishable, tenant_key)
