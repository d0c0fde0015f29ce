"""/v1/usage/reservations"""

from __future__ import annotations

import pytest

from stackbe.kernel.transactions import change, reading
from tests.queue import run_jobs
from tests.refusals import (
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)
from tests.usage.stage import add_metric, allow, make_customer, make_subscriber, move_clock
from usage.errors import ReservationNotFound
from usage.models import Counter, Reservation
from usage.services.reservations import close as end_hold
from usage.services.reservations import find_reservation
from usage.tasks import expire_reservations

PATH = "/usage/reservations"


def hold(api, customer, quantity, **more):
    response = api.post(PATH, customer.event(quantity=quantity, **more))
    assert response.status_code == 201, response.content
    return response.json()


def close(api, held, how, **body):
    return api.post(f"{PATH}/{held['id']}/{how}", body)


def figures(api, customer):
    return api.get(f"/usage?customerId={customer.id}").json()["metrics"][0]


def test_what_is_held_is_no_one_elses(acme_api, ada):
    held = hold(acme_api, ada, 6)

    assert (held["id"][:4], held["status"], held["quantity"]) == ("rsv_", "held", 6)
    assert (held["usage"]["currentUsage"], held["usage"]["held"], held["usage"]["remaining"]) == (0, 6, 4)
    refused = acme_api.post("/usage/track", ada.event(quantity=5))
    assert (refused.json()["code"], refused.json()["usage"]["held"]) == ("USAGE_LIMIT_EXCEEDED", 6)
    assert acme_api.post("/usage/track", ada.event(quantity=4)).json()["remaining"] == 0
    assert acme_api.post(PATH, ada.event(quantity=1)).json()["code"] == "USAGE_LIMIT_EXCEEDED"
    assert acme_api.get(f"/usage/check?customerId={ada.id}&metric=api_calls").json()["allowed"] is False


@pytest.mark.parametrize(("real", "used"), [(6, 6), (2, 2), (0, 0), (9, 9), (10, 10)])
def test_the_real_amount_is_counted_below_and_above_what_was_held(acme_api, ada, real, used):
    held = hold(acme_api, ada, 6)

    done = close(acme_api, held, "confirm", quantity=real).json()

    assert (done["status"], done["confirmedQuantity"]) == ("confirmed", real)
    assert (done["usage"]["currentUsage"], done["usage"]["held"]) == (used, 0)
    assert figures(acme_api, ada)["remaining"] == 10 - used


