"""A customer's year in under a minute: the clock of a sandbox app is moved, and every invoice is held against a table.

The table below was computed by hand. Whatever is charged in between that it does not say stops the demonstration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from stackbe.runner.demo.client import Story

Call = Callable[[str, str, Any], Any]

PRO_CENTS, TEAM_CENTS, CALL_CENTS, INCLUDED = 2900, 9900, 2, 100
# What happens, the invoice that follows, and its arithmetic: (status, due, paid, refunded) in cents.
LEDGER = (
    ("a trial of 14 days begins", ("paid", 0, 0, 0)),
    ("it converts: 29.00", ("paid", 2900, 2900, 0)),
    ("150 calls, 100 included: 29.00 + 50 × 0.02", ("paid", 3000, 3000, 0)),
    ("two of it, from the next period on paid: 2 × 29.00", ("paid", 5800, 5800, 0)),
    ("one again: 29.00", ("paid", 2900, 2900, 0)),
    ("Team without proration, paid with the renewal: 99.00", ("paid", 9900, 9900, 0)),
    ("the renewal is declined, and paid three days later: 99.00", ("paid", 9900, 9900, 0)),
    ("paused over a renewal, which is voided", ("void", 9900, 0, 0)),
    ("resumed: 99.00", ("paid", 9900, 9900, 0)),
    ("down to Pro with the renewal, and given back in full: 29.00", ("paid", 2900, 2900, 2900)),
    ("a month like any other: 29.00", ("paid", 2900, 2900, 0)),
    ("the last month, then it ends: 29.00", ("paid", 2900, 2900, 0)),
)


class Year:
    """One customer, from a trial to the end."""

    def __init__(self, story: Story, call: Call, stripe: Call, pay: Callable[[str], None]) -> None:
        """Take what speaks to the API, to the sandbox (its controls, and Stripe's routes) and what pays a page."""
        self.story, self.call, self.stripe, self.pay = story, call, stripe, pay
        self.customer = self.subscription = self.buyer = ""

    def run(self) -> None:
        """Live the year, then compare the invoices with the table."""
        pro, team = self.sell()
        self.begin(pro)
        self.step("The trial converts")
        self.renew()
        self.step("150 calls: 50 beyond the allowance")
        self.call("POST", "/usage/track", {"customerId": self.customer, "metric": "calls", "quantity": 150})
        self.renew()
        self.step("Two of it")
        self.change(quantity=2, prorate=False, when="now")
        self.renew()
        self.step("One again, with the renewal")
        self.change(quantity=1)
        self.renew()
        self.step("Up to Team, without a proration")
        self.change(planId=team, prorate=False)
        self.renew()
        self.step("The card fails; access goes on; three days later it is paid")
        self.cards("decline")
        self.renew()
        self.expect_status("past_due", has_access=True)
        self.cards("succeed")
        self.move(days=4)
        self.expect_status("active", has_access=True)
        self.step("A pause over a renewal")
        self.call("POST", f"/subscriptions/{self.subscription}/pause", {})
        self.expect_status("paused", has_access=False)
        self.renew()
        self.call("POST", f"/subscriptions/{self.subscription}/resume", {})
        self.step("It goes on")
        self.renew()
        self.step("Down to Pro with the renewal; the invoice is given back in full")
        self.change(planId=pro)
        self.renew()
        self.refund()
        self.step("A month like any other")
        self.renew()
        self.step("And another, then it ends")
        self.renew()
        self.call("POST", f"/subscriptions/{self.subscription}/cancel", {"reason": "the year is over"})
        self.renew()
        self.expect_status("canceled", has_access=False)
        self.compare()

    def sell(self) -> tuple[str, str]:
        """Describe what is sold; return the two plans' ids."""
        self.step("Sell Pro at 29.00 with a trial and overage, and Team at 99.00")
        self.call("POST", "/metrics", {"name": "calls", "resets": "billing_period"})
        overage = {"scheme": "per_unit", "unitAmountCents": CALL_CENTS}
        usage = [{"metric": "calls", "included": INCLUDED, "mode": "soft", "overage": overage}]
        monthly = {"currency": "usd", "interval": "month"}
        pro = {"name": "Pro of a year", "priceCents": PRO_CENTS, "trialDays": 14, "usage": usage, **monthly}
        team = {"name": "Team of a year", "priceCents": TEAM_CENTS, **monthly}
        made = [self.call("POST", "/plans", plan)["id"] for plan in (pro, team)]
        return made[0], made[1]

    def begin(self, plan: str) -> None:
        """Begin the trial on Stripe's page."""
        self.step("Begin a trial at Stripe's page")
        self.customer = self.call("POST", "/customers", {"email": "year@example.com"})["id"]
        asked = {"successUrl": "http://localhost:3000/welcome", "cancelUrl": "http://localhost:3000/prices"}
        page = self.call("POST", "/checkout/session", {"customerId": self.customer, "planId": plan, **asked})
        self.pay(page["url"])
        found = self.current()
        self.subscription = found["id"]
        self.expect_status("trialing", has_access=True)
        self.buyer = self.stripe("GET", f"/v1/subscriptions/{found['stripeSubscriptionId']}", None)["customer"]

    def step(self, title: str) -> None:
        """Begin a step."""
        self.story.step(title)

    def current(self) -> Any:
        """Return what the customer is subscribed to."""
        return self.call("GET", f"/subscriptions/current?customerId={self.customer}", None)

    def change(self, **asked: Any) -> None:
        """Change the subscription."""
        self.call("PATCH", f"/subscriptions/{self.subscription}", asked)

    def cards(self, how: str) -> None:
        """Say how the customer's payments go from now on."""
        account = self.stripe("GET", "/v1/account", None)["id"]
        self.stripe("POST", "/_sandbox/payment", {"account": account, "customer": self.buyer, "payment": how})

    def renew(self) -> None:
        """Move the clock to two hours after the period's end."""
        held = self.call("GET", f"/subscriptions/{self.subscription}", None)
        ends = datetime.fromisoformat(held["currentPeriodEnd"]) + timedelta(hours=2)
        moved = self.call("POST", "/test/clock", {"to": ends.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
        told = re.sub(r"[\[\]']", "", str([event["type"] for event in moved["events"]]))
        self.story.say(f"      ⏲ {moved['now'][:10]}: {told or 'nothing happened'}")

    def move(self, *, days: int) -> None:
        """Move the clock by some days."""
        self.call("POST", "/test/clock", {"advance": f"{days}d"})

    def refund(self) -> None:
        """Give the last invoice back, as the account's owner does at Stripe."""
        charge = self.stripe("GET", "/v1/charges?limit=1", None)["data"][0]["id"]
        self.stripe("POST", "/v1/refunds", {"charge": charge})

    def expect_status(self, status: str, *, has_access: bool) -> None:
        """Stop unless the subscription is so, and grants access or does not."""
        held = self.call("GET", f"/subscriptions/{self.subscription}", None)
        access = self.call("GET", f"/subscriptions/{self.subscription}/access", None)
        self.story.expect(held["status"] == status, f"it is {status} (answered: {held['status']})")
        self.story.expect(access["hasAccess"] is has_access, "access goes on" if has_access else "there is no access")

    def compare(self) -> None:
        """Hold every invoice against the table."""
        self.step("Hold the year's invoices against the table")
        found = self.call("GET", f"/invoices?customerId={self.customer}&limit=100", None)["data"][::-1]
        names = ("status", "amountDueCents", "amountPaidCents", "amountRefundedCents")
        ours = [tuple(invoice[name] for name in names) for invoice in found]
        for (what, wanted), got in zip(LEDGER, ours, strict=False):
            self.story.expect(wanted == got, f"{what} → {wanted}" + ("" if wanted == got else f", got {got}"))
        self.story.expect(len(ours) == len(LEDGER), f"{len(LEDGER)} invoices, no more ({len(ours)})")
