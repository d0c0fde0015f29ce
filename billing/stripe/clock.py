"""Moving a test app's clock, and its sandbox's with it: what a month would bring happens now.

Both clocks go from one moment at which something is due to the next: a renewal, another attempt to collect, the end
of a grace period, a reminder. At each of them what Stripe's events would tell is fetched at once rather than waited
for, dates in access are passed, and who is to be told something is told and mailed: so nothing that is over by the
end of the way is left out, and the answer can name what happened.
"""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db.models import Min

from accounts.models import App
from billing.models import Access, StripeConnection, StripeEvent, Subscription
from billing.queue import defer_reminder
from billing.reminder_mail import mail_reminder
from billing.services.reminders import remind
from billing.services.subscriptions import pass_date
from billing.stripe.connect import CONNECTED, SANDBOX_SECONDS
from billing.stripe.errors import StripeRefused, StripeUnavailable
from billing.stripe.gateway import Json
from billing.stripe.inbox import kind_of
from billing.stripe.reconcile import look_for_missed
from billing.stripe.running import running_on
from billing.stripe.scopes import scopes_of_account
from billing.stripe.sync import sync_until_done
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now, render, wall_clock
from stackbe.kernel.errors import Conflict, ValidationFailed
from stackbe.kernel.transactions import change, forbid_transaction, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

LONGEST = timedelta(days=5 * 366)
CAUSE = "system:clock"
MOST_DATES = 1000
# So often it stops on the way; the last of them, where a crowd has more moments than that, lie evenly apart. What is
# due within the hour, or a hundredth of the way, is passed at one stop.
MOST_STOPS, EVEN_STOPS = 200, 50
GRAIN, SHARE = timedelta(hours=1), 100
# After so many seconds whoever waits for the answer gets it in a few long strides.
PATIENT_SECONDS, STRIDES = 20.0, 4
MOST_TOLD = 20
log = logging.getLogger("stackbe.stripe")


class ClockStands(Conflict):
    """A clock that nobody may move."""

    message = "Only the clock of a test app can be moved."


def move_clock(
    scope: Scope,
    *,
    advance: timedelta | None = None,
    to: datetime | None = None,
    before: Callable[[Scope, str], object] | None = None,
) -> Scope:
    """Move an app's clock forward, and that of its sandbox account; return the app's scope at the new time.

    `before(scope, account_id)` is called ahead of the sandbox's move: what belongs on the invoices to come.
    Raises `ClockStands` for a live app, for one that is connected to the real Stripe, and for one that shares its
    sandbox account, since the other app's time would pass with it.
    """
    forbid_transaction("The Stripe sandbox")
    account_id = _account_to_move(scope)
    target = to if to is not None else now(scope) + (advance or timedelta())
    _refuse_wrong_way(scope, target, "to" if to is not None else "advance")
    grain = min(GRAIN, (target - now(scope)) / SHARE)
    until, left, stop = time.monotonic() + PATIENT_SECONDS, MOST_STOPS, None
    while stop is None or stop < target:
        due = _next_moment(scope, account_id)
        stop = target if due is None else min(target, due + grain)
        left = max(1, min(left, STRIDES) if time.monotonic() > until else left)
        if left <= EVEN_STOPS:
            moment = now(scope)
            stop = max(stop, moment + (target - moment) / left)
        scope = _move_to(scope, account_id, stop, before, whole=stop >= target)
        left -= 1
    with change(scope):
        app = App.objects.within(scope).get(pk=scope.app)
        audit(scope, "app.clock_moved", app.public_id, detail={"to": render(target)})
    return scope


def _move_to(
    scope: Scope,
    account_id: str | None,
    stop: datetime,
    before: Callable[[Scope, str], object] | None,
    *,
    whole: bool,
) -> Scope:
    """Move both clocks to a moment and let all happen that it brings; return the app's scope at that time.

    With `whole` every running subscription is looked at, beyond those that events tell of.
    """
    if account_id is not None:
        if before is not None:
            before(scope, account_id)
        _move_sandbox(account_id, stop)
    with change(scope):
        app = App.objects.within(scope).locked().get(pk=scope.app)
        offset_ms = round((stop - wall_clock()) / timedelta(milliseconds=1))
        app.clock_offset_ms = max(app.clock_offset_ms, offset_ms)
        app.save(update_fields=["clock_offset_ms"])
    later = replace(scope, clock_offset=app.clock_offset)
    if account_id is not None:
        _follow_stripe(later, account_id, whole=whole)
    _pass_dates(later)
    _tell_what_is_due(later)
    return later


