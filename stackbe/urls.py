"""Every URL: the public API from the one table of routes, then pages."""

from __future__ import annotations

from django.urls import include, path, re_path

import accounts.urls
import apikeys.urls
import billing.urls
import stackbe.archive.urls
import stackbe.mail.urls
import stackbe.staff.urls
import stackbe.trust.urls
import usage.urls
import webhooks.urls
from stackbe.kernel.unknown import UnknownRoute

ROUTES = [
    *apikeys.urls.ROUTES,
    *accounts.urls.ROUTES,
    *billing.urls.ROUTES,
    *usage.urls.ROUTES,
    *webhooks.urls.ROUTES,
    *stackbe.trust.urls.ROUTES,
]
# Django looks through them in turn, so those that an app asks on its every request come first.
API = [route.as_path() for route in sorted(ROUTES, key=lambda route: not route.is_hot)]

urlpatterns = [
    path("v1/", include(API)),
    re_path(r"^v1(?:/.*)?$", UnknownRoute.as_view(), name="unknown"),
    *stackbe.trust.urls.PAGES,
    *stackbe.mail.urls.PAGES,
    *accounts.urls.PAGES,
    *apikeys.urls.PAGES,
    *billing.urls.PAGES,
    *usage.urls.PAGES,
    *webhooks.urls.PAGES,
    *stackbe.archive.urls.PAGES,
    *stackbe.staff.urls.PAGES,
]
handler400 = "stackbe.trust.pages.bad_request"
handler403 = "stackbe.trust.pages.forbidden"
handler404 = "stackbe.trust.pages.not_found"
handler500 = "stackbe.trust.pages.crashed"
