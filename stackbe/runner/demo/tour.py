"""The routes that the acts do not need: each asked once, each answer looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackbe.runner.demo.client import Api, Story


def take_tour(story: Story, api: Api, known: dict[str, Any]) -> None:
    """Ask the rest of the API with the app's key."""
    app, customer = known["app"], known["customer"]
    listed = api.get("/apps")["data"]
    story.expect([found["id"] for found in listed] == [app], "an app's key sees its own app")
    renamed = api.call("PATCH", f"/apps/{app}", {"name": "Orbit", "settings": {"gracePeriodDays": 7}})
    story.expect(renamed["settings"] == api.get(f"/apps/{app}")["settings"], "an app's settings")
    customers(story, api, customer, known["person"])
    catalogue(story, api, known["plan"])
    subscription = api.get(f"/subscriptions/{known['subscription']}")
    story.expect(subscription["customerId"] == customer, "a subscription by its id")
    whole = api.get(f"/entitlements?customerId={customer}")
    story.expect(whole["planName"] == "Pro" and whole["entitlements"]["sso"], "all entitlements at once")
    endpoints(story, api, known["endpoint"])
    keys(story, api, app)
    document = api.get("/openapi.json")
    story.expect(document["openapi"].startswith("3.1"), "the API describes itself")


def customers(story: Story, api: Api, customer: str, email: str) -> None:
    """Find, change, export and delete customers."""
    found = api.get(f"/customers?email={email}")["data"]
    story.expect([each["id"] for each in found] == [customer], "found by e-mail, which is stored sealed")
    api.post("/customers", {"email": email}, status=409)
    again = api.post("/customers?upsert=true", {"email": email}, status=200)
    story.expect(again["id"] == customer, "upsert answers the one that exists")
    changed = api.call("PATCH", f"/customers/{customer}", {"metadata": {"tier": "gold"}})
    story.expect(changed["metadata"] == api.get(f"/customers/{customer}")["metadata"], "metadata merges")
    story.expect(api.get(f"/customers/{customer}/export"), "everything held on a customer, as one document")
    passing = api.post("/customers", {"email": "passing-" + email}, status=201)
    api.call("DELETE", f"/customers/{passing['id']}", status=202)
    api.get(f"/customers/{passing['id']}", status=404)
    story.say("      ✓ a deleted customer is gone from view at once")


def catalogue(story: Story, api: Api, plan: str) -> None:
    """List and change what is sold."""
    product = api.get("/products")["data"][0]
    api.call("PATCH", f"/products/{product['id']}", {"description": "The whole of it"})
    story.expect(api.get(f"/products/{product['id']}")["description"] == "The whole of it", "products")
    story.expect(plan in [found["id"] for found in api.get("/plans")["data"]], "plans")
    story.expect(api.get(f"/plans/{plan}")["priceCents"] == 2900, "a plan's price in minor units")  # noqa: PLR2004 - the plan's price
    story.expect(len(api.get("/features")["data"]) >= 2, "features")  # noqa: PLR2004 - those made above
    metric = api.get("/metrics")["data"][0]
    story.expect(api.get(f"/metrics/{metric['id']}")["name"] == "api_calls", "metrics")


def endpoints(story: Story, api: Api, endpoint: str) -> None:
    """Change a webhook endpoint, turn its secret, test it."""
    story.expect(api.get("/webhook-endpoints")["data"][0]["id"] == endpoint, "webhook endpoints")
    api.call("PATCH", f"/webhook-endpoints/{endpoint}", {"description": "the demo's door"})
    story.expect(api.get(f"/webhook-endpoints/{endpoint}")["description"] == "the demo's door", "an endpoint changes")
    event = api.get("/events")["data"][0]
    story.expect(api.get(f"/events/{event['id']}")["type"] == event["type"], "an event by its id")


def keys(story: Story, api: Api, app: str) -> None:
    """Issue a narrow key, see it refused, rotate and revoke it."""
    made = api.post(f"/apps/{app}/api-keys", {"name": "Reader", "scopes": ["customers:read"]}, status=201)
    narrow = type(api)(api.base_url, story, made["key"])
    refused = narrow.post("/usage/track", {}, status=403)
    story.expect(refused["code"] == "INSUFFICIENT_SCOPE", "a key does what its scopes say")
    story.expect("usage:write" in refused["message"], "the missing scope is named")
    after = api.post(f"/apps/{app}/api-keys/{made['id']}/rotate", {}, status=201)
    narrow.get("/customers", status=401)
    type(api)(api.base_url, story, after["key"]).get("/customers")
    story.expect(after["key"] != made["key"], "a rotated key works, the old one does not")
    api.call("DELETE", f"/apps/{app}/api-keys/{after['id']}", status=204)
