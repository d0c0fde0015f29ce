"""Check 5: a rival's credential on every route that takes an id gets the bytes of an id that never was."""

from __future__ import annotations

import json
import re

import pytest

from accounts.services.customers import find_customer
from accounts.services.social_identities import connect
from accounts.services.social_protocol import Person
from billing.models import Coupon, PlanMigration
from stackbe.kernel.ids import decode, encode, new_id
from stackbe.kernel.scope import Credential
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from stackbe.urls import ROUTES
from tests.cast import Api

PREFIX_OF = {
    "app_id": "app",
    "coupon_id": "coup",
    "customer_id": "cust",
    "delivery_id": "del",
    "endpoint_id": "we",
    "erasure_id": "era",
    "event_id": "evt",
    "identity_id": "iden",
    "invite_id": "oinv",
    "key_id": "key",
    "metric_id": "met",
    "organization_id": "org",
    "passkey_id": "pk",
    "migration_id": "mig",
    "plan_id": "plan",
    "product_id": "prod",
    "reservation_id": "rsv",
    "session_id": "sess",
    "subscription_id": "sub",
}
# Named by a key of the app's own choosing, which a rival may have too: their own answer, never Acme's.
BY_NAME = {"feature", "feature_key", "provider"}
PLACEHOLDER = re.compile(r"<str:(\w+)>")
BODIES = {
    "subscription": {"quantity": 2},
    "customer-credits": {"metric": "api_calls", "quantity": 1, "reason": "I would like it"},
    "usage-reservation-confirm": {"quantity": 1},
    "subscription-cancel": {},
    "customer": {"name": "Mallory"},
    "product": {"name": "Mallory"},
    "plan": {"name": "Mallory"},
    "metric": {"unit": "m"},
    "app": {"name": "Mallory"},
    "webhook-endpoint": {"description": "m"},
    "webhook-endpoint-replay": {"since": "2026-01-01T00:00:00Z"},
    "entitlement-override": {"value": True, "reason": "I would like it"},
    "subscription-override": {"value": True, "reason": "I would like it"},
    "app-api-keys": {"name": "m"},
    "auth-magic-link": {"email": "mallory@example.com"},
    "auth-introspect": {"token": "x"},
    "auth-provider": {"clientId": "m", "clientSecret": "m", "issuer": "https://mallory.example"},
    "customer-security-session": {"returnUrl": "http://localhost:3000"},
    "organization": {"name": "Mallory"},
    "organization-members": {"customerId": encode("cust", new_id())},
    "organization-member": {"role": "admin"},
    "organization-transfer-ownership": {"customerId": encode("cust", new_id())},
    "organization-invites": {"email": "mallory@example.com"},
}
CALLS = [
    (row, method)
    for row in ROUTES
    for method, access in row.methods.items()
    if PLACEHOLDER.search(row.url) and Credential.KEY in access.credentials
]


