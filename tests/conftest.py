"""Fixtures for all tests: the database, the cast, time, the queue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, connections
from hypothesis import settings as hypothesis_settings

from stackbe.mail import inbox
from tests import databases, stack
from tests.cast import Api, Company, found_company
from tests.queue import run_jobs

# The ordinary run draws the same examples each time, so that a red run is a change's doing; a search for new
# ones is `manage.py test --full --hypothesis-profile=default`.
hypothesis_settings.register_profile("ordinary", derandomize=True, deadline=None)
hypothesis_settings.load_profile("ordinary")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.plugin import DjangoDbBlocker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand out the folders from the last to the first.

    The long tests are in those at the end of the alphabet, and one that begins last is waited for by idle processes.
    """
    items.sort(key=lambda item: item.path.parent, reverse=True)


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
def owner(committed: None) -> Iterator[psycopg.Connection]:
    """Give a connection of the tables' owner."""
    with psycopg.connect(databases.owner_url(os.environ["STACKBE_TEST_DATABASE"]), autocommit=True) as connected:
        yield connected


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
def as_worker(db: None) -> None:
    """Run the test's own statements with the worker's rights."""
    with connection.cursor() as cursor:
        cursor.execute("set local role stackbe_worker")


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[stack.Stack]:
    """A running copy (web, worker, dispatcher, sandbox) on a database of its own.

    Mark tests that use it `@pytest.mark.xdist_group("live")`, so that one worker process runs them.
    """
    database = f"{os.environ['STACKBE_TEST_DATABASE']}_live"
    copy = stack.make(tmp_path_factory.mktemp("stack"), database)
    try:
        for name in ("sandbox", "web", "worker", "dispatcher"):
            copy.start(name)
        copy.wait()
        yield copy
    finally:
        copy.stop()
        databases.drop(database)


class Mailbox:
    """The mail that was sent in a test: the queue is run before it is read."""

    def __call__(self, to: str | None = None) -> list[dict[str, Any]]:
        """Return `{to, from, subject, text, html, links, code, sentAt}`, newest first."""
        run_jobs()
        return inbox.messages(to)

    def latest(self, to: str | None = None) -> dict[str, Any]:
        """Return the newest mail, to somebody or to anybody."""
        found = self(to)
        assert found, f"no mail to {to or 'anybody'}"
        return found[0]


@pytest.fixture
def mailbox(settings: Any) -> Mailbox:
    """Reads what was mailed; pytest-django would keep mail in memory, past the inbox that is ours."""
    settings.EMAIL_BACKEND = "stackbe.mail.inbox.DevelopmentInbox"
    return Mailbox()
