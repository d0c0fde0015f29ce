"""Usage in the dashboard: on a customer's page, and of all customers."""

from __future__ import annotations

import pytest

from tests.usage.stage import allow, make_subscriber


@pytest.fixture
def ada(acme, acme_api):
    """Return a customer who used some, has credits and a hold."""
    made = make_subscriber(acme)
    allow(made, included=10, mode="hard", windows=[{"per": "day", "limit": 50}])
    acme_api.post(f"/customers/{made.id}/credits", {"metric": "api_calls", "quantity": 5, "reason": "Tuesday"})
    acme_api.post("/usage/track", made.event(quantity=12))
    acme_api.post("/usage/reservations", made.event(quantity=2))
    return made


def test_a_customers_page_shows_counts_credits_holds_and_a_chart(desk, ada):
    html = desk.get(f"customers/{ada.id}").content.decode()

    assert "12 of 15, 2 held" in html
    assert "12 of 50" in html
    assert "Tuesday" in html
    assert "rsv_" in html
    assert "api_calls a day, the last 30 days" in html


def test_credits_are_granted_on_the_page(desk, acme_api, ada):
    fields = {"metric": "api_calls", "quantity": "7", "reason": "Sorry", "priority": "10", "expires_at": "2099-01-31"}

    said = desk.post(f"customers/{ada.id}/credits", **fields).content.decode()

    assert "7 api_calls granted." in said
    newest = acme_api.get(f"/customers/{ada.id}/credits").json()["ledger"][0]
    assert (newest["quantity"], newest["priority"], newest["expiresAt"]) == (7, 10, "2099-01-31T00:00:00.000Z")
    assert newest["grantedBy"].startswith("mem_")


@pytest.mark.parametrize(
    ("field", "value"), [("quantity", "0"), ("metric", "nope"), ("reason", ""), ("expires_at", "2001-01-01")]
)
def test_a_bad_grant_says_why_and_grants_nothing(desk, acme_api, ada, field, value):
    fields = {"metric": "api_calls", "quantity": "7", "reason": "Sorry", "priority": "50"} | {field: value}

    response = desk.post(f"customers/{ada.id}/credits", **fields)

    assert response.status_code < 500
    assert len(acme_api.get(f"/customers/{ada.id}/credits").json()["ledger"]) == 1


def test_a_viewer_sees_and_does_not_grant(desk_of, acme_api, ada):
    viewer = desk_of("viewer")

    html = viewer.get(f"customers/{ada.id}").content.decode()
    refused = viewer.post(f"customers/{ada.id}/credits", metric="api_calls", quantity="7", reason="x", priority="1")

    assert "Tuesday" in html
    assert "Grant credits" not in html
    assert refused.status_code == 403
    assert len(acme_api.get(f"/customers/{ada.id}/credits").json()["ledger"]) == 1


def test_the_usage_page_has_a_chart_of_all_customers(desk, ada):
    html = desk.get("usage?metric=api_calls").content.decode()

    assert "api_calls a day, the last 30 days" in html
    assert '<td class="is-number">12</td>' in html
