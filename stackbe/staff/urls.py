"""The console's place."""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, URLResolver, path

from stackbe.kernel.routes import Route
from stackbe.staff import chain_rows, dashboard, rows, ticket_rows  # noqa: F401  # they register the lists
from stackbe.staff.console import console
from stackbe.staff.entry import enter

ROUTES: list[Route] = []
PAGES: list[URLPattern | URLResolver] = [
    *dashboard.PAGES,
    path("login/staff", enter, name="staff-entry"),
    path(f"{settings.CONSOLE_PATH}/", console.urls),
]
