"""/v1/plans/:id/migrations: subscribers of an older version taken to the newest one, seen beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from billing.models import PlanMigration, Subscription
from billing.services.migrations import next_in_line
from billing.stripe import migrating
from stackbe.kernel.ids import decode
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.dashboard.conftest import seated
from tests.queue import run_jobs

if TYPE_CHECKING:
    from tests.stripe.conftest import Shop


def reprice(shop: Shop, cents: int) -> None:
    assert shop.api.patch(f"/plans/{shop.plan}", {"priceCents": cents}).status_code == 200


def preview(shop: Shop, query: str = "") -> list[dict[str, Any]]:
    answer = shop.api.get(f"/plans/{shop.plan}/migration-preview{query}")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["data"])


def start(shop: Shop, **body: Any) -> Any:
    return shop.api.post(f"/plans/{shop.plan}/migrations", body)


def run_of(shop: Shop, started: Any) -> dict[str, Any]:
    return dict(shop.api.get(f"/plans/{shop.plan}/migrations/{started.json()['id']}").json())


def versions(shop: Shop) -> list[int]:
    with reading(shop.company.scope):
        rows = Subscription.objects.within(shop.company.scope).order_by("id")
        return list(rows.values_list("plan_version__number", flat=True))


def paid_at_stripe(shop: Shop) -> list[int]:
    found = shop.sandbox.get("/v1/subscriptions?status=all", shop.account_id)["data"]
    return [each["items"]["data"][0]["price"]["unit_amount"] for each in found]


def test_each_is_seen_first_and_goes_over_with_the_next_period(shop: Shop):
    subscription = shop.subscribe()
    reprice(shop, 3900)

    (seen,) = preview(shop)
    assert (seen["amountNowCents"], seen["amountThenCents"]) == (2900, 3900)
    assert (seen["fromVersion"], seen["toVersion"], seen["problem"]) == (1, 2, None)
    assert seen["effectiveAt"] == subscription["currentPeriodEnd"]
    started = start(shop)
    assert (started.status_code, started.json()["state"], started.json()["subscribers"]) == (201, "running", 1)
    run_jobs()

    done = run_of(shop, started)
    assert (done["state"], done["moved"], done["scheduled"], done["refusals"]) == ("done", 0, 1, [])
    assert (versions(shop), paid_at_stripe(shop)) == ([1], [2900])
    shop.sandbox.call("POST", "/_sandbox/clock", {"account": shop.account_id, "advance": "32d"})
    shop.deliver()
    assert (versions(shop), paid_at_stripe(shop)) == ([2], [3900])
    assert shop.api.get("/invoices").json()["data"][0]["amountPaidCents"] == 3900
    history = shop.api.get(f"/subscriptions/{subscription['id']}/history").json()["data"]
    assert "migrated" in [step["transition"] for step in history]


def test_now_is_prorated_and_who_cannot_go_stays_and_is_named(shop: Shop):
    paused = shop.subscribe("ada@example.com")
    shop.subscribe("bea@example.com")
    shop.api.post(f"/subscriptions/{paused['id']}/pause")
    reprice(shop, 3900)

    problems = {row["subscriptionId"]: row["problem"] for row in preview(shop, "?when=now")}
    assert "Resume it" in problems[paused["id"]]
    started = start(shop, when="now")
    run_jobs()

    done = run_of(shop, started)
    assert (done["moved"], done["scheduled"], done["refused"]) == (1, 0, 1)
    assert [each["subscriptionId"] for each in done["refusals"]] == [paused["id"]]
    assert sorted(versions(shop)) == [1, 2]
    assert start(shop, when="now").json()["subscribers"] == 1


def test_a_customers_own_choice_is_left_to_come(shop: Shop):
    subscription = shop.subscribe()
    lite = shop.add_plan("Lite", 900)
    shop.api.patch(f"/subscriptions/{subscription['id']}", {"planId": lite})
    reprice(shop, 3900)

    started = start(shop)
    run_jobs()

    assert "A change waits" in run_of(shop, started)["refusals"][0]["reason"]
    assert shop.current().json()["scheduledChange"]["planId"] == lite


def test_stripe_down_in_the_middle_holds_it_and_it_goes_on_where_it_was(shop: Shop):
    for name in ("ada", "bea", "cy"):
        shop.subscribe(f"{name}@example.com")
    reprice(shop, 3900)
    started = start(shop, when="now")
    migration = decode("mig", started.json()["id"])
    assert migrating.migrate_next(shop.company.scope, migration)
    shop.sandbox.fault("api_500", path="/v1/subscriptions", account=shop.account_id)

    with pytest.raises(migrating.StripeUnavailable):
        migrating.migrate_next(shop.company.scope, migration)
    assert (run_of(shop, started)["state"], run_of(shop, started)["moved"]) == ("running", 1)
    shop.sandbox.heal()
    run_jobs()

    done = run_of(shop, started)
    assert (done["state"], done["moved"], done["refused"]) == ("done", 3, 0)
    assert paid_at_stripe(shop) == [3900] * 3
    assert (
        len(shop.sandbox.get("/v1/invoices?limit=100", shop.account_id)["data"]) == 6
    )  # a first and a prorated one each


def test_one_whose_worker_died_after_it_was_scheduled_counts_once(shop: Shop):
    shop.subscribe()
    reprice(shop, 3900)
    started = start(shop)
    with change(shop.company.scope):
        taken = next_in_line(shop.company.scope, decode("mig", started.json()["id"]))
    assert taken is not None
    assert taken[1] is not None
    migrating.change_subscription(shop.company.scope, taken[1].public_id, newest=True, when="period_end")

    run_jobs()

    done = run_of(shop, started)
    assert (done["state"], done["scheduled"], done["refused"]) == ("done", 1, 0)


def test_who_keeps_an_old_price_may_still_change_their_quantity_and_go_down(shop: Shop):
    subscription = shop.subscribe()
    reprice(shop, 3900)
    shop.deliver()

    more = shop.api.patch(f"/subscriptions/{subscription['id']}", {"quantity": 2})
    less = shop.api.patch(f"/subscriptions/{subscription['id']}", {"planId": shop.add_plan("Lite", 900)})

    assert (more.status_code, more.json()["quantity"], less.status_code) == (200, 2, 200), less.content
    assert less.json()["scheduledChange"] is not None
    assert (versions(shop), paid_at_stripe(shop)) == ([1], [2900])


def test_a_price_that_nobody_looked_at_is_charged_to_nobody(shop: Shop):
    shop.subscribe()
    reprice(shop, 3900)
    started = start(shop, when="now")
    reprice(shop, 9900)

    run_jobs()

    assert run_of(shop, started)["state"] == "stopped"
    assert paid_at_stripe(shop) == [2900]


def test_what_cannot_be_started_says_why(shop: Shop):
    reprice(shop, 3900)
    assert start(shop).json()["message"] == "No subscriber of this plan has an older version."
    shop.subscribe()
    reprice(shop, 4900)
    wrong = start(shop, fromVersion=7).json()
    assert "newest version is 2" in wrong["fields"]["fromVersion"][0]
    first = start(shop, fromVersion=1)

    second = start(shop)

    assert (second.status_code, "is running" in second.json()["message"]) == (409, True)
    stopped = shop.api.delete(f"/plans/{shop.plan}/migrations/{first.json()['id']}")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    run_jobs()
    assert (versions(shop), paid_at_stripe(shop)) == ([1], [3900])
    assert Api(None).post(f"/plans/{shop.plan}/migrations", {}).status_code == 401
    assert shop.company.api("plans:write").post(f"/plans/{shop.plan}/migrations", {}).status_code == 403
    shop.api.delete(f"/plans/{shop.plan}")
    assert "archived" in start(shop).json()["message"]


def test_it_is_seen_started_and_stopped_in_the_dashboard(shop: Shop):
    shop.subscribe()
    reprice(shop, 3900)
    desk = seated(shop.company)
    path = f"plans/{shop.plan}/versions"

    assert "ada@example.com" in desk.get(path).content.decode()
    shown = desk.post(path, from_version="1", when="now", preview="1").content.decode()
    assert "$29.00" in shown
    assert "$39.00" in shown
    assert "They are being migrated" in desk.post(path, from_version="", when="period_end", start="1").content.decode()
    with reading(shop.company.scope):
        run = PlanMigration.objects.within(shop.company.scope).get()
    desk.post(f"plans/{shop.plan}/migrations/{run.public_id}/stop")

    assert "Stopped" in desk.get(path).content.decode()
