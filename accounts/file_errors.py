"""The failures of customers' files."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, NotFound


class FileNotFound(NotFound):
    """Another app's file, a forgotten one and none at all look alike."""

    message = "No such file."


class FileGone(Conflict):
    """The content of a file is dropped once it is of no more use."""

    message = "The file has been dropped. Upload it again."
