"""The pages about an account's data."""

from __future__ import annotations

from django.urls import URLPattern, path

from stackbe.archive import dashboard

ACCOUNT = "dashboard/<str:app_id>/account"
PAGES: list[URLPattern] = [
    path(ACCOUNT, dashboard.Account.as_view(), name="dashboard-account"),
    path(f"{ACCOUNT}/archives", dashboard.ExportAccount.as_view(), name="dashboard-account-export"),
    path(f"{ACCOUNT}/archives/<str:archive_id>", dashboard.DownloadArchive.as_view(), name="dashboard-account-archive"),
    path(f"{ACCOUNT}/receipts/<str:erasure_id>", dashboard.Receipt.as_view(), name="dashboard-account-receipt"),
    path(f"{ACCOUNT}/delete", dashboard.DeleteAccount.as_view(), name="dashboard-account-delete"),
    path(f"{ACCOUNT}/keep", dashboard.KeepAccount.as_view(), name="dashboard-account-keep"),
]
