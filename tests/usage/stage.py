"""What the tests of usage start from: a customer with a plan, and metrics to count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import App
from billing.models import Access, DefaultAccess, Plan, Product
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import decode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change
from tests.cast import Api, Company
from usage.services.metrics import create_metric

LIMITS = {"api_calls": {"included": 10, "mode": "hard"}, "exports": {"included": 5, "mode": "soft"}}
GRANTED = {"api_calls": 10, "sso": True, "seats": 0, "projects": None, "support": "priority", "beta": False}


@dataclass(frozen=True)
class Subscriber:
    """A customer whose plan counts."""

    company: Company
    id: str
    uuid: UUID

    def event(self, metric: str = "api_calls", **more: Any) -> dict[str, Any]:
        """Return the body of a track call."""
        return {"customerId": self.id, "metric": metric, **more}

    def change_access(self, **columns: Any) -> None:
        """Let something else hold for the customer."""
        with change(self.company.scope):
            Access.objects.within(self.company.scope).filter(customer_id=self.uuid).update(**columns)


def make_customer(company: Company, email: str = "ada@example.com") -> Subscriber:
    """Make a customer who has nothing."""
    made = Api(company.key).post("/customers", {"email": email}).json()
    return Subscriber(company, made["id"], decode("cust", made["id"]))


def make_plan(company: Company, slug: str = "pro") -> Plan:
    """Make a plan for rows to name."""
    product = Product.unscoped.create(**owned_by(company.scope), name=slug, metadata={})
    return Plan.unscoped.create(**owned_by(company.scope), product=product, name=slug.title(), slug=slug)


def make_subscriber(company: Company, email: str = "ada@example.com", **columns: Any) -> Subscriber:
    """Make a customer on the Pro plan, and the app's metrics."""
    customer = make_customer(company, email)
    with change(company.scope):
        create_metric(company.scope, name="api_calls", aggregation="sum", unit="call", resets="month")
        create_metric(company.scope, name="exports", aggregation="sum", unit="file", resets="never")
        plan = make_plan(company)
        row = {
            "plan_id": plan.id,
            "plan_name": "Pro",
            "status": "active",
            "source": "plan:pro",
            "entitlements": GRANTED,
            "limits": LIMITS,
        }
        Access.unscoped.create(**owned_by(company.scope), customer_id=customer.uuid, **(row | columns))
    return customer


def grant_default(company: Company, **columns: Any) -> None:
    """Give whoever has no subscription the Free plan."""
    with change(company.scope):
        plan = make_plan(company, "free")
        row = {
            "plan_id": plan.id,
            "plan_name": "Free",
            "source": "plan:free",
            "entitlements": {"sso": False, "api_calls": 2},
            "limits": {"api_calls": {"included": 2, "mode": "hard"}},
        }
        DefaultAccess.unscoped.create(**owned_by(company.scope), **(row | columns))


def add_metric(company: Company, **fields: str) -> None:
    """Define one more metric."""
    with change(company.scope):
        create_metric(company.scope, **({"aggregation": "sum", "unit": "", "resets": "month"} | fields))


def yesterdays_end() -> datetime:
    """Return yesterday's last second: less than 24 hours ago, whatever the time of day."""
    return wall_clock().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=1)


def move_clock(company: Company, **ahead: float) -> None:
    """Let it be later for the app than it is: `move_clock(acme, days=32)`."""
    with change(company.scope):
        milliseconds = round(timedelta(**ahead).total_seconds() * 1000)
        App.objects.within(company.scope).update(clock_offset_ms=milliseconds)


def allow(subscriber: Subscriber, metric: str = "api_calls", **terms: Any) -> None:
    """Let a plan include so much of a metric: `allow(ada, included=10, mode="hard")`."""
    subscriber.change_access(limits={metric: {"included": None, "mode": "hard"} | terms})
