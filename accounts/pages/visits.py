"""Customers' visits to the pages of second factors: how one is entered, kept in the browser, and over.

An address carries the visit's token after #, which browsers send to nobody. A script posts it, or a person without
scripts pastes the address; from then on it lies in a cookie that no script reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from csp.decorators import csp_update
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts import opaque
from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.models import App
from accounts.pages.browser import visit_token
from accounts.pages.customers import GONE, app_named, brand
from accounts.pages.forms import LinkForm
from stackbe.kernel import ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

    from accounts.lookups import KnownApp
    from stackbe.kernel.errors import ApiError

BAD, TOO_MANY = 400, 429
Over = (TokenInvalid, TokenExpired, TokenAlreadyUsed)


def current(request: HttpRequest, kind: str) -> tuple[KnownApp | None, str]:
    """Return the app and the token of the visit that this browser is on; no app where it is on none."""
    token = visit_token(request, kind)
    return app_of(kind, token), token


def app_of(kind: str, token: str) -> KnownApp | None:
    """Return the app in service that a token names."""
    parts = opaque.read(kind, token)
    return None if parts is None or parts.app_id is None else app_named(ids.encode(App.id_prefix, parts.app_id))


def arrive(request: HttpRequest, name: str, form: LinkForm | None = None) -> HttpResponse:
    """Return the page that takes the token out of its address."""
    app = app_named(request.GET.get("app", ""))
    context = {"action": reverse(name), "form": form or LinkForm(), "brand": None if app is None else brand(app)}
    return render(request, "auth/visit_arrive.html", context, status=BAD if form is not None else 200)


def show(
    request: HttpRequest,
    app: KnownApp,
    name: str,
    template: str,
    context: dict[str, object],
    *,
    status: int = 200,
    leads_to: Iterable[str] = (),
) -> HttpResponse:
    """Return a page of a visit in the app's name, whose forms lead to itself and `leads_to` alone."""
    shown = {**context, "action": reverse(name), "brand": brand(app)}
    response = render(request, template, shown, status=status)
    csp_update({"form-action": sorted(leads_to)})(lambda _request: response)(request)
    return response


def over(request: HttpRequest, app: KnownApp | None, name: str, refusal: ApiError) -> HttpResponse:
    """Say that a visit is over, and why."""
    context = {"reason": str(refusal), "action": reverse(name), "brand": None if app is None else brand(app)}
    return render(request, "auth/visit_over.html", context, status=GONE)


def status_of(refusal: ApiError | None) -> int:
    """Return the status of a page that says why something was refused."""
    if refusal is None:
        return 200
    return TOO_MANY if refusal.status == TOO_MANY else BAD