@pytest.fixture
def specimens(acme, acme_api):
    """Return one of Acme's ids for every placeholder that a URL has."""
    metric = acme_api.post("/metrics", {"name": "api_calls"}).json()
    acme_api.post("/features", {"key": "sso", "name": "SSO", "type": "boolean"})
    product = acme_api.post("/products", {"name": "Orbit"}).json()
    plan = acme_api.post(
        "/plans",
        {
            "name": "Free",
            "productId": product["id"],
            "priceCents": 0,
            "currency": "usd",
            "interval": "month",
            "entitlements": {"sso": True},
        },
    ).json()
    customer = acme_api.post("/customers", {"email": "grace@example.com", "name": "Grace"}).json()
    subscription = acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": plan["id"]}).json()
    held = acme_api.post(
        "/usage/reservations", {"customerId": customer["id"], "metric": "api_calls", "quantity": 1}
    ).json()
    session = acme_api.post(f"/customers/{customer['id']}/sessions").json()
    endpoint = acme_api.post("/webhook-endpoints", {"url": "http://127.0.0.1:8099/hooks", "events": ["*"]}).json()
    delivery = acme_api.post(f"/webhook-endpoints/{endpoint['id']}/test").json()
    event = acme_api.get("/events").json()["data"][0]
    organization = acme_api.post("/organizations", {"name": "Engines", "customerId": customer["id"]}).json()
    invite = acme_api.post(f"/organizations/{organization['id']}/invites", {"email": "kim@example.com"}).json()
    key = acme_api.get(f"/apps/{acme.app}/api-keys").json()["data"][0]
    sid = acme_api.get(f"/customers/{customer['id']}/sessions").json()["data"][0]["id"]
    client = {"clientId": "acme", "clientSecret": "acme-at-google"}
    assert (
        acme_api.put(f"/apps/{acme.app}/auth/providers/sso", client | {"issuer": "https://a.example"}).status_code
        == 201
    )
    identity = connected(acme, customer["id"])
    gone = acme_api.post("/customers", {"email": "gone@example.com"}).json()
    acme_api.delete(f"/customers/{gone['id']}")
    erasure = acme_api.get("/erasures").json()["data"][0]
    assert session["sessionToken"]
    assert all("id" in row for row in (subscription, endpoint, metric)), (subscription, endpoint, metric)
    return {
        "app_id": acme.app,
        "coupon_id": coupon_of(acme),
        "customer_id": customer["id"],
        "delivery_id": delivery["id"],
        "endpoint_id": endpoint["id"],
        "erasure_id": erasure["id"],
        "event_id": event["id"],
        "identity_id": identity,
        "invite_id": invite["id"],
        "key_id": key["id"],
        "metric_id": metric["id"],
        "migration_id": migration_of(acme, plan["id"]),
        "organization_id": organization["id"],
        "plan_id": plan["id"],
        "product_id": product["id"],
        "reservation_id": held["id"],
        "session_id": sid,
        "subscription_id": subscription["id"],
    }


def connected(company, customer_id: str) -> str:
    """Connect an account elsewhere to a customer, and return its id."""
    with change(company.scope):
        customer = find_customer(company.scope, public_id=customer_id)
        return connect(company.scope, customer, "sso", Person("https://a.example", "ada", None, None)).public_id


def coupon_of(company) -> str:
    """Return the id of a coupon, as if Stripe had made it."""
    with change(company.scope):
        row = Coupon(**owned_by(company.scope), code="HALF", percent_off=50, stripe_promotion_id="promo_1")
        row.save(force_insert=True)
        return row.public_id


def migration_of(company, plan_id: str) -> str:
    """Return the id of a run that took a plan's subscribers to its newest version."""
    with change(company.scope):
        row = PlanMigration(**owned_by(company.scope), plan_id=decode("plan", plan_id), to_version=2, state="done")
        row.save(force_insert=True)
        return row.public_id


def filled(url: str, ids: dict[str, str]) -> str:
    return "/" + PLACEHOLDER.sub(lambda found: ids.get(found[1], "sso"), url)


def body_of(row, method: str) -> dict | None:
    """Return what is sent with a call: nothing where nothing reads it."""
    return BODIES.get(row.name, {}) if method in {"POST", "PUT", "PATCH"} else None


def seen(response) -> tuple[int, dict]:
    """Return what a stranger can tell answers apart by, less the request's own id."""
    body = json.loads(response.content) if response.content else {}
    body.pop("requestId", None)
    return response.status_code, body


def test_every_placeholder_of_a_url_has_a_specimen():
    assert {name for row, _ in CALLS for name in PLACEHOLDER.findall(row.url)} <= set(PREFIX_OF) | BY_NAME


def test_a_rival_gets_what_an_id_that_never_was_gets(specimens, globex_api):
    never = {name: encode(prefix, new_id()) for name, prefix in PREFIX_OF.items()}
    told = {}
    for row, method in CALLS:
        body = body_of(row, method)
        query = f"?customerId={specimens['customer_id']}" if row.name == "entitlement-check" else ""
        unknown = f"?customerId={never['customer_id']}" if row.name == "entitlement-check" else ""

        foreign = globex_api.request(method, filled(row.url, specimens) + query, body)
        nobody = globex_api.request(method, filled(row.url, never) + unknown, body)

        if foreign.status_code != 404 or seen(foreign) != seen(nobody):
            told[f"{method} {row.url}"] = (foreign.content, nobody.content)
    assert told == {}


