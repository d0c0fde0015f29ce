"""Where one lands: what is left to set up, and how the app fares."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.dashboard.frame import AppPage, MemberPage
from accounts.services.apps import list_apps
from accounts.services.customers import live_customers
from accounts.services.member_invitations import offers_to
from accounts.services.members import member_scope, memberships_of
from apikeys.models import ApiKey
from billing.models import InvoiceReference, Plan, StripeConnection, Subscription
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import reading
from webhooks.models import Event

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

DAYS = 30
LIVE_STATUSES = ("active", "trialing", "past_due")


class Start(MemberPage):
    """/dashboard/: the app that was last looked at, the first one, or the way to a first one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Send the member on; `?account=` names one of several accounts."""
        last, wanted = request.session.get("app"), request.GET.get("account")
        places = memberships_of(self.user.id)
        for place in [p for p in places if str(p.tenant_id) == wanted] or places:
            scope = member_scope(self.user, place.tenant_id)
            with reading(scope):
                names = [app.public_id for app in list_apps(scope).order_by("created_at")]
            if names:
                return redirect("dashboard-overview", last if last in names else names[0])
        if not places and offers_to(bytes(self.user.email_index)):
            return redirect("account-invitations")
        return redirect("dashboard-app-new")


class Overview(AppPage):
    """How the app fares, and what is left to set up."""

    section = "overview"
    resource = "customers"
    template = "dashboard/overview.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return figures of the last 30 days of the app's own clock."""
        scope, moment = self.scope, now(self.scope)
        since = (moment - timedelta(days=DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
        customers = live_customers(scope)
        subscriptions = Subscription.objects.within(scope)
        paid = InvoiceReference.objects.within(scope).filter(created_at__gte=since, status="paid")
        joined = per_day(customers, "created_at", since)
        begun = per_day(subscriptions, "created_at", since)
        by_status = dict(Counter(dict(subscriptions.order_by().values_list("status").annotate(number=Count("pk")))))
        return {
            "steps": steps(scope, self.kwargs["app_id"]),
            "customers": customers.count(),
            "customers_series": [value for _, value in joined],
            "customers_new": sum(int(value) for _, value in joined),
            "subscriptions": sum(by_status.get(status, 0) for status in LIVE_STATUSES),
            "subscriptions_series": [value for _, value in begun],
            "by_status": by_status,
            "joined": joined,
            "revenue": list(
                paid.order_by().values("currency").annotate(cents=Sum("amount_paid_cents")).order_by("-cents")
            ),
            "events": list(Event.objects.within(scope).order_by("-pk")[:8]),
        }


def per_day(rows: QuerySet[Any], column: str, since: datetime) -> list[tuple[str, float]]:
    """Return how many rows fell on each of the 30 days, the empty ones too."""
    found = rows.filter(**{f"{column}__gte": since}).order_by().annotate(day=TruncDay(column)).values_list("day")
    counts = {day.date(): number for day, number in found.annotate(number=Count("pk"))}
    days = [since.date() + timedelta(days=offset) for offset in range(DAYS)]
    return [(f"{day.day} {day:%b}", counts.get(day, 0)) for day in days]


def steps(scope: Scope, app_id: str) -> list[dict[str, Any]]:
    """Return the way from an empty app to a first subscription; done ones are told from the rows."""
    keys = ApiKey.objects.within(scope).filter(app_id=scope.app_id, kind=ApiKey.Kind.SECRET)
    told = [
        ("Create an app", "An app is one product that you sell.", True, "dashboard-settings", ""),
        (
            "Create an API key",
            "Your server proves itself with it. It is shown once.",
            keys.exists(),
            "dashboard-keys",
            "Create a key",
        ),
        (
            "Make your first API call",
            "Ask who you are, or create a customer; the key’s page has a line to paste.",
            keys.filter(last_used_at__isnull=False).exists(),
            "dashboard-keys",
            "Show me how",
        ),
        (
            "Create a plan",
            "What it costs, what it includes, where its limits are.",
            Plan.objects.within(scope).exists(),
            "dashboard-plans",
            "Create a plan",
        ),
        (
            "Connect Stripe",
            "Payments go to your own account. Card data never passes through here.",
            StripeConnection.objects.within(scope).filter(status="connected").exists(),
            "dashboard-stripe",
            "Connect",
        ),
        (
            "Sell a first subscription",
            "Open a checkout for a customer and watch it turn active.",
            Subscription.objects.within(scope).exists(),
            "dashboard-subscriptions",
            "How to",
        ),
    ]
    following = next((index for index, step in enumerate(told) if not step[2]), len(told))
    return [
        {
            "title": title,
            "detail": detail,
            "done": done,
            "is_next": index == following,
            "url": reverse(name, args=[app_id]),
            "action": action,
        }
        for index, (title, detail, done, name, action) in enumerate(told)
    ]
