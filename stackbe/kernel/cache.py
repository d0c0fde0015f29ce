"""The counters of django-ratelimit, kept where all processes see them and none is lost.

Django's own database cache loses increments under races and its local-memory cache counts per
process. This backend offers what a rate limiter needs (add, incr, get) on one UNLOGGED table.
"""

from __future__ import annotations

import time
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

ADD = """
insert into kernel_counter as c (key, value, expires_at) values (%s, %s, %s)
on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at
where c.expires_at <= %s returning value
"""
INCREMENT = "update kernel_counter set value = value + %s where key = %s and expires_at > %s returning value"


class CounterCache(BaseCache):
    """An atomic shared counter behind Django's cache interface. Values are integers."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        """Take what Django passes; there is nothing to connect to but the database."""
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Set a counter unless a live one exists; say whether it was set."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        moment = time.time()
        with connection.cursor() as cursor:
            cursor.execute(ADD, [self.make_key(key, version), int(value), moment + (seconds or 300), moment])
            return cursor.fetchone() is not None

    def incr(self, key: str, delta: int = 1, version: Any = None) -> int:
        """Add to a live counter and return it; ValueError when there is none, as Django's do."""
        with connection.cursor() as cursor:
            cursor.execute(INCREMENT, [delta, self.make_key(key, version), time.time()])
            row = cursor.fetchone()
        if row is None:
            raise ValueError(f"Key {key!r} not found")
        return int(row[0])

    def get(self, key: str, default: Any = None, version: Any = None) -> Any:
        """Return a live counter."""
        with connection.cursor() as cursor:
            cursor.execute(
                "select value from kernel_counter where key = %s and expires_at > %s",
                [self.make_key(key, version), time.time()],
            )
            row = cursor.fetchone()
        return default if row is None else row[0]

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> None:
        """Set a counter whether or not it exists."""
        self.delete(key, version)
        self.add(key, value, timeout, version)

    def delete(self, key: str, version: Any = None) -> bool:
        """Drop a counter; say whether there was one."""
        with connection.cursor() as cursor:
            cursor.execute("delete from kernel_counter where key = %s", [self.make_key(key, version)])
            return bool(cursor.rowcount)

    def clear(self) -> None:
        """Drop all counters."""
        with connection.cursor() as cursor:
            cursor.execute("delete from kernel_counter")
