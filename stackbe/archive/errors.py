"""The failures of archives and of the deletion of tenants."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, NotFound


class ArchiveNotFound(NotFound):
    """Another tenant's archive, an unfinished one and none at all look alike."""

    message = "No such archive."


class ArchiveGone(Conflict):
    """An archive is kept for a day."""

    message = "The archive was kept for a day. Make another."
