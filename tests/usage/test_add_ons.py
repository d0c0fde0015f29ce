"""What an add-on includes counts on top of what the plan does."""

from __future__ import annotations

from tests.usage.stage import make_customer


def plan(slug, included, **more):
    usage = [{"metric": "calls", "included": included, "mode": "hard"}]
    return {"slug": slug, "name": slug, "priceCents": 0, "currency": "usd", "usage": usage, **more}


def test_an_add_on_raises_the_limit_of_counting(acme, acme_api):
    ada = make_customer(acme)
    document = {
        "metrics": [{"name": "calls", "aggregation": "sum", "resets": "month"}],
        "plans": [plan("pack", 5), plan("pro", 10, addOns=["pack"])],
    }
    assert acme_api.put("/catalogue", document).status_code == 200
    ids = {row["slug"]: row["id"] for row in acme_api.get("/plans").json()["data"]}
    for slug in ("pro", "pack"):
        body = {"customerId": ada.id, "planId": ids[slug]}
        assert acme_api.post("/subscriptions", body).status_code == 201

    counted = acme_api.post("/usage/track", ada.event("calls", quantity=15)).json()

    assert (counted["limit"], counted["remaining"]) == (15, 0)
    assert acme_api.post("/usage/track", ada.event("calls")).status_code == 409
    shown = acme_api.get(f"/entitlements/check/calls?customerId={ada.id}").json()
    assert (shown["value"], shown["source"]) == (15, "addon")
