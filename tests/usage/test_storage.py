"""What is kept of usage and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from accounts.models import App
from stackbe.kernel.transactions import change, reading
from tests.usage.stage import add_metric, move_clock
from usage.models import Counter
from usage.tasks import keep_usage_within_bounds


def rows(company, table):
    with reading(company.scope), connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {table}")  # a table's name of ours
        return cursor.fetchone()[0]


def month_by_month(api, customer, metric, granularity="month"):
    path = f"/usage/timeseries?customerId={customer.id}&metric={metric}&granularity={granularity}"
    return [point["value"] for point in api.get(path).json()["data"] if point["value"]]


@pytest.mark.parametrize("aggregation", ["sum", "max", "last"])
def test_old_hours_become_days_and_come_to_the_same(acme, acme_api, ada, aggregation):
    add_metric(acme, name="figure", aggregation=aggregation, resets="never")
    for hours, quantity in ((0, 2), (1.5, 3), (3, 1), (24 * 70, 5)):
        move_clock(acme, hours=hours)
        acme_api.post("/usage/track", ada.event("figure", quantity=quantity))
    before = month_by_month(acme_api, ada, "figure")

    keep_usage_within_bounds(0)
    keep_usage_within_bounds(0)

    assert month_by_month(acme_api, ada, "figure") == before
    assert rows(acme, "usage_bucket") <= 2


def test_keys_are_kept_for_their_period_and_the_next_and_then_let_go(acme, acme_api, ada):
    add_metric(acme, name="daily", resets="day")
    kept = []
    for day in range(8):
        move_clock(acme, days=day)
        acme_api.post("/usage/track", ada.event("daily", idempotencyKey=f"k{day}"))
        keep_usage_within_bounds(0)
        kept.append(rows(acme, "usage_record"))

    assert max(kept) <= 6
    again = acme_api.post("/usage/track", ada.event("daily", idempotencyKey="k6")).json()
    assert again["currentUsage"] == 1


def test_an_app_says_for_how_long_periods_are_kept(acme, acme_api, ada):
    path = f"/apps/{acme.app}"
    assert acme_api.get(path).json()["settings"]["usageRetentionMonths"] == 25
    assert acme_api.patch(path, {"settings": {"usageRetentionMonths": 2}}).status_code == 400
    acme_api.patch(path, {"settings": {"usageRetentionMonths": 3}})
    acme_api.post(f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 5, "reason": "x"})
    acme_api.post("/usage/track", ada.event(quantity=12))
    acme_api.post("/usage/track", ada.event("exports"))
    held = acme_api.post("/usage/reservations", ada.event(quantity=1)).json()
    acme_api.post(f"/usage/reservations/{held['id']}/confirm", {"quantity": 1})

    move_clock(acme, days=60)
    keep_usage_within_bounds(0)
    assert rows(acme, "usage_counter") == 2
    move_clock(acme, days=160)
    keep_usage_within_bounds(0)

    with change(acme.scope):
        left = Counter.objects.within(acme.scope).select_related("metric")
        assert [(row.metric.name, row.period_end) for row in left] == [("exports", None)]
    assert [rows(acme, table) for table in ("usage_bucket", "usage_reservation", "usage_credituse")] == [0, 0, 0]
    assert acme_api.get(f"/customers/{ada.id}/credits").json()["balance"] == {"api_calls": 2}


def test_a_rivals_usage_is_no_matter_of_theirs(acme, acme_api, ada, globex):
    acme_api.post("/usage/track", ada.event())
    with change(globex.scope):
        App.objects.within(globex.scope).update(clock_offset_ms=int(timedelta(days=1500).total_seconds() * 1000))

    keep_usage_within_bounds(0)

    assert rows(acme, "usage_counter") == 1
