"""What the demo tenant sells, to whom, and what they have used: so that no page is empty on a first look."""

from __future__ import annotations

import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from accounts.services.customers import create_customer
from billing.services.access import effective
from billing.services.features import create_feature
from billing.services.plans import create_plan
from billing.services.subscriptions import open_free_subscription
from billing.stripe.checkout import open_checkout
from stackbe.kernel.transactions import change, reading
from usage.services.metrics import create_metric
from usage.services.track import track_usage

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Customer
    from billing.models import Plan
    from stackbe.kernel.scope import Scope
    from stackbe.trust.founding import Founded

log = logging.getLogger("stackbe.seed")
PAGE_SECONDS = 15
WAIT_STEPS, WAIT_SECONDS = 40, 0.25
# Name, plan and calls made. Those on a paid plan go through the sandbox's checkout page.
PEOPLE = (
    ("Grace", "pro", 7310),
    ("Katherine", "pro", 9600),
    ("Dorothy", "team", 21450),
    ("Annie", "free", 640),
    ("Margaret", "free", 120),
    ("Mary", "free", 0),
)


def fill(founded: Founded) -> str:
    """Fill the demo tenant's app; return the public id of a customer to try a check on."""
    scope = founded.scope
    with change(scope):
        plans = catalogue(scope)
        people = {name: add_person(scope, name) for name, _, _ in PEOPLE}
        for name, slug, _ in PEOPLE:
            if slug == "free":
                customer = people[name]
                open_free_subscription(scope, customer_id=customer.public_id, plan_id=plans[slug].public_id)
    for name, slug, _ in PEOPLE:
        if slug != "free":
            pay(scope, people[name].public_id, plans[slug].public_id)
    for name, slug, calls in PEOPLE:
        if slug != "free":
            wait_for_plan(scope, people[name].id, plans[slug].id)
        if calls:
            with change(scope):
                track_usage(scope, customer_id=people[name].id, metric="api_calls", quantity=calls)
    return people["Grace"].public_id


def wait_for_plan(scope: Scope, customer_id: UUID, plan_id: UUID) -> None:
    """Give the worker some seconds to hear of a payment, so that usage falls into the paid period."""
    for _ in range(WAIT_STEPS):
        with reading(scope):
            if effective(scope, customer_id).plan_id == plan_id:
                return
        time.sleep(WAIT_SECONDS)


def catalogue(scope: Scope) -> dict[str, Plan]:
    """Describe a metric, features and three plans."""
    create_metric(scope, name="api_calls", aggregation="sum", unit="calls", resets="billing_period")
    create_feature(scope, key="api_calls", name="API calls", type="metered", metric="api_calls")
    create_feature(scope, key="sso", name="Single sign-on", type="boolean")
    create_feature(scope, key="support", name="Support", type="string")

    def plan(name: str, price_cents: int, calls: int, *, default: bool = False, **entitlements: object) -> Plan:
        allowance = {"metric": "api_calls", "included": calls, "mode": "hard" if default else "soft"}
        return create_plan(
            scope,
            name=name,
            price_cents=price_cents,
            currency="usd",
            interval="month",
            is_default=default,
            entitlements=entitlements,
            usage=[allowance],
        )

    return {
        "free": plan("Free", 0, 1000, default=True, sso=False, support="community"),
        "pro": plan("Pro", 2900, 10_000, sso=False, support="email"),
        "team": plan("Team", 9900, 50_000, sso=True, support="priority"),
    }


def add_person(scope: Scope, name: str) -> Customer:
    """Add a customer by first name."""
    return create_customer(scope, email=f"{name.lower()}@example.com", name=name, external_id=f"user-{name.lower()}")


def pay(scope: Scope, customer_id: str, plan_id: str) -> None:
    """Go through the sandbox's checkout page as the customer would; its webhooks do the rest."""
    asked = {
        "customer_id": customer_id,
        "plan_id": plan_id,
        "success_url": "http://localhost:3000/welcome",
        "cancel_url": "http://localhost:3000/pricing",
    }
    url = open_checkout(scope, asked)["url"]
    body = urllib.parse.urlencode({"action": "pay", "email": "demo@example.com"}).encode()
    opener = urllib.request.build_opener(_Stay())
    try:
        opener.open(url, body, timeout=PAGE_SECONDS)
    except urllib.error.HTTPError as answered:
        if answered.code >= 400:  # noqa: PLR2004  # a refusal; 3xx leads to the app's own site
            log.warning("the sandbox refused the demo's payment", extra={"status": answered.code})


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow where the page leads: the app's own site need not run."""

    def redirect_request(self, *words: object) -> None:
        """Stay."""
