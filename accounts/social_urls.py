"""The rows of sign-in providers and connected accounts in the table of routes, and the pages between them."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.dashboard import social as dashboard
from accounts.pages import social as pages
from accounts.views import social
from stackbe.kernel.routes import SESSIONS, may, route

AUTH = "apps/<str:app_id>/auth"
PROVIDER = f"{AUTH}/providers/<str:provider>"
ROUTES = [
    route(f"{AUTH}/providers", social.Providers, "auth-providers", GET=may()),
    route(
        PROVIDER,
        social.OneProvider,
        "auth-provider",
        GET=may(),
        PUT=may("apps:write"),
        DELETE=may("apps:write"),
    ),
    route(f"{PROVIDER}/check", social.CheckProvider, "auth-provider-check", POST=may("apps:write")),
    route(
        f"{AUTH}/identities",
        social.OwnIdentities,
        "auth-identities",
        GET=may(credentials=SESSIONS),
        POST=may(credentials=SESSIONS),
    ),
    route(
        f"{AUTH}/identities/<str:identity_id>",
        social.OwnIdentity,
        "auth-identity",
        DELETE=may(credentials=SESSIONS),
    ),
    route(
        "customers/<str:customer_id>/identities",
        social.CustomerIdentities,
        "customer-identities",
        GET=may("customers:read"),
    ),
    route(
        "customers/<str:customer_id>/identities/<str:identity_id>",
        social.CustomerIdentityItem,
        "customer-identity",
        DELETE=may("auth:write"),
    ),
]
PAGES: list[URLPattern] = [
    *dashboard.PAGES,
    path("auth/social/start", pages.start, name="social-start"),
    path("auth/social/callback/<str:app_id>/<slug:provider>", pages.callback, name="social-callback"),
    path("auth/social/connect", pages.connect, name="social-connect"),
]
