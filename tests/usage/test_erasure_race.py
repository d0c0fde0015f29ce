"""A customer is erased in the very moment in which something is counted for them: nothing of it stays."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from django.db import connection

from accounts.erasure import run_erasure
from stackbe.kernel.transactions import change, reading
from tests.cast import Api, found_company
from tests.usage.stage import Subscriber, make_subscriber
from tests.usage.waiting import begun, until_waiting

HELD = (
    "usage_counter",
    "usage_record",
    "usage_bucket",
    "usage_uniquevalue",
    "usage_crossing",
    "usage_credit",
    "usage_reservation",
    "billing_access",
    "billing_entitlementoverride",
)


@pytest.fixture
def ada(committed) -> Subscriber:
    ada = make_subscriber(found_company("Acme"))
    Api(ada.company.key).post("/features", {"key": "sso", "type": "boolean"})
    return ada


@contextmanager
def locked(table: str):
    """Let whoever comes to a table wait there, until the block ends."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("begin")
                cursor.execute(f"lock table {table} in access exclusive mode")  # a table's name of ours
                ready.set()
                done.wait(timeout=90)
                cursor.execute("rollback")
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert ready.wait(timeout=10)
    try:
        yield
    finally:
        done.set()
        holder.join()


def left_of(ada: Subscriber) -> dict[str, int]:
    with reading(ada.company.scope), connection.cursor() as cursor:
        found = {}
        for table in HELD:
            cursor.execute(f"select count(*) from {table} where customer_id = %s", [ada.uuid])  # likewise
            found[table] = cursor.fetchone()[0]
    return {table: count for table, count in found.items() if count}


def track(ada: Subscriber):
    return lambda: Api(ada.company.key).post("/usage/track", ada.event(quantity=9, idempotencyKey="k"))


def hold(ada: Subscriber):
    return lambda: Api(ada.company.key).post("/usage/reservations", ada.event(quantity=2))


def grant(ada: Subscriber):
    body = {"metric": "api_calls", "quantity": 5, "reason": "x"}
    return lambda: Api(ada.company.key).post(f"/customers/{ada.id}/credits", body)


def override(ada: Subscriber):
    body = {"value": True, "reason": "x"}
    return lambda: Api(ada.company.key).put(f"/customers/{ada.id}/entitlement-overrides/sso", body)


@pytest.mark.parametrize(
    ("late", "counted_before"), [(track, False), (track, True), (hold, False), (grant, True), (override, True)]
)
def test_what_comes_while_a_customer_is_erased_leaves_nothing(ada, late, counted_before):
    api = Api(ada.company.key)
    if counted_before:
        assert api.post("/usage/track", ada.event()).status_code == 200

    # Each of them finds a customer who is there, and then waits where the erasure passes later.
    with locked("billing_access"):
        coming = begun(late(ada))
        until_waiting(1, coming)
        asking = begun(lambda: api.delete(f"/customers/{ada.id}"))
        until_waiting(2, asking)
        erasing = begun(lambda: run_erasure(ada.company.scope, ada.uuid))
        until_waiting(3 if asking.is_alive() else 2, erasing)
    for each in (coming, asking, erasing):
        each.join(timeout=20)
    run_erasure(ada.company.scope, ada.uuid)

    assert left_of(ada) == {}
    assert api.get(f"/customers/{ada.id}").status_code == 404


def test_a_deletion_waits_for_what_is_being_counted_and_takes_it_along(ada):
    api = Api(ada.company.key)

    with change(ada.company.scope):
        assert api.post("/usage/track", ada.event()).status_code == 200
        asking = begun(lambda: api.delete(f"/customers/{ada.id}"))
        until_waiting(1, asking)
        assert asking.is_alive()
    asking.join(timeout=20)
    run_erasure(ada.company.scope, ada.uuid)

    assert left_of(ada) == {}
