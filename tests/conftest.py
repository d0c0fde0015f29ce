"""Fixtures for all tests: the database, the cast, time, the queue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from django.db import connection, connections

from tests import databases
from tests.cast import Api, Company, found_company

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.plugin import DjangoDbBlocker


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Give this worker process a database of its own, copied from the template."""
    name = os.environ["STACKBE_TEST_DATABASE"]
    databases.create(name)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
    databases.drop(name)


@pytest.fixture
def committed(django_db_blocker: DjangoDbBlocker, django_db_setup: None) -> Iterator[None]:
    """Let the test commit for real (several connections, servers), then empty every table.

    Use it in place of `db`. Transactions of pytest-django cannot flush: the serving role may not
    truncate.
    """
    with django_db_blocker.unblock():
        yield
        connections.close_all()
        databases.reset(os.environ["STACKBE_TEST_DATABASE"])


@pytest.fixture
def acme(db: None) -> Company:
    """The tenant under test."""
    return found_company("Acme")


@pytest.fixture
def globex(db: None) -> Company:
    """Another tenant, who must never see anything of Acme's."""
    return found_company("Globex")


@pytest.fixture
def acme_api(acme: Company) -> Api:
    """A client with Acme's app key, all scopes."""
    return Api(acme.key)


@pytest.fixture
def globex_api(globex: Company) -> Api:
    """A client with Globex's."""
    return Api(globex.key)


@pytest.fixture
def as_worker(db: None) -> Iterator[None]:
    """Run the test's own statements with the worker's rights."""
    with connection.cursor() as cursor:
        cursor.execute("set local role stackbe_worker")
    yield
