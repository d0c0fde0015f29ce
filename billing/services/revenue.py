"""What an app takes in, day by day: from its invoices, and from the history of its subscriptions.

A day is written once it is over. How things stood then is what stands now with every later step taken back, so a
day that nobody looked at in time can still be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Min, Q, Sum

from billing.models import InvoiceReference, Price, RevenueDay, Subscription, SubscriptionTransition
from billing.services.amounts import yearly_cents
from billing.states import ACTIVE, CANCELED, PAST_DUE, TRIALING
from stackbe.kernel.clock import now
from stackbe.kernel.ids import decode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stackbe.kernel.scope import Scope

DAY = timedelta(days=1)
PAYING = frozenset({ACTIVE, PAST_DUE})
# So many missing days at once; the rest comes with the next look.
MOST_DAYS = 400
MONTHS = 12
WINDOW_DAYS = 30
WATCHED = ("status", "price_id", "quantity")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a subscription was at a moment; None in place of one says that there was none."""

    status: str
    price_id: UUID | None
    quantity: int


@dataclass(slots=True)
class Figures:
    """One day in one currency."""

    paying: dict[UUID, int] = field(default_factory=dict)
    trials_started: int = 0
    trials_converted: int = 0
    trials_lost: int = 0


def take_days(scope: Scope) -> int:
    """Write the days of the app's clock that are over and not written yet; return how many there were."""
    require_change()
    last = now(scope).date() - DAY
    first = _first_missing(scope)
    if first is None or first > last:
        return 0
    last = min(last, first + (MOST_DAYS - 1) * DAY)
    days = list(_days_back(scope, first - DAY, last))[::-1]
    money = _money(scope, first, last)
    rows: list[RevenueDay] = []
    for (_, before), (day, figures) in pairwise(days):
        for currency in sorted({*before, *figures, *money[day]}):
            had, has = before[currency].paying, figures[currency].paying
            paid, refunded = money[day].get(currency, (0, 0))
            rows.append(
                RevenueDay(
                    **owned_by(scope),
                    day=day,
                    currency=currency,
                    mrr_cents=sum(has.values()),
                    paying=len(has),
                    started=len(has.keys() - had.keys()),
                    churned=len(had.keys() - has.keys()),
                    trials_started=figures[currency].trials_started,
                    trials_converted=figures[currency].trials_converted,
                    trials_lost=figures[currency].trials_lost,
                    paid_cents=paid,
                    refunded_cents=refunded,
                    created_at=now(scope),
                )
            )
        if not any(row.day == day for row in rows[-8:]):
            # An empty day is written too, so that it is not looked at again.
            rows.append(RevenueDay(**owned_by(scope), day=day, currency="", created_at=now(scope)))
    RevenueDay.unscoped.bulk_create(rows)
    return len(days) - 1


def summary(scope: Scope) -> list[dict[str, Any]]:
    """Return per currency how the last written day stood, its last 30 days, and those days one by one, oldest first."""
    rows = RevenueDay.objects.within(scope)
    newest = rows.order_by("-day").first()
    if newest is None:
        return []
    since = newest.day - (WINDOW_DAYS - 1) * DAY
    by_currency: dict[str, dict[date, RevenueDay]] = defaultdict(dict)
    for row in rows.filter(day__gte=since).exclude(currency=""):
        by_currency[row.currency][row.day] = row
    days = [since + offset * DAY for offset in range(WINDOW_DAYS)]
    shown = [_summed(currency, [found.get(day) for day in days], days) for currency, found in by_currency.items()]
    return sorted(shown, key=lambda each: (-each["mrr_cents"], each["currency"]))


def _summed(currency: str, rows: list[RevenueDay | None], days: list[date]) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows if row is not None)

    there = [row for row in rows if row is not None]
    at_first = max(0, there[0].paying - there[0].started + there[0].churned)
    converted, lost = total("trials_converted"), total("trials_lost")
    return {
        "currency": currency,
        "day": days[-1],
        "mrr_cents": rows[-1].mrr_cents if rows[-1] else 0,
        "paying": rows[-1].paying if rows[-1] else 0,
        "started": total("started"),
        "churned": total("churned"),
        "churn_percent": _percent(total("churned"), at_first),
        "trials_started": total("trials_started"),
        "trials_converted": converted,
        "trials_lost": lost,
        "conversion_percent": _percent(converted, converted + lost),
        "paid_cents": total("paid_cents"),
        "refunded_cents": total("refunded_cents"),
        "days": [(day, row) for day, row in zip(days, rows, strict=True)],
    }


def _percent(part: int, whole: int) -> float | None:
    return round(part * 100 / whole, 1) if whole else None


