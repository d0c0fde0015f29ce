"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from accounts.pages import developers
from accounts.views import apps, customers, me, tenants
from stackbe.kernel.routes import KEYS, PUBLIC, SESSIONS, TENANT_KEYS, Limit, may, route
from stackbe.kernel.scope import Role

if TYPE_CHECKING:
    from django.urls import URLPattern

READ, WRITE = may("customers:read"), may("customers:write")
CUSTOMER = "customers/<str:customer_id>"

ROUTES = [
    route("tenants", tenants.Tenants, "tenants", POST=may(credentials=PUBLIC, limit=Limit.SIGNUP)),
    route("me", me.Me, "me", GET=may(credentials=KEYS | SESSIONS)),
    route("apps", apps.Apps, "apps", GET=may(), POST=may("apps:write", credentials=TENANT_KEYS)),
    route(
        "apps/<str:app_id>",
        apps.OneApp,
        "app",
        GET=may(),
        PATCH=may("apps:write"),
        DELETE=may("apps:write"),
    ),
    route("customers", customers.Customers, "customers", GET=READ, POST=WRITE),
    route(CUSTOMER, customers.OneCustomer, "customer", GET=READ, PATCH=WRITE, DELETE=WRITE),
    route(
        f"{CUSTOMER}/export",
        customers.CustomerExport,
        "customer-export",
        GET=may("customers:read", role=Role.DEVELOPER),
    ),
]
PAGES: list[URLPattern] = [
    path("login", developers.log_in, name="login"),
    path("signup", developers.sign_up, name="signup"),
    path("logout", developers.log_out, name="logout"),
    path("auth/developer/confirm", developers.confirm, name="developer-confirm"),
    path("auth/developer/peek", developers.peek, name="developer-peek"),
    path("auth/developer/code", developers.enter_code, name="developer-code"),
]
