"""GET /v1/customers/:id/export."""

from __future__ import annotations

from datetime import timedelta

from accounts.models import Customer, CustomerSession
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.subjects import registered_models
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from tests.refusals import assert_hidden, assert_needs_credential, assert_needs_scope, never


def test_everything_held_is_one_document(acme, acme_api, joe):
    with change(acme.scope):
        CustomerSession.unscoped.create(
            **owned_by(acme.scope),
            customer=Customer.objects.within(acme.scope).get(),
            expires_at=wall_clock() + timedelta(hours=1),
            user_agent_family="Firefox",
        )

    response = acme_api.get(f"/customers/{joe['id']}/export")

    assert response.status_code == 200
    told = response.json()
    assert told["customerId"] == joe["id"]
    assert told["records"]["customer"] == joe | {"deletedAt": None}
    assert told["records"]["sessions"][0]["userAgentFamily"] == "Firefox"
    assert told["records"]["webhooks"][0]["type"] == "customer.created"


def test_no_other_persons_data_is_in_it(acme_api, joe):
    acme_api.post("/customers", {"email": "ann@shop.example"})

    assert "ann@" not in acme_api.get(f"/customers/{joe['id']}/export").content.decode()


def test_who_exported_is_audited(acme_api, joe, audited):
    acme_api.get(f"/customers/{joe['id']}/export")

    assert audited()[-1] == "customer.exported"


def test_this_apps_sealed_models_are_all_accounted_for():
    held = registered_models()

    assert {
        "accounts.Customer", "accounts.User", "accounts.Organization", "accounts.MagicLink",
        "accounts.DeveloperLink", "accounts.SigningKey",
    } <= held  # fmt: skip


def test_it_needs_a_credential_and_customers_read(acme, joe):
    path = f"/customers/{joe['id']}/export"

    assert_needs_credential("GET", path)
    assert_needs_scope(acme.api("customers:write"), "customers:read", "GET", path)


def test_a_rivals_customer_is_hidden(globex_api, joe):
    hidden, absent = f"/customers/{joe['id']}/export", f"/customers/{never('cust')}/export"

    assert_hidden(globex_api, "GET", hidden, absent)
