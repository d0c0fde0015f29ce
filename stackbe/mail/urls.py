"""The development inbox's pages, and where providers tell of bounces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from stackbe.mail.bounces import provider_events
from stackbe.mail.pages import html_page, inbox_page, message_page

if TYPE_CHECKING:
    from django.urls import URLPattern

    from stackbe.kernel.routes import Route

ROUTES: list[Route] = []
PAGES: list[URLPattern] = [
    path("webhooks/mail/<str:provider>", provider_events, name="mail-events"),
    path("dev/inbox", inbox_page, name="dev-inbox"),
    path("dev/inbox/<str:message_id>", message_page, name="dev-inbox-message"),
    path("dev/inbox/<str:message_id>/html", html_page, name="dev-inbox-html"),
]
