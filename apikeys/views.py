"""API keys over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.services.apps import app_of_path, scope_of
from apikeys.serializers import (
    ApiKeyInput,
    ApiKeyOutput,
    NewApiKeyOutput,
    RotateInput,
    TenantKeyInput,
)
from apikeys.services import keys as services
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

REFUSED = "api_key.refused"  # an attempt on a key that is not the caller's, or not theirs to end


class AppKeys(ApiView):
    """The keys of one app."""

    @operation(query=PageQuery, output=ApiKeyOutput, many=True)
    def get(self, request: Request, app_id: str) -> Response:
        """List an app's keys, revoked ones too, never the secret."""
        app = app_of_path(self.scope, app_id)
        return self.page(services.list_api_keys(self.scope, app.id), self.query())

    @operation(input=ApiKeyInput, output=NewApiKeyOutput, status=201)
    def post(self, request: Request, app_id: str) -> Response:
        """Issue a key. It is shown in this reply and never again."""
        app = app_of_path(self.scope, app_id)
        asked = {"scopes": None, **self.parse()}
        row, key = services.issue_api_key(
            scope_of(self.scope, app), environment=app.environment, app_id=app.id, **asked
        )
        return self.reply(row, key=key)


class AppKey(ApiView):
    """One key of an app."""

    @operation(status=204, refusals=REFUSED)
    def delete(self, request: Request, app_id: str, key_id: str) -> Response:
        """Revoke a key: it is refused on the very next request, on every process."""
        app = app_of_path(self.scope, app_id)
        row = services.fetch_api_key(self.scope, app.id, key_id)
        services.revoke_api_key(scope_of(self.scope, app), row)
        return self.reply()


class AppKeyRotation(ApiView):
    """The replacement of a key."""

    @operation(input=RotateInput, output=NewApiKeyOutput, status=201, extra_statuses=(409,), refusals=REFUSED)
    def post(self, request: Request, app_id: str, key_id: str) -> Response:
        """Replace a key by one with the same rights; the old one works until the grace ends."""
        app = app_of_path(self.scope, app_id)
        row = services.fetch_api_key(self.scope, app.id, key_id)
        successor, key = services.rotate_api_key(scope_of(self.scope, app), row, **self.parse())
        return self.reply(successor, key=key)


class TenantKeys(ApiView):
    """The keys of the whole tenant."""

    @operation(query=PageQuery, output=ApiKeyOutput, many=True)
    def get(self, request: Request) -> Response:
        """List the tenant's own keys, revoked ones too, never the secret."""
        return self.page(services.list_api_keys(self.scope, None), self.query())

    @operation(input=TenantKeyInput, output=NewApiKeyOutput, status=201)
    def post(self, request: Request) -> Response:
        """Issue a key that may name any app of the tenant. It is shown in this reply alone."""
        asked = {"scopes": None, "environment": self.scope.environment, **self.parse()}
        row, key = services.issue_api_key(self.scope, app_id=None, **asked)
        return self.reply(row, key=key)


class TenantKey(ApiView):
    """One key of the tenant."""

    @operation(status=204, refusals=REFUSED)
    def delete(self, request: Request, key_id: str) -> Response:
        """Revoke a key: it is refused on the very next request, on every process."""
        row = services.fetch_api_key(self.scope, None, key_id)
        services.revoke_api_key(self.scope, row)
        return self.reply()
