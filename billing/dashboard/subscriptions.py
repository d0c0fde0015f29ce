"""Who has which plan, how it came about, and what may be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.dashboard.frame import AppPage
from accounts.services.customers import find_customer
from accounts.templatetags.pages import money, rhythm
from billing.errors import SubscriptionNotFound
from billing.models import InvoiceReference, Plan, Price, StripeConnection, Subscription, SubscriptionTransition
from billing.serializers.catalogue import LONGEST_TRIAL
from billing.services.plans import plans_with_contents
from billing.stripe import changes, checkout, endings, pausing
from stackbe.kernel.errors import NotFound
from stackbe.kernel.tenancy import ScopedQuerySet
from stackbe.kernel.transactions import current, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


class Subscriptions(AppPage):
    """The app's subscriptions, newest first."""

    section = "subscriptions"
    resource = "subscriptions"
    template = "dashboard/subscriptions.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of them, of one status where asked."""
        status = self.request.GET.get("status", "")
        known = status if status in Subscription.Status.values else ""
        rows = subscriptions_of(self)
        found = self.page_of(rows.filter(status=known) if known else rows, status=known)
        current().keys.preload([row.customer_id for row in found["rows"]])
        return {**found, "status": known, "statuses": Subscription.Status.values}


class OneSubscription(AppPage):
    """One subscription, its invoices and its history."""

    section = "subscriptions"
    resource = "subscriptions"
    template = "dashboard/subscription.html"

    def context(self, subscription_id: str) -> dict[str, Any]:
        """Return the subscription, what was invoiced, and every step with its cause."""
        subscription = subscriptions_of(self).fetch(subscription_id, SubscriptionNotFound)
        steps = SubscriptionTransition.objects.within(self.scope).filter(subscription=subscription)
        invoices = InvoiceReference.objects.within(self.scope).filter(subscription=subscription)
        live = StripeConnection.objects.within(self.scope).filter(status="connected")
        is_away = (
            bool(subscription.stripe_subscription_id)
            and not live.filter(account_id=subscription.stripe_account).exists()
        )
        following = subscription.next_plan_id
        coming = Plan.objects.within(self.scope).filter(pk=following).first() if following else None
        return {
            "subscription": subscription,
            "coming": coming,
            "is_away": is_away,
            "steps": list(steps.order_by("-pk")[:50]),
            "invoices": list(invoices.order_by("-pk")[:20]),
        }


class SubscriptionAction(AppPage):
    """Ending a subscription, pausing it, and taking either back."""

    resource = "subscriptions"

    def back(self) -> HttpResponse:
        """Return to the subscription."""
        return redirect("dashboard-subscription", self.kwargs["app_id"], self.kwargs["subscription_id"])

    def post(self, request: HttpRequest, app_id: str, subscription_id: str, action: str) -> HttpResponse:
        """Do one thing to the subscription; Stripe is told first."""
        if action not in ACTIONS:
            raise NotFound
        sentence = ACTIONS[action](self.scope, subscription_id)
        return self.done(sentence, "dashboard-subscription", subscription_id)


def _cancel(scope: Scope, subscription_id: str) -> str:
    endings.cancel_subscription(scope, subscription_id, reason=BY_HAND)
    return "It will end with the period that is paid for."


def _cancel_now(scope: Scope, subscription_id: str) -> str:
    endings.cancel_subscription(scope, subscription_id, immediately=True, reason=BY_HAND)
    return "Canceled."


def _end_here(scope: Scope, subscription_id: str) -> str:
    endings.cancel_subscription(scope, subscription_id, only_here=True, reason=BY_HAND)
    return "Ended here. At Stripe it goes on until the owner of that account ends it there."


def _reactivate(scope: Scope, subscription_id: str) -> str:
    endings.reactivate_subscription(scope, subscription_id)
    return "It goes on."


def _pause(scope: Scope, subscription_id: str) -> str:
    pausing.pause_subscription(scope, subscription_id)
    return "Paused: no access, and nothing is collected."


def _resume(scope: Scope, subscription_id: str) -> str:
    pausing.resume_subscription(scope, subscription_id)
    return "It goes on."


def _withdraw(scope: Scope, subscription_id: str) -> str:
    changes.withdraw_change(scope, subscription_id)
    return "The change is taken back."


BY_HAND = "canceled in the dashboard"
# What a page of a subscription can do, by the last part of the form's address.
ACTIONS: dict[str, Callable[[Scope, str], str]] = {
    "cancel": _cancel,
    "cancel-now": _cancel_now,
    "end-here": _end_here,
    "reactivate": _reactivate,
    "pause": _pause,
    "resume": _resume,
    "withdraw-change": _withdraw,
}


class CheckoutForm(forms.Form):
    """What a customer is to buy."""

    plan_id = forms.ChoiceField(label="Plan")
    trial_days = forms.IntegerField(
        label="Trial (days)",
        required=False,
        min_value=0,
        max_value=LONGEST_TRIAL,
        help_text="Empty for what the plan says. A number stands above it, also for who has had a trial.",
    )

    def __init__(self, *args: Any, plans: list[tuple[str, str]], **kwargs: Any) -> None:
        """Offer the plans that cost something."""
        super().__init__(*args, **kwargs)
        self.fields["plan_id"].choices = plans  # type: ignore[attr-defined]  # a ChoiceField


class Checkout(AppPage):
    """A checkout page at Stripe for one customer, opened by hand."""

    section = "customers"
    resource = "checkout"
    template = "dashboard/checkout.html"

    def context(self, customer_id: str) -> dict[str, Any]:
        """Return the customer and the plans for sale."""
        return {
            "customer": find_customer(self.scope, public_id=customer_id),
            "form": self.form_for(),
            "is_connected": StripeConnection.objects.within(self.scope).filter(status="connected").exists(),
        }

    def form_for(self, *args: Any) -> CheckoutForm:
        """Return the form with what is for sale."""
        plans = plans_with_contents(self.scope).filter(active=True).order_by("pk")
        priced = [(plan, plan.current_version().live_prices()) for plan in plans]
        for_sale = [
            (plan.public_id, f"{plan.name}, {priced_as(prices[0])}")
            for plan, prices in priced
            if not all(price.free for price in prices)
        ]
        return CheckoutForm(*args, plans=for_sale)

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """Open a checkout and show its address."""
        with reading(self.scope):
            form = self.form_for(request.POST)
        back = settings.BASE_URL + reverse("dashboard-customer", args=[app_id, customer_id])

        def act() -> HttpResponse:
            asked = {
                "customer_id": customer_id,
                "plan_id": form.cleaned_data["plan_id"],
                "success_url": f"{back}?checkout=done",
                "cancel_url": back,
                "trial_days": form.cleaned_data["trial_days"],
            }
            opened = checkout.open_checkout(self.scope, asked, None)
            with reading(self.scope):
                return self.show({**self.context(customer_id), "url": opened["url"]}, status=201)

        return self.submit(form, act, {"form": form, "kwargs": {"customer_id": customer_id}})


def priced_as(price: Price) -> str:
    """Return what a price asks, for an option of a form."""
    if price.unit_amount_cents is None:
        return f"in tiers {rhythm(price)}"
    return f"{money(price.unit_amount_cents, price.currency)} {rhythm(price)}"


def subscriptions_of(page: AppPage) -> ScopedQuerySet[Subscription]:
    """Return the app's subscriptions with customers, plans and prices at hand."""
    return Subscription.objects.within(page.scope).select_related("customer", "plan", "plan_version", "price")
