"""A prepared statement of a hot route answers as Django's cursor does, whatever becomes of its plan or its connection."""

from __future__ import annotations

from datetime import UTC, datetime
from multiprocessing.connection import wait
from uuid import UUID

import pytest
from django.db import DataError, OperationalError, connection
from django.db.backends.utils import CursorWrapper

from stackbe.kernel.statements import Statement

WHEN, WHICH = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC), UUID(int=5)
EVERY_TYPE = "select %s::bigint, %s::text, %s::uuid, %s::timestamptz, %s::bytea, %s::boolean, %s::int, null::text"
GIVEN = (2**53, "a 'quoted' é", WHICH, WHEN, b"\x00\xff", True, None)


@pytest.fixture
def kept(committed):
    """Hold a connection on which no transaction is open."""
    connection.ensure_connection()
    yield connection.connection
    connection.close()


@pytest.fixture
def no_cursor(monkeypatch):
    """Let nothing go through Django's cursor."""

    def refuse(*_):
        raise AssertionError("a cursor was used")

    monkeypatch.setattr(CursorWrapper, "execute", refuse)


def test_it_answers_values_of_every_type(kept, no_cursor):
    assert Statement("every_type", EVERY_TYPE).row(*GIVEN) == (*GIVEN, None)


def test_in_a_transaction_it_goes_through_the_cursor_and_answers_the_same(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert Statement("every_type", EVERY_TYPE).row(*GIVEN) == (*GIVEN, None)


def test_an_error_is_one_of_djangos_and_the_next_call_works(kept, no_cursor):
    divide = Statement("divide", "select 10 / %s::int")

    with pytest.raises(DataError, match="division by zero"):
        divide.row(0)

    assert divide.row(5) == (2,)


def test_a_statement_that_was_deallocated_is_prepared_again(kept, no_cursor):
    double = Statement("double", "select %s::int * 2")
    double.row(1)

    kept.pgconn.exec_(b"deallocate all")

    assert double.row(4) == (8,)


def test_a_function_that_was_replaced_is_called_in_its_new_form(kept, no_cursor):
    said = Statement("said", "select * from pg_temp.said()")
    kept.pgconn.exec_(b"create function pg_temp.said() returns table (a int) language sql as 'select 1'")
    assert said.row() == (1,)

    kept.pgconn.exec_(b"drop function pg_temp.said()")
    kept.pgconn.exec_(b"create function pg_temp.said() returns table (a text, b int) language sql as $$select 'x', 2$$")

    assert said.row() == ("x", 2)
    kept.pgconn.exec_(b"drop function pg_temp.said()")


def test_a_connection_that_broke_is_replaced_for_the_next_request(kept, no_cursor):
    double = Statement("double", "select %s::int * 2")
    double.row(1)
    kept.pgconn.exec_(b"set idle_session_timeout = '20ms'")
    wait([kept.fileno()], timeout=10)  # the server says goodbye, unasked

    with pytest.raises(OperationalError):
        double.row(1)
    connection.close_if_unusable_or_obsolete()

    assert double.row(4) == (8,)
