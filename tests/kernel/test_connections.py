"""A connection that the server has ended is noticed before a request uses it."""

from __future__ import annotations

from multiprocessing.connection import wait

import pytest
from django.core.signals import request_started
from django.db import connection


@pytest.fixture
def kept(committed):
    """Hold the connection that the last request left behind."""
    connection.ensure_connection()
    yield connection.connection
    connection.close()


def backend():
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        return cursor.fetchone()[0]


def test_a_connection_that_postgresql_ended_is_replaced_before_the_request_uses_it(kept):
    before = backend()
    with connection.cursor() as cursor:
        cursor.execute("set idle_session_timeout = '20ms'")
    wait([kept.fileno()], timeout=10)  # the server says goodbye, unasked

    request_started.send(sender=None, environ={})

    assert backend() != before


def test_a_connection_that_lives_is_kept(kept):
    before = backend()

    for _ in range(3):
        request_started.send(sender=None, environ={})

    assert connection.connection is kept
    assert backend() == before


def test_inside_a_transaction_it_is_left_alone(db):
    kept = connection.connection

    request_started.send(sender=None, environ={})

    assert connection.connection is kept
