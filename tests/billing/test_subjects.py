"""What billing hands out on a person, and what is left when they are erased."""

from __future__ import annotations

from accounts.erasure import run_erasure
from billing.models import (
    Access,
    EntitlementOverride,
    InvoiceReference,
    StripeCustomer,
    Subscription,
)
from billing.services.access import refresh_access
from stackbe.kernel.ids import decode
from stackbe.kernel.subjects import erase_subject, export_subject
from stackbe.kernel.transactions import change, reading
from tests.billing.conftest import NOW


def test_an_export_holds_everything(make_plan, stripe, acme, acme_api, customer):
    stripe.subscribe(make_plan())
    stripe.invoice()
    path = f"/customers/{customer['id']}/entitlement-overrides/sso"
    acme_api.put(path, {"value": True, "reason": "a promise to Ada"})

    with reading(acme.scope):
        held = export_subject(acme.scope, stripe.customer_id)

    assert held["subscriptions"][0]["stripeSubscriptionId"] == "sub_stripe"
    assert held["subscriptions"][0]["history"][0]["name"] == "created"
    assert held["invoices"][0]["hostedInvoiceUrl"] == "https://invoice.stripe.com/i/1"
    assert held["entitlements"][0]["reason"] == "a promise to Ada"
    assert held["stripe"]["customers"] == [{"account": "acct_acme", "id": "cus_ada"}]


def test_an_erasure_leaves_what_the_law_keeps_and_no_name(make_plan, stripe, acme, acme_api, customer):
    stripe.subscribe(make_plan())
    stripe.invoice(status="paid", amount_paid_cents=2900)
    path = f"/customers/{customer['id']}/entitlement-overrides/sso"
    acme_api.put(path, {"value": True, "reason": "a promise to Ada"})
    stripe.becomes(status="canceled", ended_at=NOW, cancel_reason="Ada moved away")

    with change(acme.scope):
        erase_subject(acme.scope, stripe.customer_id)

    with reading(acme.scope):
        invoice = InvoiceReference.objects.within(acme.scope).get()
        assert (invoice.number, invoice.amount_paid_cents) == ("A-1", 2900)
        assert invoice.hosted_invoice_url is None
        assert Subscription.objects.within(acme.scope).get().cancel_reason == ""
        for gone in (Access, EntitlementOverride, StripeCustomer):
            assert not gone.objects.within(acme.scope).exists()


def test_erasing_twice_is_harmless(make_plan, stripe, acme):
    stripe.subscribe(make_plan())

    with change(acme.scope):
        erase_subject(acme.scope, stripe.customer_id)
    with change(acme.scope):
        erase_subject(acme.scope, stripe.customer_id)


def test_a_deleted_customers_free_plan_ends_and_nothing_is_worked_out_again(make_plan, acme, acme_api, customer):
    free = make_plan("Free", priceCents=0, entitlements={"projects": 1})
    acme_api.post("/subscriptions", {"customerId": customer["id"], "planId": free["id"]})
    acme_api.delete(f"/customers/{customer['id']}")
    customer_id = decode("cust", customer["id"])

    run_erasure(acme.scope, customer_id)

    with change(acme.scope):
        assert Subscription.objects.within(acme.scope).get().status == "canceled"
        assert refresh_access(acme.scope, customer_id) is None
        assert not Access.objects.within(acme.scope).exists()
