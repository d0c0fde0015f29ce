"""Partitions are made ahead, also for months in which rows wait already, and go once they are empty."""

from __future__ import annotations

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tasks import make_partitions
from tests.queue import worker_rights


def test_the_worker_makes_what_comes_and_drops_what_is_old_and_empty(owner):
    month = f"{wall_clock():%Y%m}"
    owner.execute(f"drop table usage_record_{month}")
    for year in (2020, 2021):
        owner.execute(
            f"create table usage_bucket_{year}01 partition of usage_bucket"
            f" for values from ('{year}-01-01 00:00:00+00') to ('{year}-02-01 00:00:00+00')"
        )
    owner.execute(
        "insert into usage_bucket_202101 select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
        " gen_random_uuid(), '2021-01-05', '2021-01-05', 24, 7"
    )

    with worker_rights():
        make_partitions(0)

    there = {name for (name,) in owner.execute("select relname from pg_class where relname like 'usage_%%'")}
    assert {f"usage_record_{month}", "usage_bucket_202101"} <= there
    assert "usage_bucket_202001" not in there
    owner.execute("drop table usage_bucket_202101")


def test_rows_that_came_before_their_month_move_into_it(owner):
    month = f"{wall_clock():%Y%m}"
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
