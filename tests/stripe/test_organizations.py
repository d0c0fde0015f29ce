"""An organization's subscription: it serves all members, its quantity follows them, and it ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import StripeIntent, Subscription
from billing.services import copies
from billing.stripe.errors import StripeUnavailable
from stackbe.kernel.ids import decode
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.queue import run_jobs

PER_SEAT = {
    "prices": [{"currency": "usd", "interval": "month", "scheme": "per_unit", "unitAmountCents": 900}],
    "seats": 1,
}


class Team:
    """An organization of the shop's, founded by Ada, that buys there."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.api = shop, shop.api
        self.ada = self.customer("ada")
        made = self.api.post("/organizations", {"name": "Engines", "customerId": self.ada})
        assert made.status_code == 201, made.content
        self.id = made.json()["id"]
        self.path = f"/organizations/{self.id}"
        self.api.post("/features", {"key": "sso", "type": "boolean"})

    def customer(self, name: str) -> str:
        made = self.api.post("/customers?upsert=true", {"email": f"{name}@example.com"})
        return str(made.json()["id"])

    def join(self, *names: str) -> None:
        for name in names:
            added = self.api.post(f"{self.path}/members", {"customerId": self.customer(name)})
            assert added.status_code == 201, added.content

    def leave(self, name: str) -> None:
        assert self.api.delete(f"{self.path}/members/{self.customer(name)}").status_code == 204

    def plan(self, **more: Any) -> str:
        return str(self.shop.add_plan("Team", 4900, **more))

    def seat_plan(self, **more: Any) -> str:
        body = {"name": "Seats", "entitlements": {"sso": True}, **PER_SEAT, **more}
        made = self.api.post("/plans", body)
        assert made.status_code == 201, made.content
        return str(made.json()["id"])

    def buy(self, plan: str, **more: Any) -> dict[str, Any]:
        """Buy a plan for the organization, as Ada."""
        return dict(self.shop.subscribe(planId=plan, organizationId=self.id, **more))

    def at_stripe(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """Return the subscription as the sandbox has it."""
        path = f"/v1/subscriptions/{subscription['stripeSubscriptionId']}"
        return dict(self.shop.sandbox.get(path, self.shop.account_id))

    def quantity(self, subscription: dict[str, Any]) -> int:
        """Return the quantity there."""
        return int(self.at_stripe(subscription)["items"]["data"][0]["quantity"])

    def ours(self, subscription: dict[str, Any]) -> Subscription:
        with reading(self.shop.company.scope):
            rows = Subscription.objects.within(self.shop.company.scope)
            return rows.get(pk=decode("sub", subscription["id"]))

    def access(self, name: str) -> dict[str, Any]:
        return dict(self.api.get(f"/entitlements/check/sso?customerId={self.customer(name)}").json())


@pytest.fixture
def team(shop: Any) -> Team:
    return Team(shop)


def test_one_subscription_serves_every_member(team):
    team.join("grace")

    bought = team.buy(team.plan(entitlements={"sso": True}))
    team.join("kim")

    assert bought["organizationId"] == team.id
    for name in ("ada", "grace", "kim"):
        shown = team.access(name)
        assert (shown["hasAccess"], shown["source"]) == (True, "organization"), name
    assert team.api.get(f"/customers/{team.customer('kim')}/state").json()["organization"]["id"] == team.id


def test_who_comes_or_goes_is_announced_with_their_new_access(team):
    team.buy(team.plan(entitlements={"sso": True}))
    before = team.shop.events().count("entitlements.updated")

    team.join("kim")
    assert team.shop.events().count("entitlements.updated") == before + 1

    team.leave("kim")
    assert team.shop.events().count("entitlements.updated") == before + 2
    assert team.access("kim")["hasAccess"] is False
    assert team.access("ada")["hasAccess"] is True


def test_another_name_is_told_of_with_each_members_state(team, monkeypatch):
    team.buy(team.plan(entitlements={"sso": True}))
    team.join("kim")
    monkeypatch.setattr(copies, "AT_ONCE", 1)

    team.api.patch(team.path, {"name": "Another"})
    run_jobs()

    for name in ("ada", "kim"):
        state = team.api.get(f"/customers/{team.customer(name)}/state").json()
        told = [e["data"] for e in team.api.get("/events?type=entitlements.updated&limit=100").json()["data"]]
        copy = next(copy for copy in told if copy["customer"]["id"] == team.customer(name))
        assert (copy, copy["organization"]["name"]) == (state, "Another")


def test_a_plans_seats_are_the_limit(team):
    team.buy(team.plan(seats=2))
    team.join("grace")

    refused = team.api.post(f"{team.path}/members", {"customerId": team.customer("kim")})

    assert (refused.status_code, refused.json()["code"]) == (409, "USAGE_LIMIT_EXCEEDED")
    assert refused.json()["seats"]["limit"] == 2


def test_bought_units_of_a_flat_plan_each_hold_its_seats(team):
    team.buy(team.plan(seats=2), quantity=3)

    assert team.api.get(team.path).json()["seats"]["limit"] == 6


def test_the_quantity_at_stripe_follows_who_joins_and_who_leaves(team):
    bought = team.buy(team.seat_plan())
    assert team.quantity(bought) == 1

    team.join("grace", "kim")
    assert team.api.get(team.path).json()["seats"]["limit"] is None
    run_jobs()
    assert team.quantity(bought) == team.ours(bought).quantity == 3

    team.leave("grace")
    run_jobs()
    assert team.quantity(bought) == team.ours(bought).quantity == 2
    shown = team.api.get(f"/entitlements?customerId={team.ada}").json()
    assert shown["entitlements"]["seats"] == 2


def test_stripe_is_told_the_last_count_once_however_often_a_job_runs(team):
    bought = team.buy(team.seat_plan())
    team.join("grace", "kim", "lin")

    run_jobs()
    run_jobs()

    with reading(team.shop.company.scope):
        rows = StripeIntent.objects.within(team.shop.company.scope).filter(kind="subscription.quantity")
        states = list(rows.values_list("state", flat=True))
        audited = AuditEvent.objects.within(team.shop.company.scope).filter(action="subscription.quantity_requested")
        counted = audited.count()
    assert states == ["done"]
    assert counted == 1
    assert team.quantity(bought) == 4
    assert team.shop.events().count("subscription.updated") == 1


def test_a_lost_answer_is_made_up_for(team):
    bought = team.buy(team.seat_plan())
    team.join("grace")
    team.shop.sandbox.fault("api_cut", path="/v1/subscriptions", account=team.shop.account_id)
    with pytest.raises(StripeUnavailable):
        run_jobs()
    team.shop.sandbox.heal()

    run_jobs()

    assert team.quantity(bought) == team.ours(bought).quantity == 2


def test_a_unit_may_hold_several_seats(team):
    bought = team.buy(team.seat_plan(seats=2))
    team.join("b", "c")

    run_jobs()

    assert team.quantity(bought) == 2


def test_a_checkout_is_for_as_many_as_belong_to_it(team):
    team.join("grace", "kim")

    bought = team.buy(team.seat_plan())

    assert bought["quantity"] == team.quantity(bought) == 3


def test_who_joins_while_it_is_being_bought_is_paid_for_too(team):
    page = team.shop.checkout(planId=team.seat_plan(), organizationId=team.id)
    team.join("grace")
    team.shop.sandbox.pay(page["url"])

    team.shop.deliver()

    bought = team.shop.current().json()
    assert team.quantity(bought) == 2


def test_units_bought_on_purpose_stay_until_somebody_comes_or_goes(team):
    bought = team.buy(team.seat_plan(), quantity=5)
    run_jobs()
    assert team.quantity(bought) == 5

    team.join("grace")
    run_jobs()
    assert team.quantity(bought) == 2


def test_the_quantity_of_a_flat_plan_follows_nobody(team):
    bought = team.buy(team.plan(seats=9))

    team.join("grace", "kim")

    assert "billing.follow_seats" not in run_jobs()
    assert team.quantity(bought) == 1


def test_a_customers_own_subscription_follows_no_organization(team):
    team.shop.subscribe(planId=team.seat_plan())

    team.join("grace")

    assert "billing.follow_seats" not in run_jobs()


def test_two_members_cannot_buy_for_it_twice(team):
    team.join("grace")
    first = team.shop.checkout(planId=team.plan(), organizationId=team.id)

    second = team.shop.checkout("grace@example.com", planId=team.seat_plan(), organizationId=team.id)

    shown = team.shop.sandbox.get(f"/v1/checkout/sessions/{first['id']}", team.shop.account_id)
    assert shown["status"] == "expired"
    assert second["id"] != first["id"]


def test_only_members_buy_for_it_and_a_deleted_one_buys_nothing(team):
    order = team.shop.order("kim@example.com", planId=team.plan(), organizationId=team.id)
    assert team.api.post("/checkout/session", order).status_code == 404

    team.join("kim")
    team.api.delete(team.path)
    assert team.api.post("/checkout/session", order).status_code == 404


def test_deleting_it_cancels_at_stripe_and_takes_its_access_from_all(team):
    team.join("grace")
    bought = team.buy(team.plan(entitlements={"sso": True}))

    assert team.api.delete(team.path).status_code == 202

    assert [team.access(name)["hasAccess"] for name in ("ada", "grace")] == [False, False]
    run_jobs()
    assert team.at_stripe(bought)["status"] == "canceled"
    assert team.ours(bought).status == "canceled"
    assert "subscription.canceled" in team.shop.events()


def test_deleting_it_closes_the_page_on_which_it_could_still_be_bought_for(team):
    page = team.shop.checkout(planId=team.plan(), organizationId=team.id)

    team.api.delete(team.path)
    run_jobs()

    shown = team.shop.sandbox.get(f"/v1/checkout/sessions/{page['id']}", team.shop.account_id)
    assert shown["status"] == "expired"


def test_it_goes_on_when_the_member_who_bought_it_leaves(team):
    team.join("grace")
    bought = team.buy(team.seat_plan())
    team.api.post(f"{team.path}/transfer-ownership", {"customerId": team.customer("grace")})

    team.leave("ada")
    run_jobs()

    assert team.access("grace")["hasAccess"] is True
    assert team.access("ada")["hasAccess"] is False
    assert team.quantity(bought) == 1


def test_it_goes_on_when_the_member_who_bought_it_is_erased(team):
    team.join("grace")
    bought = team.buy(team.seat_plan())

    assert team.api.delete(f"/customers/{team.ada}").status_code == 202
    run_jobs()

    assert team.access("grace")["hasAccess"] is True
    assert team.quantity(bought) == 1
    assert team.at_stripe(bought)["status"] == "active"
    roles = [row["role"] for row in team.api.get(f"{team.path}/members").json()["data"]]
    assert roles == ["owner"]


def test_what_an_erased_member_bought_goes_over_to_an_owner_whom_events_tell_of(team):
    team.join("grace")
    bought = team.buy(team.plan())
    grace = team.customer("grace")
    team.api.delete(f"/customers/{team.ada}")
    run_jobs()

    shown = team.api.get(f"/subscriptions/{bought['id']}").json()
    team.api.post(f"/subscriptions/{bought['id']}/cancel", {"immediately": True})

    assert (shown["customerId"], shown["organizationId"]) == (grace, team.id)
    event = next(e for e in team.api.get("/events").json()["data"] if e["type"] == "subscription.canceled")
    told = team.api.get(f"/events/{event['id']}").json()["data"]
    assert told["customer"]["email"] == "grace@example.com"


def test_its_last_member_takes_it_along(team):
    bought = team.buy(team.seat_plan())

    team.api.delete(f"/customers/{team.ada}")
    run_jobs()

    assert team.at_stripe(bought)["status"] == "canceled"
    assert team.api.get(team.path).status_code == 404


def test_an_export_holds_what_it_pays(team):
    bought = team.buy(team.plan())

    records = team.api.get(f"{team.path}/export").json()["records"]

    assert [row["id"] for row in records["subscriptions"]] == [bought["id"]]
    assert [row["amountPaidCents"] for row in records["invoices"]] == [4900]


def test_a_rivals_organization_cannot_be_bought_for(team, globex_api: Api):
    theirs = globex_api.post("/organizations", {"name": "Theirs"}).json()["id"]

    order = team.shop.order(planId=team.plan(), organizationId=theirs)

    assert team.api.post("/checkout/session", order).status_code == 404


BACK = "https://shop.example/account"


def portal(team, name, **more):
    body = {"customerId": team.customer(name), "organizationId": team.id, "returnUrl": BACK, **more}
    return team.api.post("/portal/session", body)


def test_whoever_runs_it_opens_the_page_of_what_it_pays(team):
    team.join("grace", "eve")
    team.api.patch(f"{team.path}/members/{team.customer('grace')}", {"role": "admin"})
    assert portal(team, "ada").status_code == 409
    team.buy(team.plan())

    for name in ("ada", "grace"):
        assert portal(team, name).status_code == 200
    member, stranger = portal(team, "eve"), portal(team, "mallory")
    alone = team.api.post("/portal/session", {"customerId": team.customer("grace"), "returnUrl": BACK})

    assert (member.status_code, member.json()["code"]) == (403, "FORBIDDEN")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "NOT_FOUND")
    assert alone.status_code == 409


