"""Routes and pages that the service speaks of itself with."""

from __future__ import annotations

from django.urls import URLPattern, path

from stackbe.kernel.routes import PUBLIC, Limit, Route, may, route
from stackbe.trust import attestation, contact, dashboard, leaks, page, views

ROUTES: list[Route] = [
    route(
        "openapi.json",
        views.OpenApiDocument,
        "openapi",
        GET=may(credentials=PUBLIC, limit=Limit.PAGE),
    ),
]
PAGES: list[URLPattern] = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path(".well-known/security.txt", views.security_txt, name="security-txt"),
    path(".well-known/stackbe-keys.json", attestation.keys, name="attestation-keys"),
    path("contact", contact.contact, name="contact"),
    path("webhooks/secret-scanning", leaks.secret_scanning, name="secret-scanning"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("metrics", views.metrics, name="metrics"),
    path("docs", views.guide, name="docs"),
    path("docs/api", views.api_reference, name="api-reference"),
    path("docs/<slug:name>", views.guide, name="guide"),
    path("dashboard/<str:app_id>/audit", dashboard.AuditLog.as_view(), name="dashboard-audit"),
    path("dashboard/<str:app_id>/audit/export", dashboard.ExportAudit.as_view(), name="dashboard-audit-export"),
    path("security", page.security, name="security"),
    path("security/feed.atom", page.feed, name="security-feed"),
    path("security/sbom.json", page.sbom, name="security-sbom"),
    path("privacy", page.text, {"name": "privacy"}, name="privacy"),
    path("terms", page.text, {"name": "terms"}, name="terms"),
]