def _next_moment(scope: Scope, account_id: str | None) -> datetime | None:
    """Return when something is due next: at the sandbox, in somebody's access, or to be told; None for nothing."""
    moment = now(scope)
    with reading(scope):
        told = Subscription.objects.within(scope).filter(remind_at__gt=moment).aggregate(next=Min("remind_at"))["next"]
        dates = Access.objects.within(scope).filter(changes_at__gt=moment).aggregate(next=Min("changes_at"))["next"]
    due = _sandbox("GET", f"clock?account={account_id}")["due"] if account_id is not None else None
    # What its own ticker has not come to yet is due in a second.
    at_stripe = None if due is None else max(datetime.fromtimestamp(due, tz=UTC), moment + timedelta(seconds=1))
    return min((each for each in (told, dates, at_stripe) if each is not None), default=None)


def _account_to_move(scope: Scope) -> str | None:
    if scope.environment != App.Environment.TEST:
        raise ClockStands
    with reading(scope):
        connection = StripeConnection.objects.within(scope).filter(status=CONNECTED).first()
    if connection is None:
        return None
    if not settings.STRIPE_SANDBOX:
        raise ClockStands("This app is connected to Stripe, whose clock cannot be moved. Use an app on the sandbox.")
    if len(scopes_of_account(connection.account_id, "clock")) > 1:
        raise ClockStands("Another app shares this sandbox account. Connect an account of its own to move its clock.")
    return connection.account_id


def _refuse_wrong_way(scope: Scope, target: datetime, field: str) -> None:
    if target <= now(scope):
        raise ValidationFailed(fields={field: ["The clock moves forward only."]})
    if target - now(scope) > LONGEST:
        raise ValidationFailed(fields={field: ["At most five years at a time."]})


def _move_sandbox(account_id: str, target: datetime) -> None:
    """Move the account's clock to a moment; one that is there already, or further, stays."""
    there: int = _sandbox("GET", f"clock?account={account_id}")["now"]
    if there < int(target.timestamp()):
        _sandbox("POST", "clock", {"account": account_id, "to": int(target.timestamp())})


def _sandbox(method: str, control: str, body: Json | None = None) -> Json:
    request = urllib.request.Request(  # noqa: S310  # the scheme is that of STRIPE_API_BASE, an address of this machine
        f"{settings.STRIPE_API_BASE}/_sandbox/{control}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=SANDBOX_SECONDS * 3) as answer:  # noqa: S310  # as above
            found: Json = json.load(answer)
    except urllib.error.HTTPError:
        raise StripeRefused("The Stripe sandbox did not move its clock.") from None
    except (urllib.error.URLError, TimeoutError, ValueError):
        raise StripeUnavailable("The Stripe sandbox does not answer. Is it running?") from None
    return found


def _follow_stripe(scope: Scope, account_id: str, *, whole: bool) -> None:
    """Fetch what happened at Stripe: all that its events name, and with `whole` every running subscription as it is."""
    look_for_missed(scope, account_id, expected=True)
    with reading(scope):
        waiting = StripeEvent.objects.within(scope).filter(account_id=account_id, state=StripeEvent.State.RECEIVED)
        told = [(kind_of(row.type), row.object_id) for row in waiting.order_by("created", "id")]
        running = running_on(scope, account_id).values_list("stripe_subscription_id", flat=True) if whole else ()
        objects = dict.fromkeys([*told, *(("subscription", each) for each in running)])
    for kind, object_id in objects:
        if kind is not None and object_id:
            sync_until_done(scope, account_id, kind, object_id, cause=CAUSE)


def _pass_dates(scope: Scope) -> None:
    with reading(scope):
        rows = Access.objects.within(scope).filter(changes_at__lte=now(scope)).order_by("changes_at", "id")
        customers = list(rows.values_list("customer_id", flat=True)[:MOST_DATES])
    for customer_id in customers:
        with change(scope):
            pass_date(scope, customer_id)


def _tell_what_is_due(scope: Scope) -> None:
    """Tell customers and the app of trials that end and of payments that are due, each as often as the settings say.

    The mails go out here and now: by the time that the worker came to them, the clock may have left their day.
    """
    asked: list[tuple[UUID, str, UUID]] = []
    for _ in range(MOST_TOLD):
        with reading(scope):
            rows = Subscription.objects.within(scope).filter(remind_at__lte=now(scope)).order_by("remind_at", "id")
            due = list(rows.values_list("id", flat=True)[:MOST_DATES])
        if not due:
            break
        for subscription_id in due:
            with change(scope):
                remind(scope, subscription_id, hand_over=lambda _, *mail: asked.append(mail))
    for subscription_id, kind, mail_id in asked:
        try:
            mail_reminder(str(scope.app), str(subscription_id), kind, str(mail_id))
        except Exception:
            log.exception("a mail is left to the worker", extra={"kind": kind})
            with change(scope):
                defer_reminder(scope, subscription_id, kind, mail_id)
