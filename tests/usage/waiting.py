"""Calls on connections of their own, and whether they wait for a lock."""

from __future__ import annotations

import threading
import time

from django.db import connection


def begun(call) -> threading.Thread:
    """Start a call on a connection of its own."""

    def run() -> None:
        try:
            call()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def waiting() -> int:
    """Return how many statements wait for a lock."""
    with connection.cursor() as cursor:
        # A transaction sees the connections that there were when it first asked, unless it lets go of that.
        cursor.execute("select pg_stat_clear_snapshot()")
        cursor.execute(
            "select count(distinct pid) from pg_locks where not granted"
            " and pid in (select pid from pg_stat_activity where datname = current_database())"
        )
        return int(cursor.fetchone()[0])


def until_waiting(number: int, *threads: threading.Thread) -> None:
    """Return once so many statements wait, or all of the threads are through."""
    deadline = time.monotonic() + 10
    while waiting() < number and any(thread.is_alive() for thread in threads):
        assert time.monotonic() < deadline
        time.sleep(0.005)
