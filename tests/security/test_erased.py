"""Check 24: canaries go in by every route that takes text; after an erasure none is found, anywhere.

Searched are every row of every table, what the app itself can still decrypt of it, the caught mail, the queue,
the log, and the files of the state folder. A new route, field or form without a canary fails here.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import Customer
from billing.models import InvoiceReference
from stackbe.archive.services import deletion
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.logs import JsonFormatter
from stackbe.kernel.openapi import document
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from stackbe.mail import inbox
from stackbe.runner import state
from stackbe.urls import ROUTES
from tests.cast import LOCAL_CALLBACK, Api
from tests.dashboard.conftest import desk  # noqa: F401  # a fixture of theirs
from tests.queue import run_jobs, worker_rights
from tests.security.test_plaintext import dump, spellings
from tests.signin.people import token_of

# What names something, proves something, or is one of a few words takes no canary: nobody's text fits in.
NO_TEXT = {
    "allowedIps[]", "appId", "couponCode", "currency", "cursor", "customer", "customer?", "customer{}", "customerId",
    "endpointId", "entitlements{}", "events[].customerId", "events[].metric", "events[].timestamp", "expiresAt",
    "features[]", "fromCustomerId", "metric", "organizationId", "planId", "prices[].currency", "productId",
    "refreshToken", "resumesAt", "scopes[]", "settings.brandColor", "subscriptionId", "timestamp", "token", "code",
    "credits[].metric", "usage[].metric", "usage[].overage?", "addOns[]", "factorToken", "settings.logoUrl", "filter{}", "since", "until", "state", "nonce", "redirectUrl",
    "advance", "to", "customers[]", "features[].metric", "plans[].addOns[]", "plans[].currency", "plans[].entitlements{}",
    "plans[].credits[].metric", "plans[].prices[].currency", "plans[].product", "plans[].usage[].metric",
    "taxCode", "products[].taxCode",
}  # fmt: skip
# Operations whose text is only compared or handed to Stripe, which does not answer here; nothing of it is kept.
KEPT_NOWHERE = {
    "postCheckoutSession": "asks Stripe; the page's URLs are deleted with the checkout (tests/billing/test_subjects.py)",
    "postCustomerSecuritySession": "a registered URL, kept for minutes in a visit that goes with the customer",
    "postPortalSession": "asks Stripe and keeps nothing",
    "postAuthVerify": "compares an address and a code",
    "postTenants": "founds another tenant",
    "postAuthIdentities": "names a provider",
}


class Planted:
    """Canaries by operation and field; `people` are those of customers and organizations."""

    def __init__(self) -> None:
        self.fields: dict[str, set[str]] = {}
        self.people: dict[str, str] = {}
        self.tenants: dict[str, str] = {}
        self._number = 0

    def text(self, operation: str, field: str, form: str = "{}", *, person: bool = True) -> str:
        """Return a canary that fits a field."""
        self._number += 1
        canary = f"kanari{self._number:03d}bird"
        (self.people if person else self.tenants)[f"{operation}.{field}"] = canary
        self.fields.setdefault(operation, set()).add(field)
        return form.format(canary)


def text_fields(schema: dict[str, Any], components: dict[str, Any], path: str = "") -> set[str]:
    """Return the dotted names of a schema's fields that take text of the caller's choosing."""
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    found: set[str] = set()
    for key in ("oneOf", "anyOf", "allOf"):
        for part in schema.get(key, []):
            found |= text_fields(part, components, path)
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if schema.get("properties"):
        for name, part in schema["properties"].items():
            found |= text_fields(part, components, f"{path}.{name}".strip("."))
    elif "object" in kinds:
        found.add(f"{path}{{}}")
    elif "array" in kinds:
        found |= text_fields(schema.get("items", {}), components, f"{path}[]")
    elif "string" in kinds and "enum" not in schema:
        found.add(path)
    return found


@pytest.fixture
def planted(acme, acme_api, desk, mailbox, caplog, settings):  # noqa: F811, PLR0915  # one long planting
    """Acme, with a canary in everything that takes one."""
    settings.LOG_REQUESTS = True
    caplog.set_level(logging.DEBUG)
    given, numbers = Planted(), iter(range(1000))
    mail = "{0}@{0}.example"

    def send(method: str, path: str, body: Any, *good: int, api: Api = acme_api) -> Any:
        response = api.request(method, path, body, **{"Idempotency-Key": f"key-{next(numbers)}"})
        assert response.status_code in (good or (200, 201, 202)), (path, body, response.content)
        return response.json() if response.content else None

    def put(operation: str, field: str, form: str = "{}") -> str:
        return given.text(operation, field, form)

    def own(operation: str, field: str, form: str = "{}") -> str:
        return given.text(operation, field, form, person=False)

    # The tenant's own words.
    send("POST", f"/apps/{acme.app}/api-keys", {"name": own("postApiKeys", "name")})
    send("POST", "/api-keys", {"name": own("postTenantApiKeys", "name")}, api=Api(acme.tenant_key))
    send("POST", "/apps", app_body(own, "postApps"), api=Api(acme.tenant_key))
    body = app_body(own, "patchApp")
    body["settings"]["callbackUrls"].append(LOCAL_CALLBACK)
    send("PATCH", f"/apps/{acme.app}", body, api=Api(acme.tenant_key))
    send("POST", "/metrics", {"name": own("postMetrics", "name"), "unit": own("postMetrics", "unit")})
    metric = send("POST", "/metrics", {"name": "calls"})
    send("PATCH", f"/metrics/{metric['id']}", {"unit": own("patchMetric", "unit")})
    send("POST", "/metrics", {"name": "people", "aggregation": "unique"})
    send(
        "POST", "/features", {"key": own("postFeatures", "key"), "name": own("postFeatures", "name"), "type": "boolean"}
    )
    send("POST", "/features", {"key": "sso", "name": "x", "type": "boolean"})
    send("PATCH", "/features/sso", {"name": own("patchFeature", "name")})
    product = send("POST", "/products", described(own, "postProducts"))
    send("PATCH", f"/products/{product['id']}", described(own, "patchProduct"))
    plan = send("POST", "/plans", {"name": own("postPlans", "name"), "slug": own("postPlans", "slug"), "priceCents": 0,
        "currency": "usd", "interval": "month", "isDefault": True, "productId": product["id"],
        "usage": [{"metric": "calls", "included": 9, "mode": "hard"}, {"metric": "people", "included": 9}]})  # fmt: skip
    send("PATCH", f"/plans/{plan['id']}", {"name": own("patchPlan", "name"), "slug": own("patchPlan", "slug")})
    send("PUT", "/catalogue", catalogue(send("GET", "/catalogue", None), own))
    hook = send("POST", "/webhook-endpoints", {"url": own("postWebhookEndpoints", "url", "https://example.com/{}"),
        "description": own("postWebhookEndpoints", "description"), "events": ["*"]})  # fmt: skip
    send("PATCH", f"/webhook-endpoints/{hook['id']}", {"url": own("patchWebhookEndpoint", "url", "https://example.com/{}"),
        "description": own("patchWebhookEndpoint", "description")})  # fmt: skip
    provider = {"clientId": own("putAuthProvider", "clientId"), "clientSecret": own("putAuthProvider", "clientSecret"),
        "issuer": own("putAuthProvider", "issuer", "https://{}.example"), "name": own("putAuthProvider", "name")}  # fmt: skip
    send("PUT", f"/apps/{acme.app}/auth/providers/sso", provider)
    desk.post("members", email=own("dashboard", "InviteForm.email", mail), role="viewer")
    # People.
    ann = send("POST", "/customers", person(put, "postCustomers", mail))
    send("PATCH", f"/customers/{ann['id']}", person(put, "patchCustomer", mail))
    desk.post("customers", email=put("dashboard", "CustomerForm.email", mail), name=put("dashboard", "CustomerForm.name"),
        external_id=put("dashboard", "CustomerForm.external_id"))  # fmt: skip
    columns = [
        put("import", f, form)
        for f, form in (("email", mail), ("billingEmail", mail), ("name", "{}"), ("externalId", "{}"))
    ]
    lines = f"email,billingEmail,name,externalId\n{','.join(columns)}\n"
    desk.client.post(desk.url("customers/files"), {"file": SimpleUploadedFile("people.csv", lines.encode())})
    run_jobs(tolerate=True)
    tried = (
        desk.client.get(desk.url("customers/files")).content.decode().split("customers/files/file_")[1].split('"')[0]
    )
    desk.post(f"customers/files/file_{tried}")
    desk.post("customers/files/export")
    run_jobs(tolerate=True)
    link = {"email": put("postAuthMagicLink", "email", mail), "redirectUrl": LOCAL_CALLBACK}
    given.fields["postAuthMagicLink"].add("redirectUrl")  # one of the app's registered URLs, byte for byte
    send("POST", f"/apps/{acme.app}/auth/magic-link", link)
    send("POST", f"/apps/{acme.app}/auth/verify", {"token": token_of(mailbox.latest(link["email"]))}, api=Api(None))
    send("POST", f"/apps/{acme.app}/auth/magic-link", link)
    waiting = put("postAuthMagicLink", "waiting", mail)
    send("POST", f"/apps/{acme.app}/auth/magic-link", {"email": waiting})
    run_jobs(tolerate=True)
    sub = send("POST", "/subscriptions", {"customerId": ann["id"], "planId": plan["id"]})
    send(
        "PUT",
        f"/customers/{ann['id']}/entitlement-overrides/sso",
        {"value": True, "reason": put("putEntitlementOverride", "reason")},
    )
    given.fields["putEntitlementOverride"].add("value?")
    reason = put("putSubscriptionOverride", "reason")
    send("PUT", f"/subscriptions/{sub['id']}/entitlement-overrides/sso", {"value": True, "reason": reason})
    given.fields["putSubscriptionOverride"].add("value?")
    event = {
        "customerId": ann["id"],
        "metric": "people",
        "value": put("postUsageTrack", "value"),
        "idempotencyKey": put("postUsageTrack", "idempotencyKey"),
    }
    send("POST", "/usage/track", event)
    batch = {"customerId": ann["id"], "metric": "people", "value": put("postUsageTrackBatch", "events[].value"),
             "idempotencyKey": put("postUsageTrackBatch", "events[].idempotencyKey")}  # fmt: skip
    send("POST", "/usage/track/batch", {"events": [batch]})
    key = put("putUsageSync", "idempotencyKey")
    send("PUT", "/usage/sync", {"customerId": ann["id"], "metric": "calls", "value": 3, "idempotencyKey": key})
    reason = put("postCustomerCredits", "reason")
    send("POST", f"/customers/{ann['id']}/credits", {"metric": "calls", "quantity": 5, "reason": reason})
    send("GET", f"/customers?q={put('getCustomers', 'q', mail)}", None)
    send(
        "POST",
        f"/subscriptions/{sub['id']}/cancel",
        {"reason": put("postSubscriptionCancel", "reason"), "immediately": True},
    )
    club = send("POST", "/organizations", organization(put, "postOrganizations") | {"customerId": ann["id"]})
    send("PATCH", f"/organizations/{club['id']}", organization(put, "patchOrganization"))
    asked = put("postOrganizationInvites", "email", mail)
    send("POST", f"/organizations/{club['id']}/invites", {"email": asked, "redirectUrl": LOCAL_CALLBACK})
    given.fields["postOrganizationInvites"].add("redirectUrl")
    ben = send("POST", "/customers", {"email": put("postOrganizationMembers", "member", mail)})
    send("POST", f"/organizations/{club['id']}/members", {"customerId": ben["id"]})
    with change(acme.scope):
        InvoiceReference(
            **owned_by(acme.scope), customer=Customer.objects.within(acme.scope).order_by("id")[0], stripe_account="acct_1",
            stripe_invoice_id="in_1", number="A-1", status="paid", amount_paid_cents=4200, currency="usd",
            hosted_invoice_url=put("stripe", "hosted_invoice_url", "https://pay.example/{}"), facts_at=wall_clock(),
        ).save(force_insert=True)  # fmt: skip
    run_jobs(tolerate=True)
    given.club = club["id"]
    return given


def catalogue(document_, own):
    """Return the catalogue's document with one more row in each section."""

    def name(field: str) -> str:
        return str(own("putCatalogue", field))

    document_["metrics"].append({"name": name("metrics[].name"), "unit": name("metrics[].unit")})
    document_["features"].append({"key": name("features[].key"), "name": name("features[].name"), "type": "boolean"})
    product = {"slug": name("products[].slug"), "name": name("products[].name")}
    product |= {"description": name("products[].description"), "metadata": {"note": name("products[].metadata{}")}}
    document_["products"].append(product)
    document_["plans"].append({"slug": name("plans[].slug"), "name": name("plans[].name"), "product": product["slug"],
        "priceCents": 900, "currency": "usd", "interval": "month"})  # fmt: skip
    return document_


