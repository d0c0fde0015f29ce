"""What keeps counts right to the unit (checks 24 and 31)."""

from __future__ import annotations

from tests.sabotage.shapes import Sabotage, weakened

SABOTAGES = [
    Sabotage(
        "counting-in-two-steps",
        31,
        "the limit is checked and the count is moved under one lock",
        (
            "usage/test_races.py::test_racers_never_pass_a_hard_limit_and_use_all_of_it",
            "usage/test_exact.py::test_a_crowd_counts_exactly_what_was_acknowledged",
        ),
        sql=weakened(
            "usage_track", ("x.period_start = starts for update;", "x.period_start = starts; perform pg_sleep(0.002);")
        ),
    ),
    Sabotage(
        "a-look-instead-of-a-lock",
        31,
        "what is counted in short asks for the limit as it moves the count",
        ("usage/test_count.py::test_racers_in_short_never_pass_the_limit",),
        sql=weakened(
            "usage_count",
            ("and coalesce(x.used + p_quantity <= g.granted + x.carried - x.passed_on, true)", ""),
            ("and coalesce((x.used + p_quantity)::numeric * 100 < g.allowed::numeric * g.first, true)", ""),
            (
                "  update usage_counter x set used = x.used + p_quantity,",
                "  perform pg_sleep(0.01); update usage_counter x set used = x.used + p_quantity,",
            ),
        ),
    ),
    Sabotage(
        "a-key-twice-at-once",
        31,
        "a key that two calls bring at once counts once",
        ("usage/test_count.py::test_a_key_that_comes_several_times_at_once_counts_once",),
        sql=weakened("usage_count", ("set used = x.used - p_quantity", "set used = x.used")),
    ),
    Sabotage(
        "a-batch-that-looks-once",
        31,
        "a batch looks at the counters again once it holds them",
        ("usage/test_count.py::test_a_batch_and_single_events_never_pass_the_limit_together",),
        sql=weakened(
            "usage_count_all",
            ("if mine is null then return; end if;", "if mine is null then return; end if; perform pg_sleep(0.3);"),
            ("and coalesce(c.used + e.total <= e.granted + c.carried - c.passed_on, true)", ""),
            ("and coalesce((c.used + e.total)::numeric * 100 < e.allowed::numeric * e.first, true)", ""),
        ),
    ),
    Sabotage(
        "keys-that-a-batch-forgets",
        31,
        "an idempotency key counts once, alone or in a batch",
        ("usage/test_count.py::test_a_key_counts_once_alone_and_in_a_batch",),
        sql=weakened("usage_count_all", ("and not exists (select from known k where k.counter = c.id)", "")),
    ),
    Sabotage(
        "keys-not-remembered",
        31,
        "an idempotency key counts once",
        ("usage/test_track.py::test_a_key_counts_once_across_a_periods_end",),
        sql=weakened("usage_track", ("and x.period_start >= coalesce(before, starts)", "and x.period_start >= starts")),
    ),
    Sabotage(
        "counting-for-the-erased",
        24,
        "nothing is counted for who was erased since they were found",
        ("usage/test_erasure_race.py::test_what_comes_while_a_customer_is_erased_leaves_nothing",),
        sql=weakened("usage_track", ("and x.deleted_at is null for share;", "for key share;")),
    ),
]