def test_more_than_there_is_room_for_is_refused_and_stays_held(acme_api, ada):
    held = hold(acme_api, ada, 6)
    acme_api.post("/usage/track", ada.event(quantity=3))

    refused = close(acme_api, held, "confirm", quantity=8)

    assert (refused.status_code, refused.json()["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert (figures(acme_api, ada)["currentUsage"], figures(acme_api, ada)["held"]) == (3, 6)
    assert close(acme_api, held, "confirm", quantity=7).json()["usage"]["remaining"] == 0


def test_what_was_held_counts_though_the_limit_fell_meanwhile(acme_api, ada):
    held = hold(acme_api, ada, 6)
    allow(ada, included=2, mode="hard")

    assert close(acme_api, held, "confirm", quantity=6).json()["usage"]["currentUsage"] == 6


def test_confirming_again_with_the_same_amount_answers_the_same_and_counts_once(acme_api, ada):
    held = hold(acme_api, ada, 6)
    first = close(acme_api, held, "confirm", quantity=4)

    again, other = (close(acme_api, held, "confirm", quantity=quantity) for quantity in (4, 5))

    assert (again.status_code, again.json()["status"]) == (first.status_code, "confirmed")
    assert (other.status_code, other.json()["code"]) == (409, "RESERVATION_CLOSED")
    assert close(acme_api, held, "release").json()["code"] == "RESERVATION_CLOSED"
    assert figures(acme_api, ada)["currentUsage"] == 4


def test_releasing_gives_back_and_twice_is_harmless(acme_api, ada):
    held = hold(acme_api, ada, 6)

    answers = [close(acme_api, held, "release") for _ in range(2)]

    assert [(a.status_code, a.json()["status"]) for a in answers] == [(200, "released")] * 2
    assert (figures(acme_api, ada)["held"], figures(acme_api, ada)["remaining"]) == (0, 10)
    assert close(acme_api, held, "confirm", quantity=1).json()["code"] == "RESERVATION_CLOSED"


def test_a_deleted_customers_hold_is_gone_at_once_and_nothing_breaks_while_it_is_erased(acme, acme_api, ada):
    held = hold(acme_api, ada, 6)
    with reading(acme.scope):
        found = find_reservation(acme.scope, held["id"])
    assert acme_api.delete(f"/customers/{ada.id}").status_code == 202

    for answer in (close(acme_api, held, "release"), close(acme_api, held, "confirm", quantity=1)):
        assert (answer.status_code, answer.json()["code"]) == (404, "RESERVATION_NOT_FOUND")

    run_jobs()
    with change(acme.scope), pytest.raises(ReservationNotFound):
        end_hold(acme.scope, found, Reservation.Status.RELEASED)


def test_a_hold_ends_by_the_clock_before_any_worker_comes(acme, acme_api, ada):
    held = hold(acme_api, ada, 6, expiresInSeconds=60)
    move_clock(acme, seconds=61)

    assert figures(acme_api, ada)["held"] == 0
    assert acme_api.post("/usage/track", ada.event(quantity=10)).status_code == 200
    late = close(acme_api, held, "confirm", quantity=6)
    assert (late.status_code, late.json()["code"]) == (409, "RESERVATION_EXPIRED")
    assert close(acme_api, held, "release").json()["status"] == "expired"


def test_the_worker_closes_what_has_ended_and_nothing_else(acme, acme_api, ada):
    hold(acme_api, ada, 6, expiresInSeconds=60)
    hold(acme_api, ada, 3)
    move_clock(acme, seconds=61)

    expire_reservations(0)

    with change(acme.scope):
        rows = Reservation.objects.within(acme.scope).order_by("id")
        assert [row.status for row in rows] == ["expired", "held"]
        assert Counter.objects.within(acme.scope).get().held == 3
    run_jobs()


def test_it_counts_in_the_period_that_it_was_held_in(acme, acme_api, ada):
    add_metric(acme, name="daily", resets="day")
    held = acme_api.post(PATH, ada.event("daily", quantity=6, expiresInSeconds=86_400)).json()
    move_clock(acme, hours=23.9)

    done = close(acme_api, held, "confirm", quantity=4).json()

    assert done["usage"]["billingPeriod"] == held["usage"]["billingPeriod"]
    assert done["usage"]["currentUsage"] == 4


def test_credits_are_held_and_spent_on_confirming(acme_api, ada):
    acme_api.post(f"/customers/{ada.id}/credits", {"metric": "api_calls", "quantity": 5, "reason": "x"})

    held = hold(acme_api, ada, 14)
    close(acme_api, held, "confirm", quantity=12)

    assert acme_api.get(f"/customers/{ada.id}/credits").json()["balance"] == {"api_calls": 3}


def test_what_became_of_a_hold_can_be_read_again(acme, acme_api, ada):
    reader = acme.api("usage:read")
    held = hold(acme_api, ada, 6)

    assert reader.get(f"{PATH}/{held['id']}").json() == held
    done = close(acme_api, held, "confirm", quantity=4).json()
    acme_api.post("/usage/track", ada.event(quantity=2))
    shown = reader.get(f"{PATH}/{held['id']}").json()
    assert (shown["status"], shown["confirmedQuantity"], shown["closedAt"]) == ("confirmed", 4, done["closedAt"])
    assert (done["usage"]["currentUsage"], shown["usage"]["currentUsage"]) == (4, 6)


def test_a_customers_holds_are_listed_newest_first_and_by_their_status_at_this_moment(acme, acme_api, ada):
    reader, eve = acme.api("usage:read"), make_customer(acme, "eve@example.com")
    ends, kept, counted, back = (hold(acme_api, ada, 1, expiresInSeconds=s) for s in (60, 600, 600, 600))
    close(acme_api, counted, "confirm", quantity=1)
    close(acme_api, back, "release")
    move_clock(acme, seconds=61)

    def listed(status=""):
        path = f"{PATH}?customerId={ada.id}" + (f"&status={status}" if status else "")
        return [(each["id"], each["status"]) for each in reader.get(path).json()["data"]]

    of = {"held": kept, "expired": ends, "confirmed": counted, "released": back}
    for status, one in of.items():
        assert listed(status) == [(one["id"], status)]
    assert listed() == [(of[s]["id"], s) for s in ("released", "confirmed", "held", "expired")]
    expire_reservations(0)
    assert listed("expired") == [(ends["id"], "expired")]
    whole = f"{PATH}?customerId={ada.id}"
    assert reader.one_by_one(whole) == reader.get(whole).json()["data"]
    assert reader.get(f"{PATH}?customerId={eve.id}").json()["data"] == []
    for query in ("", f"?customerId={ada.id}&status=open", "?customerId=x"):
        assert reader.get(PATH + query).status_code == 400
    assert reader.get(f"{PATH}?customerId={never('cust')}").json()["code"] == "CUSTOMER_NOT_FOUND"


def test_who_may_read_them(acme, acme_api, globex_api, ada):
    held = hold(acme_api, ada, 1)

    for path, absent in (
        (f"{PATH}/{held['id']}", f"{PATH}/{never('rsv')}"),
        (f"{PATH}?customerId={ada.id}", f"{PATH}?customerId={never('cust')}"),
    ):
        assert_needs_credential("GET", path)
        assert_needs_scope(acme.api("usage:write"), "usage:read", "GET", path)
        assert_hidden(globex_api, "GET", path, absent)


def test_a_hold_under_one_key_is_made_once(acme_api, ada):
    first, again = (acme_api.post(PATH, ada.event(quantity=2), Idempotency_Key="k") for _ in range(2))

    assert again.json() == first.json()
    assert figures(acme_api, ada)["held"] == 2


@pytest.mark.parametrize("aggregation", ["max", "last", "unique"])
def test_only_what_adds_up_can_be_held(acme, acme_api, ada, aggregation):
    add_metric(acme, name="level", aggregation=aggregation)

    assert list(acme_api.post(PATH, ada.event("level", quantity=1)).json()["fields"]) == ["metric"]


def test_bad_input_is_refused_by_field(acme_api, ada):
    good = ada.event(quantity=1)
    assert_refuses_each(
        acme_api,
        "POST",
        PATH,
        [
            *(({**good, "quantity": q}, "quantity") for q in (0, -1, 1.5, "1", True, None)),
            *(({**good, "expiresInSeconds": s}, "expiresInSeconds") for s in (0, 86_401, "5", 1.5)),
            ({**good, "customerId": "x"}, "customerId"),
            ({**good, "payload": {}}, "payload"),
        ],
    )
    assert acme_api.post(PATH, ada.event("nope", quantity=1)).json()["code"] == "METRIC_NOT_FOUND"
    assert acme_api.post(PATH, good | {"customerId": never("cust")}).json()["code"] == "CUSTOMER_NOT_FOUND"
    held = hold(acme_api, ada, 1)
    assert_refuses_each(acme_api, "POST", f"{PATH}/{held['id']}/confirm", [({"quantity": -1}, "quantity")])
    assert close(acme_api, held, "release", quantity=1).status_code == 400


def test_who_may(acme, acme_api, globex, globex_api, ada):
    make_subscriber(globex)
    held = hold(acme_api, ada, 1)
    for path, body, absent in (
        (PATH, ada.event(quantity=1), None),
        (f"{PATH}/{held['id']}/confirm", {"quantity": 1}, f"{PATH}/{never('rsv')}/confirm"),
        (f"{PATH}/{held['id']}/release", {}, f"{PATH}/{never('rsv')}/release"),
    ):
        assert_needs_credential("POST", path, body)
        assert_needs_scope(acme.api("usage:read"), "usage:write", "POST", path, body)
        if absent:
            assert_hidden(globex_api, "POST", path, absent, body)
    assert globex_api.post(PATH, ada.event(quantity=1)).json()["code"] == "CUSTOMER_NOT_FOUND"
