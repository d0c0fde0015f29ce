"""Another plan or quantity for a subscription, by hand: see what it costs first, then change it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage
from billing.dashboard.subscriptions import priced_as, subscriptions_of
from billing.errors import SubscriptionNotFound
from billing.models import Plan, Price
from billing.serializers.subscriptions import LARGEST_QUANTITY
from billing.services.plans import plans_with_contents
from billing.stripe import changes
from stackbe.kernel.transactions import reading

WHEN = [("", "Up now, down at the renewal"), ("now", "Now"), ("period_end", "At the renewal")]


class ChangeForm(forms.Form):
    """What a subscription is to become."""

    plan_id = forms.ChoiceField(label="Plan")
    quantity = forms.IntegerField(label="Quantity", min_value=1, max_value=LARGEST_QUANTITY)
    when = forms.ChoiceField(label="When", choices=WHEN, required=False)

    def __init__(self, *args: Any, plans: list[tuple[str, str]], **kwargs: Any) -> None:
        """Offer the plans that it can go to."""
        super().__init__(*args, **kwargs)
        self.fields["plan_id"].choices = plans  # type: ignore[attr-defined]  # a ChoiceField

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of `change_subscription` and `preview_change`."""
        entered = self.cleaned_data
        return {"plan_id": entered["plan_id"], "quantity": entered["quantity"], "when": entered["when"] or None}


class ChangeSubscription(AppPage):
    """A subscription's plan and quantity."""

    section = "subscriptions"
    resource = "subscriptions"
    template = "dashboard/subscription_change.html"

    def context(self, subscription_id: str) -> dict[str, Any]:
        """Return the subscription, and the form filled with what holds."""
        subscription = subscriptions_of(self).fetch(subscription_id, SubscriptionNotFound)
        initial = {"plan_id": subscription.plan.public_id, "quantity": subscription.quantity}
        return {"subscription": subscription, "form": self.form_for(subscription.plan, initial=initial)}

    def form_for(self, held: Plan, *args: Any, **kwargs: Any) -> ChangeForm:
        """Return the form with the plans on sale that renew, and the one that is held."""
        offered = plans_with_contents(self.scope).filter(active=True).order_by("pk")
        choices = {held.public_id: held.name}
        for plan in offered:
            prices = [p for p in plan.current_version().live_prices() if p.interval != Price.Interval.ONE_TIME]
            if prices:
                choices[plan.public_id] = f"{plan.name}, {priced_as(prices[0])}"
        return ChangeForm(*args, plans=list(choices.items()), **kwargs)

    def post(self, request: HttpRequest, app_id: str, subscription_id: str) -> HttpResponse:
        """Show what the change would cost, or make it."""
        with reading(self.scope):
            held = subscriptions_of(self).fetch(subscription_id, SubscriptionNotFound).plan
            form = self.form_for(held, request.POST)

        def act() -> HttpResponse:
            asked = form.as_asked()
            if "preview" in request.POST:
                preview = changes.preview_change(self.scope, subscription_id, **asked)
                with reading(self.scope):
                    return self.show({**self.context(subscription_id), "form": form, "preview": preview})
            changes.change_subscription(self.scope, subscription_id, **asked)
            return self.done("The change is made, or waits for the renewal.", "dashboard-subscription", subscription_id)

        return self.submit(form, act, {"form": form, "kwargs": {"subscription_id": subscription_id}})
