"""The tests' own ground: what commits for real is gone before the next test."""

from __future__ import annotations

import os

from django.db import connection

from stackbe.kernel import limits
from stackbe.kernel.transactions import change
from tests import databases
from tests.cast import found_company
from webhooks.outbox import emit


def test_a_reset_empties_plain_partitioned_and_unlogged_tables(committed):
    company = found_company("Acme")
    with change(company.scope):
        emit(company.scope, "webhook.test", {})
    limits.take("bucket", 1)

    databases.reset(os.environ["STACKBE_TEST_DATABASE"])

    with connection.cursor() as cursor:
        cursor.execute("set role stackbe_staff")
        for table in ("accounts_tenant", "accounts_app", "apikeys_apikey", "webhooks_event", "kernel_auditevent"):
            cursor.execute(f"select count(*) from {table}")
            assert cursor.fetchone() == (0,), table
        cursor.execute("set role stackbe_web")
        cursor.execute("select count(*) from kernel_ratebucket")
        assert cursor.fetchone() == (0,)
