"""Usage, metrics and checks in the table of routes."""

from __future__ import annotations

from django.urls import URLPattern

from stackbe.kernel.routes import KEYS, SESSIONS, Limit, Route, may, route
from usage import dashboard
from usage.views import catalogue, checks, metrics, reservations, state, usage
from usage.views.clock import TestClock
from usage.views.credits import CustomerCredits

ROUTES: list[Route] = [
    route("catalogue", catalogue.Catalogue, "catalogue", GET=may("plans:read"), PUT=may("plans:write")),
    route("metrics", metrics.Metrics, "metrics", GET=may("plans:read"), POST=may("plans:write")),
    route(
        "metrics/<str:metric_id>",
        metrics.MetricItem,
        "metric",
        GET=may("plans:read"),
        PATCH=may("plans:write"),
        DELETE=may("plans:write"),
    ),
    route(
        "entitlements/check",
        checks.CheckFeatures,
        "entitlements-check",
        POST=may("entitlements:read", credentials=KEYS | SESSIONS, limit=Limit.HOT),
    ),
    route(
        "entitlements/check/batch",
        checks.CheckMany,
        "entitlements-check-batch",
        POST=may("entitlements:read", limit=Limit.HOT),
    ),
    route(
        "entitlements/check/<str:feature>",
        checks.CheckFeature,
        "entitlement-check",
        GET=may("entitlements:read", credentials=KEYS | SESSIONS, limit=Limit.HOT),
    ),
    route("usage/track", usage.Track, "usage-track", POST=may("usage:write", limit=Limit.HOT)),
    route(
        "usage/track/batch",
        usage.TrackBatch,
        "usage-track-batch",
        POST=may("usage:write", limit=Limit.HOT),
    ),
    route("usage/check", usage.UsageCheck, "usage-check", GET=may("usage:read", limit=Limit.HOT)),
    route("usage", usage.Usage, "usage", GET=may("usage:read")),
    route("usage/sync", usage.Sync, "usage-sync", PUT=may("usage:write")),
    route("usage/timeseries", usage.Series, "usage-timeseries", GET=may("usage:read")),
    route(
        "usage/reservations",
        reservations.Reservations,
        "usage-reservations",
        GET=may("usage:read"),
        POST=may("usage:write", limit=Limit.HOT),
    ),
    route(
        "usage/reservations/<str:reservation_id>",
        reservations.OneReservation,
        "usage-reservation",
        GET=may("usage:read"),
    ),
    route(
        "usage/reservations/<str:reservation_id>/confirm",
        reservations.ReservationConfirm,
        "usage-reservation-confirm",
        POST=may("usage:write", limit=Limit.HOT),
    ),
    route(
        "usage/reservations/<str:reservation_id>/release",
        reservations.ReservationRelease,
        "usage-reservation-release",
        POST=may("usage:write", limit=Limit.HOT),
    ),
    route(
        "customers/<str:customer_id>/credits",
        CustomerCredits,
        "customer-credits",
        GET=may("usage:read"),
        POST=may("usage:write"),
    ),
    route("test/clock", TestClock, "test-clock", POST=may("apps:write")),
    route(
        "customers/<str:customer_id>/state",
        state.CustomerState,
        "customer-state",
        GET=may("entitlements:read", limit=Limit.HOT),
    ),
]
PAGES: list[URLPattern] = [*dashboard.PAGES]