def test_the_page_stays_the_buyers_where_it_would_show_what_they_bought_for_themselves(team):
    team.join("grace")
    team.api.patch(f"{team.path}/members/{team.customer('grace')}", {"role": "admin"})
    plan = team.plan()
    team.buy(plan)
    team.shop.subscribe(planId=plan)

    refused = portal(team, "grace")

    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    assert "of their own" in refused.json()["message"]
    assert portal(team, "ada").status_code == 200


def test_a_free_plan_is_taken_for_it_by_who_runs_it_and_serves_everybody(team, globex_api):
    team.join("grace")
    free = str(team.shop.add_plan("Free", 0, entitlements={"sso": True}))

    def take(api, name, **more):
        return api.post("/subscriptions", {"customerId": team.customer(name), "planId": free, **more})

    member, stranger = take(team.api, "grace", organizationId=team.id), take(team.api, "eve", organizationId=team.id)
    made = take(team.api, "ada", organizationId=team.id)

    assert (member.status_code, member.json()["code"]) == (403, "FORBIDDEN")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "NOT_FOUND")
    assert (made.status_code, made.json()["organizationId"], made.json()["status"]) == (201, team.id, "active")
    assert [team.access(name)["hasAccess"] for name in ("ada", "grace", "eve")] == [True, True, False]
    again = take(team.api, "ada", organizationId=team.id)
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    assert take(team.api, "ada").status_code == 201
    assert take(globex_api, "ada", organizationId=team.id).status_code == 404


def test_a_free_plan_of_its_own_gives_way_to_a_paid_one_and_ends_with_it(team):
    free = str(team.shop.add_plan("Free", 0))
    trial = str(team.shop.add_plan("Trial", 900, trialDays=7, trialRequiresCard=False))
    refused = team.api.post("/subscriptions", {"customerId": team.ada, "planId": trial, "organizationId": team.id})
    taken = team.api.post("/subscriptions", {"customerId": team.ada, "planId": free, "organizationId": team.id}).json()

    team.buy(team.plan())

    assert refused.status_code == 400
    assert team.ours(taken).status == "canceled"
    team.api.delete(team.path)
    run_jobs(tolerate=True)
    assert team.api.get(f"/subscriptions/{taken['id']}").json()["status"] == "canceled"
