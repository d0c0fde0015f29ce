"""URLs of the dashboard's pages about accounts, apps and customers."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.dashboard import apps, customers, home, overview

APP = "dashboard/<str:app_id>"

PAGES: list[URLPattern] = [
    path("", home.home, name="home"),
    path("dashboard/", overview.Start.as_view(), name="dashboard"),
    path("dashboard/new", apps.NewApp.as_view(), name="dashboard-app-new"),
    path(f"{APP}/", overview.Overview.as_view(), name="dashboard-overview"),
    path(f"{APP}/customers", customers.Customers.as_view(), name="dashboard-customers"),
    path(f"{APP}/customers/<str:customer_id>", customers.OneCustomer.as_view(), name="dashboard-customer"),
    path(
        f"{APP}/customers/<str:customer_id>/delete",
        customers.DeleteCustomer.as_view(),
        name="dashboard-customer-delete",
    ),
    path(
        f"{APP}/customers/<str:customer_id>/sign-out",
        customers.SignOut.as_view(),
        name="dashboard-customer-sign-out",
    ),
    path(
        f"{APP}/customers/<str:customer_id>/mail",
        customers.MailAgain.as_view(),
        name="dashboard-customer-mail",
    ),
    path(f"{APP}/settings", apps.Settings.as_view(), name="dashboard-settings"),
    path(f"{APP}/settings/archive", apps.Archive.as_view(), name="dashboard-app-archive"),
]
