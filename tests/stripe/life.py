"""The life of a customer who buys, as rules that Hypothesis strings together, and what must hold at every step.

A history that breaks something is shrunk and printed as a program of these rules: paste it into a test and it runs.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from billing.lifecycle import status_at
from billing.models import Access, InvoiceReference, Subscription, SubscriptionTransition
from billing.services.access import effective, in_force
from billing.services.ledger import find_faults
from billing.states import ACTIVE, LEGAL, PAST_DUE, PAUSED, TRIALING, State
from billing.stripe.errors import StripeUnavailable
from billing.stripe.reconcile import compare
from stackbe.kernel.clock import now, render
from stackbe.kernel.transactions import reading
from tests.queue import run_jobs, run_periodic, run_some_jobs
from tests.stripe.world import COUPON, EMAIL, PLANS, World

ANSWERS = {200, 201, 204, 400, 404, 409}
RUNNING = {TRIALING, ACTIVE, PAST_DUE, PAUSED}
CAUSES = ("stripe:", "key_", "system:", "clock")
plans = st.sampled_from(list(PLANS))
quantities = st.integers(1, 3)
coupons = st.sampled_from([None, None, COUPON])
some = st.integers(1, 6)
which = st.sampled_from(["oldest", "newest", "middle"])
days = st.sampled_from([1, 3, 8, 15, 31])


@dataclass(frozen=True)
class Held:
    """A subscription as our side shows it."""

    id: str
    status: str
    plan_id: UUID
    stripe_id: str

    @classmethod
    def of(cls, row: Subscription, moment: datetime) -> Held:
        """Return what a row is at a moment."""
        return cls(row.public_id, status_at(State.of(row), moment), row.plan_id, row.stripe_subscription_id)


class Life(RuleBasedStateMachine):
    """One customer, who has a subscription or none; one app; one account; a delivery that cannot be trusted."""

    def __init__(self, world: World) -> None:
        """Begin where nothing has happened yet."""
        super().__init__()
        self.world = world
        self.around = ExitStack()
        self.around.enter_context(world.one_life())
        self.begun_with = sys.exc_info()[1]
        self.pages: list[str] = []
        self.undelivered: list[Any] = []
        self.delivered: list[Any] = []
        self.seen = world.first
        self.faulty = False
        self.several = False
        self.calls = 0
        self.cut: tuple[str, str, Any, str] | None = None
        self.rows: list[Held] = []

    # What the customer and the app do.

    @initialize(
        plan=plans,
        quantity=quantities,
        coupon=coupons,
        then=st.sampled_from(["is told", "is told", "is not told", "comes back", "does not pay"]),
        strict=st.booleans(),
    )
    def begin(self, plan: str, quantity: int, coupon: str | None, then: str, strict: bool) -> None:
        """Nearly every life begins with a purchase, which the app hears of or not; some apps take access back."""
        if strict:
            wanted = {"settings": {"revokeOnRefund": True, "revokeOnDispute": True}}
            assert self.call("PATCH", f"/apps/{self.world.company.app}", wanted).status_code == 200
        self.open_checkout(plan, quantity, coupon)
        if then != "does not pay":
            self.pay("newest", comes_back=then == "comes back")
        if then == "is told" and self.fetch():
            self.deliver("oldest", len(self.undelivered))
            self.work(50)

    @rule(plan=plans, quantity=quantities, coupon=coupons)
    def open_checkout(self, plan: str, quantity: int, coupon: str | None) -> None:
        """Ask for a page on which to buy."""
        body = {
            "email": EMAIL, "planId": self.world.plans[plan], "quantity": quantity,
            "successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/prices",
        }  # fmt: skip
        made = self.call("POST", "/checkout/session", body | ({"couponCode": coupon} if coupon else {}))
        if made.status_code == 201:
            self.pages.append(made.json()["url"])

    @precondition(lambda self: self.pages)
    @rule(page=which, comes_back=st.booleans())
    def pay(self, page: str, comes_back: bool) -> None:
        """Pay on a page, and perhaps come back before any webhook has."""
        paid = self.world.press(pick(self.pages, page), "pay") == 303
        if comes_back and paid:
            current = self.call("GET", f"/subscriptions/current?customerId={self.world.customer}")
            if not self.faulty:
                assert current.status_code == 200, current.content

    @precondition(lambda self: self.pages)
    @rule(page=which, button=st.sampled_from(["decline", "cancel", "authenticated"]))
    def press(self, page: str, button: str) -> None:
        """Have a card declined on a page, leave it, or confirm the payment with one's bank."""
        self.world.press(pick(self.pages, page), button)

    @precondition(lambda self: len(self.rows) != 1)
    @rule()
    def begin_a_trial_without_a_card(self) -> None:
        """Try what Stripe need not know of."""
        self.call("POST", "/subscriptions", {"customerId": self.world.customer, "planId": self.world.plans["Open"]})

    @precondition(lambda self: self.rows)
    @rule(plan=plans, when=st.sampled_from([None, None, "now", "period_end"]), prorate=st.booleans())
    def change(self, plan: str, when: str | None, prorate: bool) -> None:
        """Go up or down."""
        body = {"planId": self.world.plans[plan], "prorate": prorate}
        self.on("", "PATCH", body | ({"when": when} if when else {}))

    @precondition(lambda self: self.rows)
    @rule(quantity=quantities)
    def requantify(self, quantity: int) -> None:
        """Have more of it, or less."""
        self.on("", "PATCH", {"quantity": quantity})

    @precondition(lambda self: self.rows)
    @rule(days=st.none() | days)
    def pause(self, days: int | None) -> None:
        """Pause, until a date or until further notice."""
        later = render(now(self.world.scope) + timedelta(days=days)) if days else None
        self.on("/pause", body={"resumesAt": later})

    @precondition(lambda self: self.rows)
    @rule(act=st.sampled_from(["resume", "reactivate"]))
    def take_back(self, act: str) -> None:
        """End a pause, or un-cancel."""
        self.on(f"/{act}")

    @precondition(lambda self: self.rows)
    @rule()
    def take_the_change_back(self) -> None:
        """Withdraw a change that waits."""
        self.on("/scheduled-change", "DELETE")

    @precondition(lambda self: self.rows)
    @rule(now=st.sampled_from([False, False, True]))
    def cancel(self, now: bool) -> None:
        """Cancel, now or at the period's end."""
        self.on("/cancel", body={"immediately": now})

    @precondition(lambda self: self.cut)
    @rule()
    def ask_again(self) -> None:
        """Repeat the call that was cut off, under its key."""
        method, path, body, key = self.cut or ("", "", None, "")
        self.call(method, path, body, key)

    # What happens at Stripe.

    @rule(how=st.sampled_from(["succeed", "decline", "authenticate"]))
    def the_bank_will(self, how: str) -> None:
        """Let payments to come go this way."""
        for customer in self.world.listed("customers"):
            self.world.control("payment", customer=customer["id"], payment=how)

    @precondition(lambda self: self.rows)
    @rule(wish=st.sampled_from(["cancel", "keep", "pause", "resume", "more"]))
    def edit_at_stripe(self, wish: str) -> None:
        """Change the subscription in Stripe's own pages."""
        asked = {
            "cancel": {"cancel_at_period_end": "true"}, "keep": {"cancel_at_period_end": "false"},
            "pause": {"pause_collection[behavior]": "void"}, "resume": {"pause_collection": ""},
            "more": {"metadata[note]": "hello"},
        }  # fmt: skip
        self.at_stripe("POST", asked[wish])

    @precondition(lambda self: self.rows)
    @rule()
    def end_at_stripe(self) -> None:
        """End the subscription in Stripe's own pages."""
        self.at_stripe("DELETE")

    @precondition(lambda self: self.rows and not self.several)
    @rule(plan=st.sampled_from(["Lite", "Pro"]))
    def begin_another_at_stripe(self, plan: str) -> None:
        """Give the customer a second subscription by hand, marked as ours: the one way to have two."""
        for customer in self.world.listed("customers")[:1]:
            self.several = True
            marks = {"metadata[stackbe_app]": self.world.company.app}
            asked = {"customer": customer["id"], "items[0][price]": self.world.prices[plan], **marks}
            self.world.at_stripe("POST", "/v1/subscriptions", asked)

    @precondition(lambda self: self.rows)
    @rule(act=st.sampled_from(["pay", "pay", "void", "mark_uncollectible"]))
    def see_to_the_open_invoice(self, act: str) -> None:
        """Pay the newest open invoice, void it or write it off."""
        for invoice in [each for each in self.world.listed("invoices") if each["status"] == "open"][:1]:
            self.world.at_stripe("POST", f"/v1/invoices/{invoice['id']}/{act}", {})

    @precondition(lambda self: self.rows)
    @rule(act=st.sampled_from(["whole", "part", "dispute", "won", "lost"]))
    def money_goes_back(self, act: str) -> None:
        """Refund the newest payment or some of it; dispute it, or decide what is disputed."""
        charges = [each for each in self.world.listed("charges") if each["paid"] and not each["disputed"]][:1]
        if act in {"won", "lost"}:
            for each in [each for each in self.world.listed("disputes") if each["status"] not in {"won", "lost"}][:1]:
                self.world.control("disputes", dispute=each["id"], status=act)
        elif charges and act == "dispute" and not charges[0]["refunded"]:
            self.world.control("disputes", charge=charges[0]["id"])
        elif charges:
            part = {"amount": "100"} if act == "part" else {}
            self.world.at_stripe("POST", "/v1/refunds", {"charge": charges[0]["id"], **part})

    # Time.

    @rule(days=days, noticed=st.booleans())
    def time_passes(self, days: int, noticed: bool) -> None:
        """Let days go by; access that the clock has changed is announced, or not yet."""
        self.world.pass_days(days)
        if noticed:
            run_periodic("billing.pass_dates")

    @rule(days=days)
    def move_the_clock(self, days: int) -> None:
        """Have the API move the clock and follow."""
        self.call("POST", "/test/clock", {"advance": f"{days}d"})

    # What becomes of the events, and of the work that they bring.

    @precondition(lambda self: self.fetch())
    @rule(first=which, most=some)
    def deliver(self, first: str, most: int) -> None:
        """Deliver some events, in whatever order."""
        for _ in range(min(most, len(self.undelivered))):
            event = pick(self.undelivered, first)
            self.undelivered.remove(event)
            self.delivered.append(event)
            assert event[1].post().status_code == 200

    @precondition(lambda self: self.fetch())
    @rule(first=which, most=some)
    def lose(self, first: str, most: int) -> None:
        """Lose some events for good."""
        for _ in range(min(most, len(self.undelivered))):
            self.undelivered.remove(pick(self.undelivered, first))

    @precondition(lambda self: self.delivered)
    @rule(first=which)
    def deliver_again(self, first: str) -> None:
        """Deliver an event once more."""
        assert pick(self.delivered, first)[1].post().status_code == 200

    @rule(most=st.sampled_from([1, 3, 50]))
    def work(self, most: int) -> None:
        """Let the worker do some of what is queued."""
        run_some_jobs(most, self.excused)

    @rule(kind=st.sampled_from(["billing.look_for_missed_events", "billing.sweep_subscriptions"]))
    def look(self, kind: str) -> None:
        """Look for what never arrived."""
        run_periodic(kind)

    @rule(
        kind=st.sampled_from(["api_500", "api_cut"]),
        path=st.sampled_from(["/v1/", "/v1/subscriptions", "/v1/checkout", "/v1/invoices", "/v1/subscription_sched"]),
        count=st.integers(1, 3),
    )
    def stripe_fails(self, kind: str, path: str, count: int) -> None:
        """Let Stripe fail for some calls; or do what it is asked, and lose the answer: to us that is a time-out."""
        self.faulty = True
        self.world.sandbox.fault(kind, path=path, count=count, account=self.world.account_id)

    @precondition(lambda self: self.faulty)
    @rule()
    def stripe_recovers(self) -> None:
        """Let Stripe be well again."""
        self.world.sandbox.heal()
        self.faulty = False

    # What holds at every step.

    @invariant()
    def one_subscription_and_access_by_it(self) -> None:
        """No two live ones unless somebody made them at Stripe, and no plan but that of one that runs."""
        scope = self.world.scope
        with reading(scope):
            rows = Subscription.objects.within(scope).order_by("-id")
            self.rows = [Held.of(row, now(scope)) for row in rows]
            holds = effective(scope, self.world.customer_id)
        running = [row for row in self.rows if row.status in RUNNING]
        assert self.several or len(running) <= 1, running
        granting = {each.plan_id for each in running if each.status != PAUSED}
        assert holds.plan_id is None or holds.plan_id in granting, (holds, self.rows)

    def teardown(self) -> None:
        """Come to rest, unless something broke before, and hold both sides against each other."""
        try:
            if sys.exc_info()[1] is self.begun_with:
                self.rest()
                self.check()
        finally:
            self.around.close()

    def rest(self) -> None:
        """End the faults, and look once in each way; what was lost on the way stays lost."""
        self.world.sandbox.heal()
        run_jobs(most=2000)
        for name in ("billing.look_for_missed_events", "billing.sweep_subscriptions", "billing.pass_dates"):
            run_periodic(name)
            run_jobs(most=2000)
        self.one_subscription_and_access_by_it()
        listed = self.world.api.get(f"/subscriptions?customerId={self.world.customer}&limit=100").json()["data"]
        assert [(row["id"], row["status"]) for row in listed] == [(row.id, row.status) for row in self.rows]

    def check(self) -> None:
        """Find nothing that differs, nothing unexplained, nothing illegal, nothing told in the wrong order."""
        world, scope = self.world, self.world.scope
        assert compare(scope, world.account_id) == []
        theirs = world.listed("invoices")
        with reading(scope):
            assert find_faults(scope) == []
            ours = list(InvoiceReference.objects.within(scope))
            steps = list(SubscriptionTransition.objects.within(scope))
            access = Access.objects.within(scope).first()
        assert sorted((row.stripe_invoice_id, row.status, row.amount_paid_cents) for row in ours) == sorted(
            (each["id"], each["status"], each["amount_paid"]) for each in theirs
        )
        for step in steps:
            assert step.cause.startswith(CAUSES), step.cause
            assert step.from_status == "" or step.to_status in LEGAL[step.from_status]
        self.check_access(access is not None and in_force(access, now(scope)))
        self.check_versions()

    def check_access(self, has: bool) -> None:
        """Whom Stripe calls active has access, unless it was taken for money that went back; and nobody else has.

        The comparison of both sides translates Stripe's words by our own code, so this one reads them itself.
        """
        theirs = [each for each in self.world.listed("subscriptions") if not each["pause_collection"]]
        running = [each for each in theirs if each["status"] in {"active", "trialing"}]
        owing = [each for each in theirs if each["status"] == "past_due"]
        free = [row for row in self.rows if row.status in RUNNING and not row.stripe_id]
        reasons = [self.world.api.get(f"/subscriptions/{row.id}/access").json()["reason"] for row in self.rows]
        assert has or not running or "revoked" in reasons
        assert not has or running or owing or free, self.rows

    def check_versions(self) -> None:
        """States that the app is told carry versions that only grow."""
        told = self.world.api.get("/events?type=entitlements.updated&limit=100").json()["data"]
        versions = [event["data"]["version"] for event in reversed(told)]
        assert versions == sorted(set(versions))

    # Hands.

    @property
    def excused(self) -> tuple[type[Exception], ...]:
        """How a job may fail at this moment."""
        return (StripeUnavailable,) if self.faulty else ()

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """Call the API: it never breaks, and it is unavailable only while Stripe is."""
        self.calls += 1
        key = key or f"call-{self.calls}"
        answer = self.world.api.request(method, path, body, Idempotency_Key=key)
        if answer.status_code == 503 and self.faulty:
            self.cut = (method, path, body, key)
        else:
            assert answer.status_code in ANSWERS, (method, path, body, answer.content)
            self.cut = None
        return answer

    def on(self, suffix: str, method: str = "POST", body: Any = None) -> None:
        """Call the API about the customer's newest subscription."""
        self.call(method, f"/subscriptions/{self.rows[0].id}{suffix}", body)

    def at_stripe(self, method: str, body: Any = None) -> None:
        """Do something to the newest subscription at Stripe."""
        if stripe_id := self.rows[0].stripe_id:
            self.world.at_stripe(method, f"/v1/subscriptions/{stripe_id}", body)

    def fetch(self) -> bool:
        """Take what waits to be delivered from the sandbox, and say whether there is something."""
        for number, delivery in self.world.sandbox.told(self.world.account_id, self.seen):
            self.undelivered.append((number, delivery))
            self.seen = number
        return bool(self.undelivered)


def pick(listed: list[Any], place: str) -> Any:
    """Return the first, the last or the one in the middle."""
    return listed[{"oldest": 0, "newest": -1, "middle": len(listed) // 2}[place]]
