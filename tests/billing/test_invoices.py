"""GET /v1/invoices, and what the app is told of payments."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection

from billing.errors import UnknownStripeReference
from stackbe.kernel.transactions import reading
from tests.billing.conftest import FIRST_FETCH
from tests.cast import Api
from webhooks.models import Event

HOUR = timedelta(hours=1)


@pytest.fixture
def billed(make_plan, stripe):
    """Ada's subscription, and a way to say what became of its invoice."""
    stripe.subscribe(make_plan())
    return stripe


def test_a_reference_is_kept_and_listed(billed, acme_api, customer):
    billed.invoice(amount_paid_cents=0)

    (shown,) = acme_api.get(f"/invoices?customerId={customer['id']}").json()["data"]
    assert shown["id"].startswith("inv_")
    assert (shown["number"], shown["status"], shown["currency"]) == ("A-1", "open", "usd")
    assert (shown["amountDueCents"], shown["amountPaidCents"], shown["amountRefundedCents"]) == (2900, 0, 0)
    assert shown["hostedInvoiceUrl"] == "https://invoice.stripe.com/i/1"
    assert shown["disputed"] is False


def test_each_fact_is_announced_once(billed, events):
    billed.invoice()
    billed.invoice()
    billed.invoice(attempt_count=1, payment_failed=True, fetched_at=FIRST_FETCH + HOUR)
    billed.invoice(attempt_count=1, payment_failed=True, fetched_at=FIRST_FETCH + HOUR)
    billed.invoice(attempt_count=2, payment_failed=True, fetched_at=FIRST_FETCH + 2 * HOUR)
    billed.invoice(attempt_count=2, action_required=True, fetched_at=FIRST_FETCH + 3 * HOUR)
    billed.invoice(attempt_count=3, status="paid", amount_paid_cents=2900, fetched_at=FIRST_FETCH + 4 * HOUR)
    billed.invoice(attempt_count=3, status="paid", amount_paid_cents=2900, fetched_at=FIRST_FETCH + 5 * HOUR)
    billed.invoice(status="paid", amount_refunded_cents=900, fetched_at=FIRST_FETCH + 6 * HOUR)
    billed.invoice(status="paid", amount_refunded_cents=900, disputed=True, fetched_at=FIRST_FETCH + 7 * HOUR)

    assert events("invoice", "payment") == [
        "invoice.created",
        "payment.failed",
        "payment.failed",
        "payment.action_required",
        "payment.succeeded",
        "payment.refunded",
        "payment.disputed",
    ]


def test_an_older_look_changes_nothing(billed, events):
    billed.invoice(status="paid", amount_paid_cents=2900, fetched_at=FIRST_FETCH + HOUR)

    row = billed.invoice(status="open")

    assert row.status == "paid"
    assert events("invoice", "payment") == ["invoice.created", "payment.succeeded"]


def test_the_event_says_what_was_paid_by_whom_for_what(billed, acme, customer):
    billed.invoice(status="paid", amount_paid_cents=2900)

    with reading(acme.scope):
        row = Event.objects.within(acme.scope).get(type="payment.succeeded")
        data = json.loads(row.body)["data"]
    assert data["invoice"]["amountPaidCents"] == 2900
    assert data["customer"]["id"] == customer["id"]
    assert data["subscription"]["stripeSubscriptionId"] == "sub_stripe"
    assert data["plan"]["slug"] == "pro"


def test_an_invoice_of_nobody_we_know_is_left_alone(billed):
    with pytest.raises(UnknownStripeReference):
        billed.invoice(stripe_customer_id="cus_theirs", stripe_subscription_id="sub_theirs")


def test_the_invoices_page_does_not_lie_in_the_clear(billed, acme):
    billed.invoice()

    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute("select hosted_invoice_url from billing_invoicereference")
        assert b"stripe.com" not in bytes(cursor.fetchone()[0])


def test_pages_bad_input_and_foreigners(billed, acme_api, globex_api, customer):
    for number in range(3):
        billed.invoice(stripe_invoice_id=f"in_{number}", number=f"A-{number}")

    first = acme_api.get("/invoices?limit=2").json()
    assert [row["number"] for row in first["data"]] == ["A-2", "A-1"]
    rest = acme_api.get(f"/invoices?limit=2&cursor={first['nextCursor']}").json()
    assert [row["number"] for row in rest["data"]] == ["A-0"]
    assert acme_api.get("/invoices?limit=0").status_code == 400
    assert acme_api.get("/invoices?status=paid").status_code == 400
    assert globex_api.get("/invoices").json()["data"] == []
    assert globex_api.get(f"/invoices?customerId={customer['id']}").json()["code"] == "CUSTOMER_NOT_FOUND"


def test_who_may(acme):
    assert Api(None).get("/invoices").status_code == 401
    assert acme.api("subscriptions:read").get("/invoices").status_code == 200
    assert acme.api("plans:read").get("/invoices").status_code == 403
