"""What must hold when a life has come to rest: our rows, Stripe's objects and what the app was told say the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import OrganizationMember
from billing.lifecycle import status_at
from billing.models import Access, InvoiceReference, Price, Subscription, SubscriptionTransition
from billing.services.access import in_force
from billing.services.ledger import find_faults
from billing.states import ACTIVE, LEGAL, PAST_DUE, PAUSED, TRIALING, State
from billing.stripe.reconcile import compare
from stackbe.kernel.clock import now
from stackbe.kernel.ids import decode, encode
from stackbe.kernel.transactions import reading
from tests.stripe.world import PACK, World
from usage.models import Credit

RUNNING = {TRIALING, ACTIVE, PAST_DUE, PAUSED}
CAUSES = ("stripe:", "key_", "system:", "clock")
DUNNING_DAYS = (0, 3, 6)


@dataclass(frozen=True)
class Held:
    """A subscription as our side shows it."""

    id: str
    status: str
    plan_id: UUID
    stripe_id: str
    shared: bool
    once: bool
    revoked: bool
    tried: bool

    @classmethod
    def of(cls, row: Subscription, moment: datetime) -> Held:
        """Return what a row is at a moment."""
        return cls(
            row.public_id,
            status_at(State.of(row), moment),
            row.plan_id,
            row.stripe_subscription_id,
            row.organization_id is not None,
            row.price is not None and row.price.interval == Price.Interval.ONE_TIME,
            row.revoked_at is not None,
            row.trial_end is not None,
        )

    @property
    def runs(self) -> bool:
        """Say whether it has begun and not ended."""
        return self.status in RUNNING


class Reckoning:
    """Both sides of one life, held against each other.

    `ended_here` are those at Stripe that were ended here alone, while the account was away: they go on there.
    """

    def __init__(self, world: World, rows: list[Held], ended_here: set[str]) -> None:
        """Read what both sides say."""
        self.world, self.rows, self.ended_here = world, rows, ended_here
        self.scope = world.scope
        self.theirs = [each for each in world.listed("subscriptions") if each["id"] not in ended_here]
        pages = world.listed("checkout/sessions")
        self.purchases = [each for each in pages if each["mode"] == "payment" and each["payment_status"] == "paid"]

    def check(self) -> None:
        """Find nothing that differs, nothing unexplained, nothing illegal, nothing told in the wrong order."""
        differences = compare(self.scope, self.world.account_id)
        assert [each for each in differences if each.stripe_id not in self.ended_here] == []
        with reading(self.scope):
            members = OrganizationMember.objects.within(self.scope).values_list("customer_id", flat=True)
            self.members = {encode("cust", each) for each in members}
            self._check_books()
            self._check_access()
            self._check_purchases()
            self._check_reminders()
        self._check_seats()
        self._check_versions()

    def _check_books(self) -> None:
        """The books are in order; every invoice of Stripe's is in them, and what was paid once without one."""
        billed = [(each["id"], each["status"], each["amount_paid"]) for each in self.world.listed("invoices")]
        bought = [(each["payment_intent"], "paid", each["amount_total"]) for each in self.purchases]
        assert find_faults(self.scope) == []
        rows = InvoiceReference.objects.within(self.scope)
        ours = [(row.stripe_invoice_id, str(row.status), row.amount_paid_cents) for row in rows]
        assert sorted(ours) == sorted(billed + bought)
        for step in SubscriptionTransition.objects.within(self.scope):
            assert step.cause.startswith(CAUSES), step.cause
            assert step.from_status == "" or step.to_status in LEGAL[step.from_status]

    def _check_access(self) -> None:
        """Whom Stripe calls active has access, unless it was taken for money that went back; and nobody else has.

        The comparison of both sides translates Stripe's words by our own code, so this one reads them itself.
        """
        world = self.world
        moment = now(self.scope)
        held = Access.objects.within(self.scope)
        holders = {encode("cust", each.customer_id) for each in held if in_force(each, moment)}
        revoked = any(row.revoked and row.runs for row in self.rows)
        for customer in [world.customer, *world.colleagues.values()]:
            places = [customer == world.customer, customer in self.members]
            entitled = any(place and self._active(shared=bool(shared)) for shared, place in enumerate(places))
            possible = any(place and self._possible(shared=bool(shared)) for shared, place in enumerate(places))
            assert customer in holders or not entitled or revoked, (customer, self.rows)
            assert customer not in holders or possible, (customer, self.rows)

    def _active(self, *, shared: bool) -> bool:
        mine = [each for each in self.theirs if _is_shared(each) == shared and not each["pause_collection"]]
        return any(each["status"] in {"active", "trialing"} for each in mine)

    def _possible(self, *, shared: bool) -> bool:
        mine = [each for each in self.theirs if _is_shared(each) == shared and not each["pause_collection"]]
        free = [row for row in self.rows if row.runs and not row.stripe_id and row.shared == shared]
        return bool(free) or any(each["status"] in {"active", "trialing", "past_due"} for each in mine)

    def _check_seats(self) -> None:
        """An organization pays for at least as many seats as its members fill, and Stripe charges for as many."""
        world = self.world
        for each in self.theirs:
            item = each["items"]["data"][0]
            if _is_shared(each) and item["price"]["id"] == world.prices["Seats"] and each["status"] in RUNNING:
                assert item["quantity"] >= len(self.members), (item["quantity"], self.members)

    def _check_purchases(self) -> None:
        """Each page that was paid once gave what it sold, once."""
        world = self.world
        units, lasting = 0, 0
        for each in self.purchases:
            plan = each["metadata"]["stackbe_plan"]
            items = world.at_stripe("GET", f"/v1/checkout/sessions/{each['id']}/line_items")["data"]
            units += PACK * items[0]["quantity"] if plan == world.plans["Pack"] else 0
            lasting += plan == world.plans["Lifetime"]
        given = Credit.objects.within(self.scope).values_list("customer_id", "quantity")
        assert sum(quantity for _, quantity in given) == units
        assert {customer for customer, _ in given} <= {world.customer_id}
        lifetime = decode("plan", world.plans["Lifetime"])
        assert len([row for row in self.rows if row.once and row.plan_id == lifetime]) == lasting

    def _check_reminders(self) -> None:
        """Who owes was reminded as often as the days say that have passed."""
        moment = now(self.scope)
        for row in Subscription.objects.within(self.scope).filter(status=PAST_DUE):
            assert row.past_due_since is not None
            passed = [each for each in DUNNING_DAYS if row.past_due_since + timedelta(days=each) <= moment]
            assert row.dunned == len(passed), (row.dunned, row.past_due_since, moment)

    def _check_versions(self) -> None:
        """States that the app is told carry versions that only grow; of a trial's end it is told once."""
        versions: dict[str, list[int]] = {}
        for event in reversed(self._told("entitlements.updated")):
            versions.setdefault(event["customer"]["id"], []).append(event["version"])
        for seen in versions.values():
            assert seen == sorted(set(seen))
        if any(row.tried for row in self.rows):
            told = [each["subscription"] for each in self._told("subscription.trial_ending")]
            ends = [(each["id"], each["trialEnd"]) for each in told]
            assert len(ends) == len(set(ends)), ends

    def _told(self, event: str) -> list[dict[str, Any]]:
        listed = self.world.api.get(f"/events?type={event}&limit=100").json()["data"]
        return [each["data"] for each in listed]


def _is_shared(body: dict[str, Any]) -> bool:
    """Say whether a subscription of Stripe's is the organization's."""
    return bool(body["metadata"].get("stackbe_organization"))