def app_body(own, operation):
    return {
        "name": own(operation, "name"),
        "settings": {
            "allowedOrigins": [own(operation, "settings.allowedOrigins[]", "https://{}.example")],
            "callbackUrls": [own(operation, "settings.callbackUrls[]", "https://{}.example/back")],
            "devCallbackUrl": own(operation, "settings.devCallbackUrl", "http://localhost:3000/{}"),
            "emailFromName": own(operation, "settings.emailFromName"),
            "verificationUrl": own(operation, "settings.verificationUrl", "https://{}.example/verify"),
            "autoCreateCustomer": True,
            "organizationsEnabled": True,
        },
    }


def described(own, operation):
    return {
        "name": own(operation, "name"),
        "description": own(operation, "description"),
        "metadata": {"note": own(operation, "metadata{}")},
    }


def person(put, operation, mail):
    return {
        "email": put(operation, "email", mail),
        "billingEmail": put(operation, "billingEmail", mail),
        "name": put(operation, "name"),
        "externalId": put(operation, "externalId"),
        "metadata": {"note": put(operation, "metadata{}")},
    }


def organization(put, operation):
    return {
        "name": put(operation, "name"),
        "slug": put(operation, "slug"),
        "metadata": {"note": put(operation, "metadata{}")},
    }