def test_nothing_of_acmes_changed_under_all_of_it(specimens, acme_api, globex_api):
    before = {name: acme_api.get(path).content for name, path in paths(specimens).items()}

    for row, method in CALLS:
        globex_api.request(method, filled(row.url, specimens), body_of(row, method))

    after = {name: acme_api.get(path).content for name, path in paths(specimens).items()}
    assert before == after


def paths(ids: dict[str, str]) -> dict[str, str]:
    return {
        "app": f"/apps/{ids['app_id']}",
        "customer": f"/customers/{ids['customer_id']}",
        "product": f"/products/{ids['product_id']}",
        "plan": f"/plans/{ids['plan_id']}",
        "metric": f"/metrics/{ids['metric_id']}",
        "subscription": f"/subscriptions/{ids['subscription_id']}",
        "usage": f"/usage?customerId={ids['customer_id']}",
        "credits": f"/customers/{ids['customer_id']}/credits",
        "endpoint": f"/webhook-endpoints/{ids['endpoint_id']}",
        "deliveries": f"/webhook-endpoints/{ids['endpoint_id']}/deliveries",
        "sessions": f"/customers/{ids['customer_id']}/sessions",
        "organization": f"/organizations/{ids['organization_id']}",
        "members": f"/organizations/{ids['organization_id']}/members",
        "invites": f"/organizations/{ids['organization_id']}/invites",
        "providers": f"/apps/{ids['app_id']}/auth/providers",
        "identities": f"/customers/{ids['customer_id']}/identities",
    }


LISTS = (
    "/customers",
    "/products",
    "/plans",
    "/features",
    "/metrics",
    "/coupons",
    "/subscriptions",
    "/invoices",
    "/events",
    "/webhook-endpoints",
    "/organizations",
)


def test_a_rivals_lists_hold_nothing_of_acmes(specimens, globex_api):
    for path in LISTS:
        body = globex_api.get(path).json()

        assert body["data"] == [], path
        assert not any(value in json.dumps(body) for value in specimens.values()), path


BODY_ROUTES = [
    ("/usage/track", lambda ids: {"customerId": ids["customer_id"], "metric": "api_calls"}),
    (
        "/usage/reservations",
        lambda ids: {"customerId": ids["customer_id"], "metric": "api_calls", "quantity": 1},
    ),
    ("/entitlements/check", lambda ids: {"customerId": ids["customer_id"], "features": ["sso"]}),
    ("/subscriptions/preview", lambda ids: {"subscriptionId": ids["subscription_id"], "quantity": 2}),
    ("/subscriptions", lambda ids: {"customerId": ids["customer_id"], "planId": ids["plan_id"]}),
    (
        "/checkout/session",
        lambda ids: {
            "customerId": ids["customer_id"],
            "planId": ids["plan_id"],
            "successUrl": "http://localhost:3000/a",
            "cancelUrl": "http://localhost:3000/b",
        },
    ),
]


def test_ids_in_a_body_are_walled_too(specimens, globex_api):
    never = {name: encode(prefix, new_id()) for name, prefix in PREFIX_OF.items()}
    globex_api.post("/metrics", {"name": "api_calls"})

    for path, body in BODY_ROUTES:
        foreign = globex_api.post(path, body(specimens))
        nobody = globex_api.post(path, body(never))

        assert foreign.status_code in {400, 404}, (path, foreign.content)
        assert seen(foreign) == seen(nobody), path


def test_no_credential_and_a_wrong_one_open_nothing(specimens):
    for row, method in CALLS:
        for api in (Api(None), Api("sbk_test_000000000000000000000000000000000000000000AAAA")):
            assert api.request(method, filled(row.url, specimens), {}).status_code in {401, 429}, row.url
