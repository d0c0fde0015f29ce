"""Pages about what an app sells and who pays for it."""

from __future__ import annotations

from django.urls import URLPattern, path

from billing.dashboard import changes, coupons, plans, revenue, stripe, subscriptions, versions

_APP = "dashboard/<str:app_id>"

PAGES: list[URLPattern] = [
    path(f"{_APP}/plans", plans.Plans.as_view(), name="dashboard-plans"),
    path(f"{_APP}/plans/new", plans.NewPlan.as_view(), name="dashboard-plan-new"),
    path(f"{_APP}/plans/<str:plan_id>", plans.EditPlan.as_view(), name="dashboard-plan"),
    path(f"{_APP}/plans/<str:plan_id>/archive", plans.ArchivePlan.as_view(), name="dashboard-plan-archive"),
    path(f"{_APP}/plans/<str:plan_id>/versions", versions.PlanVersions.as_view(), name="dashboard-plan-versions"),
    path(
        f"{_APP}/plans/<str:plan_id>/migrations/<str:migration_id>/stop",
        versions.StopMigration.as_view(),
        name="dashboard-migration-stop",
    ),
    path(f"{_APP}/coupons", coupons.Coupons.as_view(), name="dashboard-coupons"),
    path(f"{_APP}/coupons/<str:coupon_id>/archive", coupons.ArchiveCoupon.as_view(), name="dashboard-coupon-archive"),
    path(f"{_APP}/revenue", revenue.Revenue.as_view(), name="dashboard-revenue"),
    path(f"{_APP}/features", plans.Features.as_view(), name="dashboard-features"),
    path(f"{_APP}/features/<str:key>/archive", plans.ArchiveFeature.as_view(), name="dashboard-feature-archive"),
    path(f"{_APP}/subscriptions", subscriptions.Subscriptions.as_view(), name="dashboard-subscriptions"),
    path(
        f"{_APP}/subscriptions/<str:subscription_id>",
        subscriptions.OneSubscription.as_view(),
        name="dashboard-subscription",
    ),
    path(
        f"{_APP}/subscriptions/<str:subscription_id>/change",
        changes.ChangeSubscription.as_view(),
        name="dashboard-subscription-change",
    ),
    path(
        f"{_APP}/subscriptions/<str:subscription_id>/<slug:action>",
        subscriptions.SubscriptionAction.as_view(),
        name="dashboard-subscription-action",
    ),
    path(f"{_APP}/customers/<str:customer_id>/checkout", subscriptions.Checkout.as_view(), name="dashboard-checkout"),
    path(f"{_APP}/stripe", stripe.StripePage.as_view(), name="dashboard-stripe"),
]
