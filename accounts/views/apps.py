"""A tenant's apps over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.serializers import AppInput, AppOutput, AppPatch, NewAppOutput
from accounts.services import apps as services
from apikeys.services.keys import issue_publishable_key
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Apps(ApiView):
    """All apps that the credential may name."""

    @operation(query=PageQuery, output=AppOutput, many=True)
    def get(self, request: Request) -> Response:
        """List the tenant's apps; an app's own key sees that app alone."""
        return self.page(services.list_apps(self.scope), self.query())

    @operation(input=AppInput, output=NewAppOutput, status=201)
    def post(self, request: Request) -> Response:
        """Make an app. The reply holds the publishable key that names it from a browser."""
        app = services.create_app(self.scope, **self.parse())
        scope = services.scope_of(self.scope, app)
        key = issue_publishable_key(scope, app_id=app.id, environment=app.environment)
        return self.reply(app, publishable_key=key.text)


class OneApp(ApiView):
    """One app."""

    @operation(output=AppOutput)
    def get(self, request: Request, app_id: str) -> Response:
        """Show an app with all its settings, defaults filled in."""
        return self.reply(services.app_of_path(self.scope, app_id))

    @operation(input=AppPatch, output=AppOutput)
    def patch(self, request: Request, app_id: str) -> Response:
        """Change an app's name or some of its settings; lists are replaced whole."""
        return self.reply(services.update_app(self.scope, app_id, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, app_id: str) -> Response:
        """Archive an app: its keys and its customers' sessions are dead from the next request on."""
        services.archive_app(self.scope, app_id)
        return self.reply()
