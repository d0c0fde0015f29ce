"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.urls import URLPattern

    from stackbe.kernel.routes import Route

ROUTES: list[Route] = []
PAGES: list[URLPattern] = []
