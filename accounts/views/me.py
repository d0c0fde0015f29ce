"""What a credential is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.serializers import MeOutput
from accounts.services import me as services
from stackbe.kernel.api import ApiView, operation

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Me(ApiView):
    """The credential that asks."""

    @operation(output=MeOutput)
    def get(self, request: Request) -> Response:
        """Say what the credential is: its tenant and app, and its scopes or its customer."""
        return self.reply(services.describe(self.scope))
