"""Session token → Scope."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from stackbe.kernel.scope import Scope


class SessionTokenAuthentication(BaseAuthentication):
    """Reads a customer's session JWT."""

    def authenticate(self, request: Request) -> tuple[None, Scope] | None:
        """Return the session's scope."""
        return None
