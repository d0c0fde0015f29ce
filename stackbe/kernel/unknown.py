"""The answer to a URL under /v1 that the table of routes does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackbe.kernel.api import ApiView
from stackbe.kernel.errors import NotFound
from stackbe.kernel.routes import PUBLIC, Access, Limit

if TYPE_CHECKING:
    from rest_framework.request import Request


class UnknownRoute(ApiView):
    """404 in the API's error shape, whatever the method; counted per address like any stranger."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count the call, then say that nothing is here."""
        request.authenticators = ()
        self._count_address(Access(credentials=PUBLIC, limit=Limit.PAGE))
        raise NotFound("No such URL. The API is described at /docs/api.")