def decrypted(company) -> dict[str, str]:
    """Return all that the app itself can still open, table by table."""
    found: dict[str, str] = {}
    for model in apps.get_models():
        names = [f.attname for f in model._meta.get_fields() if isinstance(f, Sealed)]
        if not names:
            continue
        ours = hasattr(model, "unscoped") and any(f.name == "tenant_id" for f in model._meta.get_fields())
        with reading(company.scope if ours else platform_scope("test")):
            rows = model._base_manager.filter(tenant_id=company.tenant_id) if ours else model._base_manager.all()
            opened = [str(getattr(row, name)) for row in rows for name in names]
        found[f"{model._meta.db_table}, decrypted"] = "\n".join(opened)
    return found


def places(company, caplog) -> dict[str, str]:
    """Return every place in which anything is kept, as text."""
    formatter = JsonFormatter()
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    lines = [formatter.format(r) for r in records if not r.name.startswith("django.db")]
    files = [path for path in Path(state.home()).rglob("*") if "postgres" not in str(path)]
    return {
        **dump(),
        **decrypted(company),
        "mail": str(inbox.messages(limit=10_000)),
        "log": "\n".join(lines),
        "files": "\n".join(content_of(path) for path in files if "pg" not in path.parts),
    }


def content_of(path: Path) -> str:
    """Return a small file's content; one that another process has just taken away holds nothing any more."""
    try:
        return path.read_bytes().decode("latin-1") if path.is_file() and path.stat().st_size < 2**22 else ""
    except FileNotFoundError:
        return ""


