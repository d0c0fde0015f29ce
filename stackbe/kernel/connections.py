"""Connections that are kept from one request to the next, and the server that ends them meanwhile.

When PostgreSQL restarts, every process still holds a connection that is dead. The server's
farewell lies unread in its socket, so a look at the socket (no round trip, some microseconds)
tells before the request spends itself on it.
"""

from __future__ import annotations

import select

from django.db import DEFAULT_DB_ALIAS, connections


def drop_ended(**_signal: object) -> None:
    """Close the kept connection if the server has ended it; the request then opens a new one.

    Between requests a server only speaks unasked to say goodbye, or to warn: a connection with
    unread bytes is closed in either case, which costs one new connection at the most.
    """
    connection = connections[DEFAULT_DB_ALIAS]  # looked up once
    kept = connection.connection
    if kept is None or connection.in_atomic_block:
        return
    if kept.closed or _readable(kept.fileno()):
        connection.close()


def look_after() -> None:
    """Do for a request that Django never hears of what Django does before each: let go of a connection past use."""
    drop_ended()
    connection = connections[DEFAULT_DB_ALIAS]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def _readable(descriptor: int) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))
