"""Plans in the dashboard: what the form makes, shows, keeps and refuses."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from billing.models import Plan
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.signin.conftest import words


def test_a_plan_is_made_of_a_metric_and_a_feature(desk):
    desk.post("usage", name="api_calls", aggregation="sum", resets="billing_period", unit="calls")
    desk.post("features", key="priority_support", type="boolean")
    desk.post("features", key="calls", type="metered", metric="api_calls")

    response = desk.post(
        "plans/new",
        name="Pro", price="49.90", currency="eur", interval="month", trial_days="14",
        feature_priority_support="on", metric_api_calls="1000", mode_api_calls="hard",
    )  # fmt: skip

    assert "Pro is made" in words(response)
    assert "€49.90" in words(response)
    plan = Api(desk.company.key).get("/plans").json()["data"][0]
    assert plan["priceCents"] == 4990
    assert plan["entitlements"] == {"priority_support": True, "calls": 1000}
    assert plan["usage"] == [{"metric": "api_calls", "included": 1000, "mode": "hard"}]
    assert plan["trialDays"] == 14


def test_a_default_plan_that_costs_is_refused_beside_the_box(desk):
    response = desk.post(
        "plans/new", name="Pro", price="5", currency="usd", interval="month", trial_days="0", is_default="on"
    )

    assert response.status_code == 400
    assert "its price must be 0" in words(response)


def test_what_the_form_has_no_field_for_stays_as_it_is_when_a_plan_is_edited(desk):
    api = Api(desk.company.key)
    for name in ("calls", "seconds"):
        api.post("/metrics", {"name": name})
    api.post("/features", {"key": "projects", "type": "number"})
    overage = {"scheme": "per_unit", "unitAmountCents": 2}
    contents = {
        "usage": [
            {
                "metric": "calls",
                "included": 100,
                "mode": "soft",
                "overage": overage,
                "windows": [{"per": "day", "limit": 9}],
            },
            {"metric": "seconds", "included": None, "mode": "hard"},
        ],
        "entitlements": {"projects": None},
        "prices": [{"currency": "usd", "scheme": "volume", "tiers": [{"upTo": None, "unitAmountCents": 300}]}],
    }
    made = api.post("/plans", {"name": "Pro", **contents}).json()
    shown = words(desk.get(f"plans/{made['id']}"))
    entered = {"metric_calls": "200", "mode_calls": "soft", "mode_seconds": "hard", "trial_days": "7"}

    saved = desk.post(f"plans/{made['id']}", name="Pro+", **entered)

    assert ("Saved" in words(saved), "Its price has tiers" in shown, "without limit" in shown) == (True, True, True)
    assert "In tiers" in words(saved)
    plan = api.get(f"/plans/{made['id']}").json()
    assert plan["usage"] == [{**made["usage"][0], "included": 200}, made["usage"][1]]
    assert (plan["name"], plan["trialDays"], plan["prices"], plan["entitlements"]["projects"]) == (
        "Pro+", 7, made["prices"], None,
    )  # fmt: skip
    desk.post(f"plans/{made['id']}", name="Pro+", **{**entered, "mode_calls": "hard"})
    assert "overage" not in api.get(f"/plans/{made['id']}").json()["usage"][0]


class Shown(HTMLParser):
    """What a browser would send of a page's forms if nobody touched them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.select = {}, ""
        self.feed(page.content.decode())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "select":
            self.select = found["name"]
        elif tag == "option":
            if "selected" in found or self.select not in self.fields:
                self.fields[self.select] = found.get("value", "")
        elif tag == "input" and found.get("name") and (found.get("type") != "checkbox" or "checked" in found):
            self.fields[found["name"]] = found.get("value", "on")


@pytest.mark.parametrize(
    ("currency", "cents", "shown"), [("mxn", 10000, "100.00"), ("krw", 5000, "5000"), ("kwd", 12500, "12.500")]
)
def test_a_plan_that_is_saved_untouched_stays_as_it_was(desk, currency, cents, shown):
    api = Api(desk.company.key)
    api.post("/metrics", {"name": "calls"})
    for feature in ({"key": "calls", "type": "metered", "metric": "calls"}, {"key": "tags", "type": "list"},
                    {"key": "sso", "type": "boolean"}, {"key": "later", "type": "metered"}):  # fmt: skip
        api.post("/features", feature)
    prices = [
        {"currency": currency, "interval": "month", "intervalCount": 3, "unitAmountCents": cents},
        {"currency": "eur", "interval": "year", "unitAmountCents": 900},
    ]
    entitlements = {"calls": 500, "later": 7, "tags": ["a, b", "c"], "sso": False}
    made = api.post("/plans", {"name": "Pro", "prices": prices, "entitlements": entitlements}).json()

    page = desk.get(f"plans/{made['id']}")
    saved = desk.post(f"plans/{made['id']}", **Shown(page).fields)

    assert (Shown(page).fields["price"], Shown(page).fields["metric_calls"]) == (shown, "500")
    assert ("every 3 months" in words(page), "1 more price" in words(page), "Saved" in words(saved)) == (True,) * 3
    assert "every 3 months, and 1 more price" in words(saved)
    plan = api.get(f"/plans/{made['id']}").json()
    assert plan.pop("usage") == [{"metric": "calls", "included": 500, "mode": "hard"}]
    assert plan == {name: value for name, value in made.items() if name != "usage"}


def test_another_rhythm_is_the_one_that_the_form_says(desk):
    api = Api(desk.company.key)
    price = {"currency": "usd", "interval": "month", "intervalCount": 3, "unitAmountCents": 900}
    made = api.post("/plans", {"name": "Pro", "prices": [price]}).json()
    fields = Shown(desk.get(f"plans/{made['id']}")).fields

    desk.post(f"plans/{made['id']}", **fields | {"interval": "year"})

    plan = api.get(f"/plans/{made['id']}").json()
    assert (plan["interval"], plan["intervalCount"]) == ("year", 1)


def test_an_amount_without_a_coin_is_refused_beside_its_field(desk):
    response = desk.post("plans/new", name="Pro", price="29.99", currency="jpy", interval="month", trial_days="0")

    assert response.status_code == 400
    assert "JPY is whole" in words(response)


def test_a_plan_is_edited_and_archived(desk):
    desk.post("plans/new", name="Pro", price="49", currency="usd", interval="month", trial_days="0")
    with reading(desk.company.scope):
        plan = Plan.objects.within(desk.company.scope).get().public_id

    shown = desk.get(f"plans/{plan}").content.decode()
    desk.post(f"plans/{plan}", name="Team", price="59", currency="usd", interval="year", trial_days="0")
    archived = desk.post(f"plans/{plan}/archive")

    assert 'value="49' in shown
    changed = Api(desk.company.key).get(f"/plans/{plan}").json()
    assert (changed["name"], changed["priceCents"], changed["interval"]) == ("Team", 5900, "year")
    assert "Archived" in words(archived)
    assert changed["active"] is False