def hits(canaries, places_):
    found = sorted(
        f"{name} in {place}"
        for name, canary in canaries.items()
        for place, text in places_.items()
        if any(spelling in text.lower() for spelling in spellings(canary))
    )
    return "\n".join(found)


def test_no_field_that_takes_text_is_without_a_canary(planted):
    components = document(ROUTES)
    forgotten = []
    for path in components["paths"].values():
        for operation in path.values():
            name, body = operation["operationId"], operation.get("requestBody")
            if body is None or name in KEPT_NOWHERE:
                continue
            fields = text_fields(body["content"]["application/json"]["schema"], components["components"]["schemas"])
            fields = {f for f in fields if f not in NO_TEXT}
            forgotten += [f"{name}.{field}" for field in sorted(fields - planted.fields.get(name, set()))]

    assert "\n".join(forgotten) == ""


def test_the_search_finds_what_is_there(acme, planted, caplog):
    """A search that finds nothing before an erasure would prove nothing after it."""
    found = hits(planted.people | planted.tenants, places(acme, caplog))

    for place in (
        "postCustomers.name in webhooks_event, decrypted",
        "patchCustomer.metadata{} in accounts_customer, decrypted",
        "patchOrganization.name in accounts_organization, decrypted",
        "postAuthMagicLink.email in mail",
        "postSubscriptionCancel.reason in billing_subscription",
        "patchPlan.name in billing_plan",
        "import.name in accounts_customerfile, decrypted",
        "putEntitlementOverride.reason in billing_entitlementoverride, decrypted",
    ):
        assert place in found.splitlines(), place
    assert " in log" not in found


def test_after_customers_and_organizations_are_erased_nothing_of_them_is_left(acme, acme_api, planted, caplog):
    acme_api.delete(f"/organizations/{planted.club}")
    for customer in acme_api.get("/customers?limit=100").json()["data"]:
        assert acme_api.delete(f"/customers/{customer['id']}").status_code == 202
    run_jobs(tolerate=True)

    # A link to an address that was never followed ends within minutes, with everything of it.
    people = {name: canary for name, canary in planted.people.items() if name != "postAuthMagicLink.waiting"}
    assert hits(people, places(acme, caplog)) == ""
    assert_money_stays(acme)


def test_after_the_account_is_erased_nothing_of_it_is_left(acme, planted, caplog, monkeypatch, desk):  # noqa: F811  # a fixture
    real = timezone.now
    desk.post("account/delete", name="Acme")
    run_jobs(tolerate=True)
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=15))

    with worker_rights():
        deletion.erase_tenant(acme.tenant_id)
    run_jobs(tolerate=True)

    assert hits(planted.people | planted.tenants, places(acme, caplog)) == ""
    assert_money_stays(acme)


def assert_money_stays(company):
    with reading(company.scope):
        invoice = InvoiceReference.objects.within(company.scope).get()
        assert (invoice.number, invoice.amount_paid_cents, invoice.hosted_invoice_url) == ("A-1", 4200, None)
