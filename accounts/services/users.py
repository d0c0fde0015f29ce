"""Developers as rows: found by the blind index of their address, made on first mention."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.models import User, email_index
from stackbe.kernel.crypto import Keyring
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import current, require_change


def user_index(email: str) -> bytes:
    """Return the blind index of a developer's address, under the platform's key."""
    current()
    return email_index(Keyring(PLATFORM).secret("blind_index"), email)


def user_by_email(email: str) -> User | None:
    """Return the developer with that address, if there is one."""
    return User.objects.filter(email_index=user_index(email)).first()


def ensure_user(email: str) -> User:
    """Return the developer with that address, made if new.

    Both cases try the insert first, so that the time taken does not tell whether the address is
    known.
    """
    require_change()
    user = User(email=email, email_index=user_index(email))
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        return User.objects.get(email_index=user.email_index)
    return user
