"""Two tenants' audit chains that are really committed, and the owner who can tamper with them."""

from __future__ import annotations

import base64
import os
import secrets

import psycopg
import pytest

from stackbe.kernel import crypto
from stackbe.kernel.audit import audit, seal_audit_rows
from stackbe.kernel.transactions import change
from tests.cast import found_company
from tests.dashboard.conftest import desk, desk_of  # noqa: F401  # fixtures of theirs
from tests.databases import owner_url


@pytest.fixture
def chain(acme):
    for scope in (acme.scope, found_company("Globex").scope):
        with change(scope):
            for number in range(5):
                audit(scope, "thing.done", str(number), detail={"n": number})
            seal_audit_rows(scope.tenant_id)
    return str(acme.tenant_id)


@pytest.fixture
def owner():
    """The owner, with the wall and the trigger out of the way, as a thief of the server would have it."""
    tables = ("kernel_auditevent", "kernel_auditseal")
    with psycopg.connect(owner_url(os.environ["STACKBE_TEST_DATABASE"]), autocommit=True) as connection:
        for table in tables:
            connection.execute(f"alter table {table} no force row level security")
            connection.execute(f"alter table {table} disable trigger user")
        yield connection
        for table in tables:
            connection.execute(f"alter table {table} force row level security")
            connection.execute(f"alter table {table} enable trigger user")


def nth(chain, number):
    return f"(select audit_id from kernel_auditseal where tenant_id = '{chain}' and sequence = {number})"


@pytest.fixture
def new_master(settings):
    """Set another master key before the present one; the caller says when the old one goes."""
    fresh = f"next:{base64.b64encode(secrets.token_bytes(32)).decode()}"

    def forget():
        crypto.master_keys.cache_clear()
        crypto.open_tenant_key.cache_clear()

    def chosen(*, alone):
        settings.STACKBE_MASTER_KEY = fresh if alone else f"{fresh},{old}"
        forget()

    old = settings.STACKBE_MASTER_KEY
    yield chosen
    settings.STACKBE_MASTER_KEY = old
    forget()
