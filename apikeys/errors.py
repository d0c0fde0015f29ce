"""The failures of API keys."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, NotFound


class ApiKeyNotFound(NotFound):
    """Another app's key and none at all look alike."""

    message = "No such API key."


class ApiKeyNotRotatable(Conflict):
    """A key that is dead, or that is being replaced already, has no successor to give."""

    message = "This API key is revoked, expired or being replaced already. Issue a new one."
