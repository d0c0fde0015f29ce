"""How Django finds a signed-in developer again. Nobody signs in with a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.backends import ModelBackend

from accounts.models import User

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest


class MagicLinkBackend(ModelBackend):
    """Loads the user of a session; `authenticate` always declines."""

    def authenticate(self, request: HttpRequest | None, *_: Any, **__: Any) -> None:
        """Decline: links are redeemed in accounts.services, not here."""

    def get_user(self, user_id: UUID) -> User | None:
        """Return the user while active."""
        return User.objects.filter(pk=user_id, is_active=True).first()
