"""A customer's usage on their page: figures, credits, holds, a chart for each metric, and a form to grant credits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from accounts.services.customers import find_customer
from stackbe.kernel.errors import ValidationFailed
from usage.credit_shapes import CreditInput
from usage.models import Credit
from usage.services.credits import credits_of, grant_credit
from usage.services.figures import LEVELS
from usage.services.metrics import live_metrics
from usage.services.reservations import live_holds
from usage.services.series import series_of
from usage.services.summary import standing

if TYPE_CHECKING:
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope

CHARTS = 3
LISTED = 10


class CreditForm(forms.Form):
    """Units to grant."""

    metric = forms.ChoiceField(label="Metric")
    quantity = forms.IntegerField(label="Units", min_value=1, max_value=10**12)
    reason = forms.CharField(label="Why", max_length=255, help_text="Kept with the grant and in the audit log.")
    expires_at = forms.DateField(
        label="Expires", required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="At midnight UTC."
    )
    priority = forms.IntegerField(
        label="Priority", min_value=0, max_value=100, initial=50, help_text="The least is spent first."
    )

    def __init__(self, *args: Any, metrics: list[str], **kwargs: Any) -> None:
        """Offer the metrics that add up."""
        super().__init__(*args, **kwargs)
        self.fields["metric"].choices = [(name, name) for name in metrics]  # type: ignore[attr-defined]  # a ChoiceField

    def asked(self) -> dict[str, Any]:
        """Return what was filled in, as the API takes it."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in {None, ""}}
        if "expires_at" in given:
            given["expires_at"] = f"{given['expires_at'].isoformat()}T00:00:00Z"
        return as_the_api_takes_it(CreditInput, given)


def usage_of(scope: Scope, customer: Customer) -> dict[str, Any]:
    """Return what the customer's page shows of their usage."""
    figures = standing(scope, customer.pk)
    spendable = spendable_metrics(scope)
    used = [one for one in figures if one.used][:CHARTS]
    return {
        "usage": figures,
        "credits": list(credits_of(scope, customer.pk).order_by("-pk")[:LISTED]),
        "holds": live_holds(scope, customer.pk)[:LISTED],
        "series": [chart(scope, one.metric, customer) for one in used],
        "spendable_metrics": spendable,
        "credit_form": CreditForm(metrics=spendable),
    }


def spendable_metrics(scope: Scope) -> list[str]:
    """Return the metrics that credits can be granted of."""
    return list(live_metrics(scope).exclude(aggregation__in=LEVELS).order_by("name").values_list("name", flat=True))


def chart(scope: Scope, metric: str, customer: Customer | None = None) -> dict[str, Any]:
    """Return the last 30 days of a metric, of one customer or of all."""
    points = series_of(scope, metric=metric, granularity="day", customer_id=customer.pk if customer else None)
    return {
        "metric": metric,
        "label": f"{metric} a day, the last 30 days",
        "unit": live_metrics(scope).get(name=metric).unit,
        "points": [(f"{point.start.day} {point.start:%b}", max(0, point.value)) for point in points],
    }


class GrantCredits(AppPage):
    """Granting a customer units beside their plan."""

    resource = "usage"

    def post(self, request: HttpRequest, app_id: str, customer_id: str) -> HttpResponse:
        """Grant them; what is wrong with the form is said on the customer's page."""

        def act(scope: Scope) -> Credit:
            form = CreditForm(request.POST, metrics=spendable_metrics(scope))
            if not form.is_valid():
                fields = {name: [str(error) for error in errors] for name, errors in form.errors.items()}
                raise ValidationFailed(fields=fields)
            return grant_credit(scope, find_customer(scope, public_id=customer_id), **form.asked())

        made = self.perform(act)
        return self.done(f"{made.quantity} {made.metric.name} granted.", "dashboard-customer", customer_id)
