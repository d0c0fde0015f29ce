"""Partitions are made ahead, also for months in which rows wait already."""

from __future__ import annotations

import os

import psycopg

from stackbe.kernel.clock import wall_clock
from tests.databases import as_role


def test_rows_that_came_before_their_month_move_into_it(committed):
    url = as_role(os.environ["STACKBE_TEST_MAINTENANCE_URL"], "stackbe_owner", os.environ["STACKBE_TEST_DATABASE"])
    month = f"{wall_clock():%Y%m}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"drop table usage_bucket_{month}")
        owner.execute(
            "insert into usage_bucket_default select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
            " gen_random_uuid(), now(), now(), 1, 7"
        )

        made = owner.execute("select kernel_make_partitions()").fetchone()

        assert made == (1,)
        assert owner.execute("select count(*) from usage_bucket_default").fetchone() == (0,)
        assert owner.execute(f"select used from usage_bucket_{month}").fetchone() == (7,)
        assert owner.execute("select kernel_make_partitions()").fetchone() == (0,)