def _first_missing(scope: Scope) -> date | None:
    """Return the first day that is to be written: after the newest one, else the day of the first subscription."""
    newest = RevenueDay.objects.within(scope).order_by("-day").values_list("day", flat=True).first()
    if newest is not None:
        return newest + DAY
    begun = Subscription.objects.within(scope).aggregate(first=Min("created_at"))["first"]
    billed = InvoiceReference.objects.within(scope).aggregate(first=Min("created_at"))["first"]
    known = [moment for moment in (begun, billed) if moment is not None]
    return min(known).date() if known else None


def _days_back(scope: Scope, first: date, last: date) -> Iterator[tuple[date, dict[str, Figures]]]:
    """Yield each day's figures, newest first, by taking back what happened after it."""
    steps = SubscriptionTransition.objects.within(scope).filter(occurred_at__gte=_begin(first)).order_by("-id")
    later = list(steps.values_list("subscription_id", "from_status", "to_status", "occurred_at", "detail"))
    touched = {step[0] for step in later}
    rows = Subscription.objects.within(scope).filter(~Q(status=CANCELED) | Q(pk__in=touched))
    standing: dict[UUID, Standing | None] = {
        pk: Standing(status, price_id, quantity)
        for pk, status, price_id, quantity in rows.values_list("pk", "status", "price_id", "quantity")
    }
    prices = {price.pk: price for price in Price.objects.within(scope)}
    currencies = _currencies(scope)
    at = 0
    day = last
    while day >= first:
        while at < len(later) and later[at][3] >= _begin(day + DAY):
            _take_back(standing, later[at][0], later[at][4])
            at += 1
        figures: dict[str, Figures] = defaultdict(Figures)
        for pk, each in standing.items():
            price = prices.get(each.price_id) if each is not None and each.price_id else None
            if each is not None and price is not None and each.status in PAYING and _recurs(price):
                figures[price.currency].paying[pk] = round(yearly_cents(price, each.quantity) / MONTHS)
        for pk, before, after, _, _ in _of_day(later, at, day):
            _count_trial(figures[currencies[pk]], before, after)
        yield day, figures
        day -= DAY


def _of_day(later: list[Any], at: int, day: date) -> Iterable[Any]:
    while at < len(later) and later[at][3] >= _begin(day):
        yield later[at]
        at += 1


def _count_trial(figures: Figures, before: str, after: str) -> None:
    if before == TRIALING and after in PAYING:
        figures.trials_converted += 1
    elif before == TRIALING and after == CANCELED:
        figures.trials_lost += 1
    elif after == TRIALING and before == "":
        figures.trials_started += 1


def _recurs(price: Price) -> bool:
    return price.interval != Price.Interval.ONE_TIME and not price.free


def _currencies(scope: Scope) -> dict[UUID, str]:
    """Return each subscription's currency: its price's, else the first that its plan asks for."""
    firsts = Price.objects.within(scope).order_by("-position").values_list("plan_version_id", "currency")
    offered = dict(list(firsts))
    rows = Subscription.objects.within(scope).values_list("pk", "price__currency", "plan_version_id")
    return {pk: currency or offered.get(version, "") for pk, currency, version in rows}


def _take_back(standing: dict[UUID, Standing | None], pk: UUID, detail: dict[str, list[Any]]) -> None:
    each = standing.get(pk)
    if each is None:
        return
    if "status" in detail and detail["status"][0] is None:
        standing[pk] = None
        return
    before = {name: _value(name, detail[name][0]) for name in WATCHED if name in detail}
    standing[pk] = replace(each, **before)


def _value(name: str, kept: Any) -> Any:
    """Return a column's value from what the history keeps of it."""
    return decode("row", kept) if name == "price_id" and kept is not None else kept


def _money(scope: Scope, first: date, last: date) -> dict[date, dict[str, tuple[int, int]]]:
    """Return what each day brought and gave back, by currency.

    A payment is counted on its invoice's day while days are made up for, and on the day on which it was known
    otherwise: the last day takes whatever the ones before it have not.
    """
    found: dict[date, dict[str, tuple[int, int]]] = defaultdict(dict)
    invoices = InvoiceReference.objects.within(scope).filter(created_at__lt=_begin(last + DAY))
    taken: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    written = RevenueDay.objects.within(scope).order_by().values_list("currency")
    for currency, paid, refunded in written.annotate(paid=Sum("paid_cents"), refunded=Sum("refunded_cents")):
        taken[currency] = [paid, refunded]
    recent = invoices.filter(created_at__gte=_begin(first), created_at__lt=_begin(last))
    for currency, paid, moment in recent.values_list("currency", "amount_paid_cents", "created_at"):
        day = moment.date()
        found[day][currency] = (found[day].get(currency, (0, 0))[0] + paid, 0)
        taken[currency][0] += paid
    totals = invoices.order_by().values_list("currency")
    for currency, paid, refunded in totals.annotate(paid=Sum("amount_paid_cents"), back=Sum("amount_refunded_cents")):
        rest = (paid - taken[currency][0], refunded - taken[currency][1])
        if any(rest):
            found[last][currency] = rest
    return found


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
