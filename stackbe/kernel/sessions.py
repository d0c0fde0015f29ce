"""Browser sessions whose cookie is stored as a hash.

Django's database session store keeps the cookie's value as its primary key, so a dump of the
database would hold usable sessions. Here the row is found by SHA-256 of the cookie.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from stackbe.kernel.models import BrowserSession


def stored_key(cookie: str) -> str:
    """Return what stands in the database for a cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class SessionStore(DatabaseStore):
    """Django's store with the hash in place of the key."""

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        """Return the model."""
        return BrowserSession

    def _get_session_from_db(self) -> BrowserSession | None:
        cookie, self._session_key = self.session_key, stored_key(self.session_key or "")
        try:
            row: BrowserSession | None = super()._get_session_from_db()  # type: ignore[misc]  # the stubs leave it out
        finally:
            if self._session_key is not None:
                self._session_key = cookie
        return row

    def exists(self, session_key: str) -> bool:
        """Say whether a cookie has a session."""
        return bool(super().exists(stored_key(session_key)))

    def create_model_instance(self, data: Any) -> BrowserSession:
        """Return the row to save, its owner beside it so that all of a user's can be ended."""
        row = BrowserSession()
        row.session_key = stored_key(self._get_or_create_session_key())  # type: ignore[attr-defined]  # likewise
        row.session_data = self.encode(data)
        row.expire_date = self.get_expiry_date()
        user_id = data.get("_auth_user_id")
        row.user_id = UUID(user_id) if user_id else None
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End the session of a cookie, or this one."""
        cookie = session_key or self.session_key
        if cookie is not None:
            super().delete(stored_key(cookie))
