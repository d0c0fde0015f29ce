"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys import dashboard, views
from stackbe.kernel.routes import TENANT_KEYS, may, route
from stackbe.kernel.scope import Role

if TYPE_CHECKING:
    from django.urls import URLPattern

LOOK = may("keys:write", role=Role.VIEWER)  # a list shows no secret, but who may make keys sees it
WRITE = may("keys:write")
TENANT_LOOK = may("keys:write", credentials=TENANT_KEYS, role=Role.VIEWER)
TENANT_WRITE = may("keys:write", credentials=TENANT_KEYS)
KEYS = "apps/<str:app_id>/api-keys"

ROUTES = [
    route(KEYS, views.AppKeys, "api-keys", GET=LOOK, POST=WRITE),
    route(f"{KEYS}/<str:key_id>", views.AppKey, "api-key", DELETE=WRITE),
    route(f"{KEYS}/<str:key_id>/rotate", views.AppKeyRotation, "api-key-rotate", POST=WRITE),
    route("api-keys", views.TenantKeys, "tenant-api-keys", GET=TENANT_LOOK, POST=TENANT_WRITE),
    route("api-keys/<str:key_id>", views.TenantKey, "tenant-api-key", DELETE=TENANT_WRITE),
]
PAGES: list[URLPattern] = [*dashboard.PAGES]
