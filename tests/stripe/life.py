"""The life of a customer who buys, as rules that Hypothesis strings together, and what must hold at every step.

A history that breaks something is shrunk and printed as a program of these rules: paste it into a test and it runs.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from billing.models import Subscription
from billing.services.access import effective
from billing.states import PAUSED
from billing.stripe.errors import StripeUnavailable
from stackbe.kernel.clock import now, render
from stackbe.kernel.transactions import reading
from tests.queue import run_in_turn, run_periodic, run_some_jobs
from tests.stripe.reckoning import DUNNING_DAYS, Held, Reckoning
from tests.stripe.world import COLLEAGUES, COUPON, ONCE, PLANS, World

ANSWERS = {200, 201, 204, 400, 404, 409}
LOOKS = ("billing.look_for_missed_events", "billing.sweep_subscriptions")
plans = st.sampled_from(list(PLANS))
wares = st.sampled_from([*PLANS, *ONCE])
quantities = st.integers(1, 3)
coupons = st.sampled_from([None, None, COUPON])
some = st.integers(1, 6)
row = st.sampled_from([0, 0, 0, 1, 2])
which = st.sampled_from(["oldest", "newest", "middle"])
days = st.sampled_from([1, 3, 8, 15, 31])


class Life(RuleBasedStateMachine):
    """A customer and their organization, who buy or do not; one app; one account; a delivery that cannot be trusted."""

    def __init__(self, world: World) -> None:
        """Begin where nothing has happened yet."""
        super().__init__()
        self.world = world
        self.around = ExitStack()
        self.around.enter_context(world.one_life())
        self.begun_with = sys.exc_info()[1]
        self.pages: list[tuple[str, bool]] = []
        self.paid: set[str] = set()
        self.undelivered: list[Any] = []
        self.delivered: list[Any] = []
        self.seen = world.first
        self.faulty = False
        self.stirred = True
        self.several = False
        self.away = False
        self.ended_here: set[str] = set()
        self.calls = 0
        self.cut: tuple[str, str, Any, str] | None = None
        self.rows: list[Held] = []

    # What the customer and the app do.

    @rule(plan=wares, quantity=st.none() | quantities, coupon=coupons, shared=st.booleans())
    def open_checkout(self, plan: str, quantity: int | None, coupon: str | None, shared: bool) -> None:
        """Ask for a page on which to buy, for oneself or for one's organization."""
        body = self.world.checkout(plan, quantity, coupon, shared=shared)
        made = self.call("POST", "/checkout/session", body)
        if made.status_code == 201:
            self.pages.append((made.json()["url"], plan in PLANS and not shared))

    @precondition(lambda self: self.pages)
    @rule(page=which, comes_back=st.booleans())
    def pay(self, page: str, comes_back: bool) -> None:
        """Pay on a page, and perhaps come back before any webhook has."""
        url, subscribes = pick(self.pages, page)
        subscribes = subscribes and url not in self.paid
        paid = self.world.sandbox.press(url, "pay") == 303
        if paid:
            self.paid.add(url)  # Stripe leads back from it once more, to what may have ended since.
        if comes_back and paid:
            current = self.call("GET", f"/subscriptions/current?customerId={self.world.customer}")
            assert current.status_code == 200 or not subscribes or self.faulty or self.away, current.content

    @precondition(lambda self: self.pages)
    @rule(page=which, button=st.sampled_from(["decline", "cancel", "authenticated"]))
    def press(self, page: str, button: str) -> None:
        """Have a card declined on a page, leave it, or confirm the payment with one's bank."""
        self.world.sandbox.press(pick(self.pages, page)[0], button)

    @rule(name=st.sampled_from(COLLEAGUES), comes=st.sampled_from([True, True, False]))
    def a_colleague(self, name: str, comes: bool) -> None:
        """Let somebody come to the organization, or leave it."""
        path, who = f"/organizations/{self.world.organization}/members", self.world.colleagues[name]
        if comes:
            self.call("POST", path, {"customerId": who})
        else:
            self.call("DELETE", f"{path}/{who}")

    @precondition(lambda self: len(self.rows) != 1)
    @rule()
    def begin_a_trial_without_a_card(self) -> None:
        """Try what Stripe need not know of."""
        self.call("POST", "/subscriptions", {"customerId": self.world.customer, "planId": self.world.plans["Open"]})

    @precondition(lambda self: self.rows)
    @rule(row=row, plan=plans, when=st.sampled_from([None, None, "now", "period_end"]), prorate=st.booleans())
    def change(self, row: int, plan: str, when: str | None, prorate: bool) -> None:
        """Go up or down."""
        body = {"planId": self.world.plans[plan], "prorate": prorate}
        self.on(row, "", "PATCH", body | ({"when": when} if when else {}))

    @precondition(lambda self: self.rows)
    @rule(row=row, quantity=quantities)
    def requantify(self, row: int, quantity: int) -> None:
        """Have more of it, or less."""
        self.on(row, "", "PATCH", {"quantity": quantity})

    @precondition(lambda self: self.rows)
    @rule(row=row, days=st.none() | days)
    def pause(self, row: int, days: int | None) -> None:
        """Pause, until a date or until further notice."""
        later = render(now(self.world.scope) + timedelta(days=days)) if days else None
        self.on(row, "/pause", body={"resumesAt": later})

    @precondition(lambda self: self.rows)
    @rule(row=row, act=st.sampled_from(["resume", "reactivate"]))
    def take_back(self, row: int, act: str) -> None:
        """End a pause, or un-cancel."""
        self.on(row, f"/{act}")

    @precondition(lambda self: self.rows)
    @rule(row=row)
    def take_the_change_back(self, row: int) -> None:
        """Withdraw a change that waits."""
        self.on(row, "/scheduled-change", "DELETE")

    @precondition(lambda self: self.rows)
    @rule(row=row, now=st.sampled_from([False, False, True]))
    def cancel(self, row: int, now: bool) -> None:
        """Cancel, now or at the period's end."""
        self.on(row, "/cancel", body={"immediately": now})

    @precondition(lambda self: self.rows)
    @rule(
        row=row,
        button=st.sampled_from(["cancel", "keep", "switch", "update_method"]),
        plan=st.sampled_from(["Lite", "Team", "Seats"]),
        shared=st.sampled_from([False, False, True]),
    )
    def in_the_portal(self, row: int, button: str, plan: str, shared: bool) -> None:
        """Cancel, keep, switch to another plan or pay with something else on Stripe's own page."""
        body = {"customerId": self.world.customer, "returnUrl": "https://shop.example/account"}
        body |= {"organizationId": self.world.organization} if shared else {}
        opened = self.call("POST", "/portal/session", body)
        subject = f":{self.at(row).stripe_id}" if button != "update_method" else ""
        subject += f":{self.world.prices[plan]}" if button == "switch" else ""
        if opened.status_code == 200:
            self.world.sandbox.press(opened.json()["url"], f"{button}{subject}")

    @precondition(lambda self: self.cut)
    @rule()
    def ask_again(self) -> None:
        """Repeat the call that was cut off, under its key."""
        method, path, body, key = self.cut or ("", "", None, "")
        self.call(method, path, body, key)

    # What happens at Stripe.

    @precondition(lambda self: not self.away)
    @rule(how=st.sampled_from(["succeed", "decline", "authenticate"]))
    def the_bank_will(self, how: str) -> None:
        """Let payments to come go this way."""
        for customer in self.world.listed("customers"):
            self.world.control("payment", customer=customer["id"], payment=how)

    @precondition(lambda self: self.rows)
    @rule(row=row, wish=st.sampled_from(["cancel", "keep", "pause", "resume", "more", "one"]))
    def edit_at_stripe(self, row: int, wish: str) -> None:
        """Change the subscription in Stripe's own pages."""
        asked = {
            "cancel": {"cancel_at_period_end": "true"}, "keep": {"cancel_at_period_end": "false"},
            "pause": {"pause_collection[behavior]": "void"}, "resume": {"pause_collection": ""},
            "more": {"metadata[note]": "hello"},
        }  # fmt: skip
        if stripe_id := self.at(row).stripe_id:
            path = f"/v1/subscriptions/{stripe_id}"
            if wish == "one":
                items = self.world.at_stripe("GET", path)["items"]["data"]
                asked["one"] = {"items[0][id]": items[0]["id"], "items[0][quantity]": "1"}
            self.world.at_stripe("POST", path, asked[wish])

    @precondition(lambda self: self.rows)
    @rule(row=row)
    def end_at_stripe(self, row: int) -> None:
        """End the subscription in Stripe's own pages."""
        if stripe_id := self.at(row).stripe_id:
            self.world.at_stripe("DELETE", f"/v1/subscriptions/{stripe_id}")

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
        if act in {"won", "lost", "dispute"} and self.away:
            return
        if act in {"won", "lost"}:
            for each in [each for each in self.world.listed("disputes") if each["status"] not in {"won", "lost"}][:1]:
                self.world.control("disputes", dispute=each["id"], status=act)
        elif charges and act == "dispute" and not charges[0]["refunded"]:
            self.world.control("disputes", charge=charges[0]["id"])
        elif charges:
            part = {"amount": "100"} if act == "part" else {}
            self.world.at_stripe("POST", "/v1/refunds", {"charge": charges[0]["id"], **part})

    # Whether the app may look at it at all.

    @precondition(lambda self: not self.away)
    @rule(side=st.sampled_from(["here", "there"]))
    def disconnect(self, side: str) -> None:
        """Let go of the account, here or in Stripe's own pages."""
        self.away = True
        self.world.leave(side)

    @precondition(lambda self: self.away)
    @rule()
    def connect_again(self) -> None:
        """Connect it again, unless Stripe fails just then."""
        self.stirred = True
        try:
            self.world.come_back()
        except self.excused:
            return
        self.away = False

    @precondition(lambda self: self.away and self.rows)
    @rule(row=row)
    def end_here(self, row: int) -> None:
        """End here alone what goes on at an account that was left."""
        ended = self.on(row, "/cancel", body={"onlyHere": True})
        if ended.status_code == 200 and (stripe_id := self.at(row).stripe_id):
            self.ended_here.add(stripe_id)

    # Time.

    @rule(days=days, noticed=st.booleans())
    def time_passes(self, days: int, noticed: bool) -> None:
        """Let days go by; access that the clock has changed is announced, or not yet."""
        self.stirred = True
        self.world.pass_days(days)
        if noticed:
            run_periodic("billing.pass_dates")
            run_periodic("billing.send_reminders")

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
        self.stirred = True
        run_some_jobs(most, self.excused)

    @rule(kind=st.sampled_from(LOOKS))
    def look(self, kind: str) -> None:
        """Look for what never arrived."""
        self.stirred = True
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
        """No two live ones unless somebody made them at Stripe, and no plan but that of one that runs.

        What happened at Stripe alone, or to events on their way, has changed nothing here.
        """
        if not self.stirred:
            return
        self.stirred = False
        scope = self.world.scope
        with reading(scope):
            rows = Subscription.objects.within(scope).select_related("price").order_by("-id")
            self.rows = [Held.of(row, now(scope)) for row in rows]
            holds = effective(scope, self.world.customer_id)
        running = [row for row in self.rows if row.runs]
        recurring = [row.shared for row in running if not row.once]
        assert self.several or len(recurring) == len(set(recurring)), running
        granting = {each.plan_id for each in running if each.status != PAUSED}
        if holds.plan_id is not None and holds.plan_id not in granting:
            # Stripe counts in seconds: what it ended in this one holds until the second is over.
            time.sleep(1)
            with reading(scope):
                holds = effective(scope, self.world.customer_id)
        assert holds.plan_id is None or holds.plan_id in granting, (holds, self.rows)

    def teardown(self) -> None:
        """Come to rest, unless something broke before, and hold both sides against each other."""
        try:
            if sys.exc_info()[1] is self.begun_with:
                self.rest()
                Reckoning(self.world, self.rows, self.ended_here).check()
        finally:
            self.around.close()

    def rest(self) -> None:
        """End the faults, and look once in each way; what was lost on the way stays lost."""
        self.world.sandbox.heal()
        if self.away:
            self.world.come_back()
        self.world.catch_up()
        run_in_turn(*LOOKS, "billing.pass_dates", *["billing.send_reminders"] * len(DUNNING_DAYS))
        self.stirred = True
        self.one_subscription_and_access_by_it()
        listed = self.world.api.get(f"/subscriptions?customerId={self.world.customer}&limit=100").json()["data"]
        assert [(row["id"], row["status"]) for row in listed] == [(row.id, row.status) for row in self.rows]

    # Hands.

    @property
    def excused(self) -> tuple[type[Exception], ...]:
        """How a job may fail at this moment."""
        return (StripeUnavailable,) if self.faulty else ()

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """Call the API: it never breaks, and it is unavailable only while Stripe is."""
        self.calls += 1
        self.stirred = True
        key = key or f"call-{self.calls}"
        answer = self.world.api.request(method, path, body, Idempotency_Key=key)
        if answer.status_code == 503 and self.faulty:
            self.cut = (method, path, body, key)
        else:
            assert answer.status_code in ANSWERS, (method, path, body, answer.content)
            self.cut = None
        return answer

    def at(self, row: int) -> Held:
        """Return the customer's newest subscription, or one before it."""
        return self.rows[min(row, len(self.rows) - 1)]

    def on(self, row: int, suffix: str, method: str = "POST", body: Any = None) -> Any:
        """Call the API about one of the customer's subscriptions."""
        return self.call(method, f"/subscriptions/{self.at(row).id}{suffix}", body)

    def fetch(self) -> bool:
        """Take what waits to be delivered from the sandbox, and say whether there is something."""
        for number, delivery in self.world.sandbox.told(self.world.account_id, self.seen):
            self.undelivered.append((number, delivery))
            self.seen = number
        return bool(self.undelivered)


class NewLife(Life):
    """The same for somebody who has bought nothing before."""

    @initialize(
        plan=wares,
        quantity=quantities,
        coupon=coupons,
        then=st.sampled_from(["is told", "is told", "is not told", "comes back", "does not pay"]),
        shared=st.sampled_from([False, False, True]),
        strict=st.booleans(),
    )
    def begin(self, plan: str, quantity: int, coupon: str | None, then: str, shared: bool, strict: bool) -> None:
        """Nearly every life begins with a purchase, which the app hears of or not; some apps take access back."""
        if strict:
            self.world.be_strict()
        self.open_checkout(plan, quantity, coupon, shared)
        if then != "does not pay" and self.pages:
            self.pay("newest", comes_back=then == "comes back")
        if then == "is told" and self.fetch():
            self.deliver("oldest", len(self.undelivered))
            self.work(50)


def pick(listed: list[Any], place: str) -> Any:
    """Return the first, the last or the one in the middle."""
    return listed[{"oldest": 0, "newest": -1, "middle": len(listed) // 2}[place]]
