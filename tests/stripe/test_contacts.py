"""Stripe writes to a customer's billing address, where there is one, and hears of every change."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import StripeCustomer
from billing.stripe.errors import StripeUnavailable
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.queue import queued, run_jobs

ADA = "ada@example.com"


def at_stripe(shop: Any) -> dict[str, Any]:
    """Return the one customer on the account."""
    with reading(shop.company.scope):
        (link,) = StripeCustomer.objects.within(shop.company.scope)
    return dict(shop.sandbox.get(f"/v1/customers/{link.stripe_customer_id}", shop.account_id))


def waiting() -> list[str]:
    return [name for name, _ in queued() if name == "billing.tell_contact"]


def test_a_new_customer_at_stripe_has_the_billing_address(shop):
    shop.api.post("/customers", {"email": ADA, "billingEmail": "books@example.com", "name": "Ada"})

    shop.checkout(ADA)

    assert (at_stripe(shop)["email"], at_stripe(shop)["name"]) == ("books@example.com", "Ada")


@pytest.mark.parametrize(
    ("body", "email", "name"),
    [
        ({"billingEmail": "books@example.com"}, "books@example.com", None),
        ({"email": "ada@example.org"}, "ada@example.org", None),
        ({"name": "Ada L."}, ADA, "Ada L."),
    ],
)
def test_a_change_is_told_to_stripe(shop, body, email, name):
    shop.checkout(ADA)

    shop.api.patch(f"/customers/{shop.customer()}", body)
    run_jobs()

    told = at_stripe(shop)
    assert told["email"] == email
    assert (told["name"] or None) == name


def test_without_a_billing_address_any_more_invoices_go_to_the_one_that_signs_in(shop):
    customer = shop.api.post("/customers", {"email": ADA, "billingEmail": "books@example.com", "name": "Ada"}).json()
    shop.checkout(ADA)

    shop.api.patch(f"/customers/{customer['id']}", {"billingEmail": None, "name": None})
    run_jobs()

    assert at_stripe(shop)["email"] == ADA
    assert not at_stripe(shop)["name"]


def test_nobody_is_told_of_one_whom_stripe_does_not_know_nor_of_what_it_does_not_hold(shop):
    customer = shop.api.post("/customers", {"email": ADA}).json()["id"]
    shop.api.patch(f"/customers/{customer}", {"billingEmail": "books@example.com"})
    assert waiting() == []

    shop.checkout(ADA)
    shop.api.patch(f"/customers/{customer}", {"metadata": {"a": 1}})

    assert waiting() == []


def test_while_stripe_is_down_the_change_waits_and_is_told_later(shop, settings):
    shop.checkout(ADA)
    base = settings.STRIPE_API_BASE
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    shop.api.patch(f"/customers/{shop.customer()}", {"billingEmail": "books@example.com"})

    with pytest.raises(StripeUnavailable):
        run_jobs()
    assert waiting() == ["billing.tell_contact"]
    settings.STRIPE_API_BASE = base
    run_jobs()

    assert at_stripe(shop)["email"] == "books@example.com"


def test_nobody_signs_in_or_is_found_by_a_billing_address(shop):
    shop.api.post("/customers", {"email": ADA, "billingEmail": "books@example.com"})

    assert shop.api.get("/customers?email=books@example.com").json()["data"] == []
    assert shop.api.get("/customers?q=books@example.com").json()["data"] == []
    other = shop.api.post("/customers", {"email": "books@example.com"})
    assert other.status_code == 201


def test_a_billing_address_is_sealed_refused_if_malformed_and_told_in_events(shop):
    made = Api(shop.company.key).post("/customers", {"email": ADA, "billingEmail": "no address"})
    assert made.status_code == 400
    assert "billingEmail" in made.json()["fields"]

    made = shop.api.post("/customers", {"email": ADA, "billingEmail": "books@example.com"}).json()

    assert made["billingEmail"] == "books@example.com"
    assert shop.api.get(f"/customers/{made['id']}/export").json()["records"]["customer"]["billingEmail"]
