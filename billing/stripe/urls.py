"""Stripe's rows in the table of routes, and the pages that browsers and Stripe call."""

from __future__ import annotations

from django.urls import path

from billing.stripe import api_views, coupon_views, views
from stackbe.kernel.routes import may, route

ROUTES = [
    route("checkout/session", api_views.CheckoutSession, "checkout-session", POST=may("checkout:write")),
    route(
        "coupons", coupon_views.Coupons, "coupons", GET=may("plans:read"), POST=may("plans:write")
    ),
    route(
        "coupons/<str:coupon_id>", coupon_views.OneCoupon, "coupon", GET=may("plans:read"), DELETE=may("plans:write")
    ),
    route("portal/session", api_views.PortalSession, "portal-session", POST=may("subscriptions:write")),
    route(
        "subscriptions/current", api_views.CurrentSubscription, "subscription-current", GET=may("subscriptions:read")
    ),
    route(
        "subscriptions/preview", api_views.SubscriptionPreview, "subscription-preview", POST=may("subscriptions:write")
    ),
    route(
        "subscriptions/<str:subscription_id>/scheduled-change", api_views.SubscriptionScheduledChange,
        "subscription-scheduled-change", DELETE=may("subscriptions:write"),
    ),
    route(
        "subscriptions/<str:subscription_id>/pause", api_views.SubscriptionPause, "subscription-pause",
        POST=may("subscriptions:write"),
    ),
    route(
        "subscriptions/<str:subscription_id>/resume", api_views.SubscriptionResume, "subscription-resume",
        POST=may("subscriptions:write"),
    ),
    route(
        "subscriptions/<str:subscription_id>/cancel", api_views.SubscriptionCancel, "subscription-cancel",
        POST=may("subscriptions:write"),
    ),
    route(
        "subscriptions/<str:subscription_id>/reactivate", api_views.SubscriptionReactivate, "subscription-reactivate",
        POST=may("subscriptions:write"),
    ),
]  # fmt: skip
PAGES = [
    path("webhooks/stripe/<uuid:endpoint_id>", views.stripe_inbox, name="stripe-inbox"),
    path("connect/stripe/callback", views.connect_callback, name="stripe-callback"),
    path("connect/stripe/<str:app_id>", views.connect_start, name="stripe-connect"),
    path("connect/stripe/<str:app_id>/repair", views.repair, name="stripe-repair"),
    path("connect/stripe/<str:app_id>/disconnect", views.connect_end, name="stripe-disconnect"),
]
