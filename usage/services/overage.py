"""Use beyond what a plan includes goes on the customer's bill: reported to Stripe as it happens, counter by counter.

What is on its way is written down first, so that a report whose answer was lost is repeated under the same
name, which Stripe counts once. What comes late for a period that was billed goes on the next bill.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.db.models import F

from accounts.models import OrganizationMember
from billing.models import InvoiceReference, StripeCustomer, Subscription
from billing.stripe.errors import StripeRefused
from billing.stripe.gateway import ConnectedAccount
from billing.stripe.overage import overages_of, report_use
from billing.stripe.running import running_on
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import change, reading
from usage.models import Counter

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

# Stripe holds an invoice open for about an hour after the period, unless the account has it finalized sooner; what is
# reported until then is on it.
OPEN_FOR = timedelta(minutes=50)
# How far back a period may lie whose late events are still billed.
LATE = timedelta(days=40)
BILLED = (Subscription.Status.ACTIVE, Subscription.Status.PAST_DUE)


class Above(NamedTuple):
    """A counter that stands above its allowance, and which Stripe customer and subscription pay for it."""

    counter_id: UUID
    subscription_id: UUID
    customer: str
    metric: str
    included: int


def report_account(scope: Scope, account_id: str) -> int:
    """Report one app's overage; return how many reports went out. Raises as the gateway does."""
    with reading(scope):
        rows = running_on(scope, account_id).filter(status__in=BILLED).select_related("plan_version")
        paying = [row for row in rows if overages_of(row.plan_version)]
        links = StripeCustomer.objects.within(scope).filter(account_id=account_id)
        stripe_ids = dict(links.values_list("customer_id", "stripe_customer_id"))
        work = [
            Above(counter_id, row.pk, stripe_ids[row.customer_id], metric, included)
            for row in paying
            if row.customer_id in stripe_ids
            for counter_id, metric, included in _counters(scope, row)
        ]
    return sum(_report(scope, ConnectedAccount(account_id), each) for each in work)


def _counters(scope: Scope, row: Subscription) -> list[tuple[UUID, str, int]]:
    """Return the counters of whom a subscription serves that stand above their allowance."""
    served = [row.customer_id]
    if row.organization_id is not None:
        places = OrganizationMember.objects.within(scope).filter(organization_id=row.organization_id)
        served = list(places.values_list("customer_id", flat=True))
    # What was used up to a trial's end was free, and stays so when the trial has become a subscription.
    since = max(row.created_at, row.trial_end or row.created_at, now(scope) - LATE)
    found = []
    for allowance in overages_of(row.plan_version):
        counters = Counter.objects.within(scope).filter(
            customer_id__in=served,
            metric__name=allowance["metric"],
            used__gt=allowance["included"] + F("carried") - F("passed_on") + F("credited") + F("billed"),
        )
        counters = counters.filter(period_end__gt=since)
        found += [(pk, allowance["metric"], allowance["included"]) for pk in counters.values_list("pk", flat=True)]
    return found


def _report(scope: Scope, account: ConnectedAccount, above: Above) -> bool:
    """Report what a counter has gained since the last report; say whether there was anything."""
    with change(scope):
        counter = Counter.objects.within(scope).select_for_update().get(pk=above.counter_id)
        if not counter.billing:
            paid = max(0, above.included + counter.carried - counter.passed_on) + counter.credited
            counter.billing = max(0, counter.used - paid - counter.billed)
            counter.save(update_fields=["billing"])
        value, before = counter.billing, counter.billed
        moment = now(scope)
        if counter.period_end is not None and moment < counter.period_end + OPEN_FOR:
            within = min(moment, counter.period_end - timedelta(seconds=1))
            moment = moment if _is_billed(scope, above.subscription_id, within) else within
    if not value:
        return False
    try:
        report_use(
            scope, account, customer=above.customer, metric=above.metric, value=value,
            moment=int(moment.timestamp()), identifier=f"{above.counter_id}-{before}",
        )  # fmt: skip
    except StripeRefused as refused:
        if refused.stripe_code != "resource_already_exists":
            raise
    with change(scope):
        rows = Counter.objects.within(scope).filter(pk=above.counter_id, billing=value, billed=before)
        rows.update(billed=before + value, billing=0)
    return True


def _is_billed(scope: Scope, subscription_id: UUID, moment: datetime) -> bool:
    """Say whether the invoice that a moment belongs to is final: what is reported for then would be on none."""
    rows = InvoiceReference.objects.within(scope).filter(
        subscription_id=subscription_id, period_start__lte=moment, period_end__gt=moment
    )
    return rows.exclude(status=InvoiceReference.Status.DRAFT).exists()
