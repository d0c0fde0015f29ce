"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing import dashboard
from billing.stripe import urls as stripe_urls
from billing.views import access, catalogue, migrations, subscriptions
from stackbe.kernel.routes import KEYS, SESSIONS, may, route

if TYPE_CHECKING:
    from django.urls import URLPattern

READ_PLANS, WRITE_PLANS = may("plans:read"), may("plans:write")
READ, WRITE = may("subscriptions:read"), may("subscriptions:write")
GRANT = may("entitlements:write")
ONE = {"GET": READ_PLANS, "PATCH": WRITE_PLANS, "DELETE": WRITE_PLANS}

ROUTES = [
    # First, since `subscriptions/current` is no subscription's id.
    *stripe_urls.ROUTES,
    route("products", catalogue.Products, "products", GET=READ_PLANS, POST=WRITE_PLANS),
    route("products/<str:product_id>", catalogue.OneProduct, "product", **ONE),
    route("plans", catalogue.Plans, "plans", GET=READ_PLANS, POST=WRITE_PLANS),
    route("plans/<str:plan_id>", catalogue.OnePlan, "plan", **ONE),
    route("plans/<str:plan_id>/migration-preview", migrations.PlanMigrationPreview, "plan-migration-preview", GET=READ),
    route("plans/<str:plan_id>/migrations", migrations.PlanMigrations, "plan-migrations", GET=READ, POST=WRITE),
    route(
        "plans/<str:plan_id>/migrations/<str:migration_id>",
        migrations.OnePlanMigration,
        "plan-migration",
        GET=READ,
        DELETE=WRITE,
    ),
    route("features", catalogue.Features, "features", GET=READ_PLANS, POST=WRITE_PLANS),
    route("features/<str:feature_key>", catalogue.OneFeature, "feature", **ONE),
    route("subscriptions", subscriptions.Subscriptions, "subscriptions", GET=READ, POST=WRITE),
    route("subscriptions/<str:subscription_id>", subscriptions.OneSubscription, "subscription", GET=READ, PATCH=WRITE),
    route(
        "subscriptions/<str:subscription_id>/history",
        subscriptions.SubscriptionHistory,
        "subscription-history",
        GET=READ,
    ),
    route(
        "subscriptions/<str:subscription_id>/access",
        subscriptions.SubscriptionAccess,
        "subscription-access",
        GET=READ,
    ),
    route(
        "subscriptions/<str:subscription_id>/entitlement-overrides",
        access.SubscriptionOverrides,
        "subscription-overrides",
        GET=may("entitlements:read"),
    ),
    route(
        "subscriptions/<str:subscription_id>/entitlement-overrides/<str:feature_key>",
        access.SubscriptionOverride,
        "subscription-override",
        PUT=GRANT,
        DELETE=GRANT,
    ),
    route("invoices", subscriptions.Invoices, "invoices", GET=READ),
    route(
        "entitlements",
        access.Entitlements,
        "entitlements",
        GET=may("entitlements:read", credentials=KEYS | SESSIONS),
    ),
    route(
        "customers/<str:customer_id>/entitlement-overrides",
        access.EntitlementOverrides,
        "entitlement-overrides",
        GET=may("entitlements:read"),
    ),
    route(
        "customers/<str:customer_id>/entitlement-overrides/<str:feature_key>",
        access.EntitlementOverride,
        "entitlement-override",
        PUT=GRANT,
        DELETE=GRANT,
    ),
]
PAGES: list[URLPattern] = [*stripe_urls.PAGES, *dashboard.PAGES]
