"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from accounts import organization_urls, social_urls
from accounts.dashboard import urls as dashboard
from accounts.pages import customer_factor, customer_security, developers, second_factor
from accounts.pages import customers as customer_pages
from accounts.views import apps, auth, customers, erasures, factors, me, sessions, tenants
from stackbe.kernel.routes import KEYS, PUBLIC, SESSIONS, TENANT_KEYS, Limit, may, route
from stackbe.kernel.scope import Credential, Role

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
ROUTES += [
    route(
        f"{CUSTOMER}/archive",
        erasures.CustomerArchive,
        "customer-archive",
        GET=may("customers:read", role=Role.DEVELOPER),
    ),
    route("erasures", erasures.Erasures, "erasures", GET=READ),
    route("erasures/<str:erasure_id>", erasures.OneErasure, "erasure", GET=READ),
]
AUTH = "apps/<str:app_id>/auth"
OPEN = may(credentials=PUBLIC, limit=Limit.AUTH)
ROUTES += [
    route(
        f"{AUTH}/magic-link",
        auth.MagicLinks,
        "auth-magic-link",
        POST=may(credentials=KEYS | {Credential.PUBLISHABLE}),
    ),
    route(f"{AUTH}/verify", auth.Verify, "auth-verify", GET=OPEN, POST=OPEN),
    route(f"{AUTH}/session", auth.Session, "auth-session", GET=may(credentials=SESSIONS, limit=Limit.HOT)),
    route(f"{AUTH}/refresh", auth.Refresh, "auth-refresh", POST=OPEN),
    route(f"{AUTH}/introspect", sessions.Introspect, "auth-introspect", POST=may("auth:write")),
    route(f"{AUTH}/logout", auth.Logout, "auth-logout", POST=may(credentials=SESSIONS)),
    route(
        f"{AUTH}/switch-organization",
        auth.SwitchOrganization,
        "auth-switch-organization",
        POST=may(credentials=SESSIONS),
    ),
    route(
        "apps/<str:app_id>/.well-known/jwks.json",
        sessions.Jwks,
        "auth-jwks",
        GET=may(credentials=PUBLIC, limit=Limit.PAGE),
    ),
    route(
        f"{CUSTOMER}/sessions",
        sessions.CustomerSessions,
        "customer-sessions",
        GET=may("auth:write"),
        POST=may("auth:write"),
        DELETE=may("auth:write"),
    ),
    route(
        f"{CUSTOMER}/sessions/<str:session_id>",
        sessions.CustomerSessionItem,
        "customer-session",
        GET=may("auth:write"),
        DELETE=may("auth:write"),
    ),
]
OWN_FACTORS = may(credentials=SESSIONS)
ROUTES += [
    route(f"{AUTH}/factor", factors.GiveFactor, "auth-factor", POST=OPEN),
    route(f"{AUTH}/factors", factors.Factors, "auth-factors", GET=OWN_FACTORS),
    route(f"{AUTH}/factors/prove", factors.ProveFactor, "auth-factors-prove", POST=OWN_FACTORS),
    route(f"{AUTH}/factors/totp", factors.Authenticator, "auth-factors-totp", POST=OWN_FACTORS, DELETE=OWN_FACTORS),
    route(f"{AUTH}/factors/totp/confirm", factors.ConfirmAuthenticator, "auth-factors-totp-confirm", POST=OWN_FACTORS),
    route(f"{AUTH}/factors/passkeys/<str:passkey_id>", factors.OnePasskey, "auth-factors-passkey", DELETE=OWN_FACTORS),
    route(f"{AUTH}/factors/recovery-codes", factors.RecoveryCodes, "auth-factors-recovery-codes", POST=OWN_FACTORS),
    route(
        f"{CUSTOMER}/security/session",
        factors.SecuritySession,
        "customer-security-session",
        POST=may("auth:write", credentials=KEYS | SESSIONS),
    ),
    route(
        f"{CUSTOMER}/factors",
        factors.CustomerFactorsOfApp,
        "customer-factors",
        GET=may("auth:write"),
        DELETE=may("auth:write"),
    ),
]
ROUTES += organization_urls.ROUTES
ROUTES += social_urls.ROUTES
PAGES: list[URLPattern] = [
    *dashboard.PAGES,
    *organization_urls.PAGES,
    *social_urls.PAGES,
    path("auth/confirm", customer_pages.confirm, name="customer-confirm"),
    path("brand/<str:app_id>/<str:digest>", customer_pages.logo, name="app-logo"),
    path("auth/peek", customer_pages.peek, name="customer-peek"),
    path("auth/factor", customer_factor.factor, name="customer-factor"),
    path("auth/security", customer_security.security, name="customer-security"),
    path("auth/code", customer_pages.enter_code, name="customer-code"),
    path("login", developers.log_in, name="login"),
    path("signup", developers.sign_up, name="signup"),
    path("login/factor", second_factor.give_factor, name="login-factor"),
    path("logout", developers.log_out, name="logout"),
    path("auth/invitation", second_factor.invitation, name="member-invitation"),
    path("auth/invitation/peek", second_factor.peek_invitation, name="member-invitation-peek"),
    path("auth/developer/confirm", developers.confirm, name="developer-confirm"),
    path("auth/developer/peek", developers.peek, name="developer-peek"),
    path("auth/developer/code", developers.enter_code, name="developer-code"),
]
