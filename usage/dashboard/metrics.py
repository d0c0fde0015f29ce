"""The page of what an app counts, and how much of it there is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse

from accounts.dashboard.frame import AppPage, as_the_api_takes_it
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import current
from usage.dashboard.customer import chart
from usage.models import Counter, Metric
from usage.serializers import MetricInput
from usage.services.metrics import archive_metric, create_metric, live_metrics

LISTED = 15


class MetricForm(forms.Form):
    """Something to count."""

    name = forms.CharField(
        label="Name",
        max_length=64,
        help_text="What your code sends, such as api_calls.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    unit = forms.CharField(label="Unit", required=False, max_length=40, help_text="Such as calls or GB.")
    aggregation = forms.ChoiceField(
        label="Counted as",
        choices=[
            ("sum", "The sum of what is sent"),
            ("max", "The largest"),
            ("last", "The latest"),
            ("unique", "Different values"),
        ],
    )
    resets = forms.ChoiceField(
        label="Starts anew",
        choices=[
            ("billing_period", "With the customer’s billing period"),
            ("month", "Every calendar month"),
            ("day", "Every day"),
            ("never", "Never"),
        ],
    )


class Usage(AppPage):
    """Metrics, who uses most, and how counting goes."""

    section = "usage"
    resource = "usage"
    template = "dashboard/usage.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the chosen metric's counters of the periods that run now."""
        metrics = list(live_metrics(self.scope).order_by("name"))
        wanted = self.request.GET.get("metric", "")
        chosen = next((metric for metric in metrics if metric.name == wanted), metrics[0] if metrics else None)
        shown = {"metrics": metrics, "chosen": chosen, "form": MetricForm(), "base_url": settings.BASE_URL}
        return shown | (self.figures(chosen) if chosen else {})

    def figures(self, metric: Metric) -> dict[str, Any]:
        """Return the total of the periods that run now, and who used most."""
        moment = now(self.scope)
        counters = Counter.objects.within(self.scope).filter(metric=metric)
        running = counters.filter(period_start__lte=moment).exclude(period_end__lte=moment)
        top = list(running.select_related("customer").order_by("-used")[:LISTED])
        current().keys.preload([row.customer_id for row in top])
        return {
            "top": top,
            "total": running.aggregate(used=Sum("used"))["used"] or 0,
            "users": running.count(),
            "most": max((row.used for row in top), default=0),
            "chart": chart(self.scope, metric.name),
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Define a metric."""
        form = MetricForm(request.POST)

        def act() -> HttpResponse:
            asked = as_the_api_takes_it(MetricInput, form.cleaned_data)
            made = self.perform(lambda scope: create_metric(scope, **asked))
            return self.done(f"{made.name} is counted from now on.", "dashboard-usage")

        return self.submit(form, act, {"form": form, "is_adding": True})


class ArchiveMetric(AppPage):
    """Stopping to count."""

    resource = "plans"
    home = "dashboard-usage"

    def post(self, request: HttpRequest, app_id: str, metric_id: str) -> HttpResponse:
        """Archive the metric."""
        self.perform(lambda scope: archive_metric(scope, metric_id))
        return self.done("Archived. What was counted stays.", "dashboard-usage")
