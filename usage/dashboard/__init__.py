"""Usage in the dashboard: the page of metrics, and usage on a customer's page."""

from __future__ import annotations

from django.urls import URLPattern, path

from usage.dashboard.customer import GrantCredits
from usage.dashboard.metrics import ArchiveMetric, Usage

PAGES: list[URLPattern] = [
    path("dashboard/<str:app_id>/usage", Usage.as_view(), name="dashboard-usage"),
    path(
        "dashboard/<str:app_id>/metrics/<str:metric_id>/archive",
        ArchiveMetric.as_view(),
        name="dashboard-metric-archive",
    ),
    path(
        "dashboard/<str:app_id>/customers/<str:customer_id>/credits",
        GrantCredits.as_view(),
        name="dashboard-customer-credits",
    ),
]
