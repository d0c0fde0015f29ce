"""The page that an invitation's link opens, in the app's name: GET shows, POST joins and goes on to the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csp.decorators import csp_update
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_ratelimit.decorators import ratelimit

from accounts import opaque
from accounts.models import App
from accounts.organization_errors import InviteInvalid
from accounts.pages.browser import discreet
from accounts.pages.customers import GONE, TRIES, app_named, brand, origins, see_other
from accounts.pages.forms import LinkForm
from accounts.services import organizations_invites as invites
from stackbe.kernel import ids
from stackbe.kernel.errors import ApiError

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.lookups import KnownApp

CONFLICT, BAD = 409, 400


@require_http_methods(["GET", "HEAD", "POST"])
@discreet
@ratelimit(group="customer-invite", **TRIES)
def join(request: HttpRequest) -> HttpResponse:
    """Show the page, which spends nothing; its button posts the token, and the app gets a one-time code."""
    app = app_named(request.GET.get("app", ""))
    if request.method != "POST":
        return _dead(request, None, InviteInvalid()) if app is None else _page(request, app, LinkForm())
    form = LinkForm(request.POST)
    if not form.is_valid():
        return _dead(request, None, InviteInvalid()) if app is None else _page(request, app, form, BAD)
    token = form.cleaned_data["token"]
    app = _app_of(token)
    if app is None:
        return _dead(request, None, InviteInvalid())
    try:
        target, joined = invites.accept_in_browser(app, token)
    except ApiError as refusal:
        return _dead(request, app, refusal)
    if target:
        return see_other(target)
    context = {"brand": brand(app), "organization": joined.organization_name}
    return render(request, "auth/invite_joined.html", context)


@require_POST
@discreet
@ratelimit(group="customer-invite-peek", **TRIES)
def peek(request: HttpRequest) -> HttpResponse:
    """Tell the page whom the invitation is for, masked, and to what; spends nothing."""
    token = request.POST.get("token", "")
    app = _app_of(token)
    try:
        if app is None:
            raise InviteInvalid
        found = invites.preview(app, token)
    except ApiError as refusal:
        return JsonResponse({"code": refusal.code}, status=refusal.status)
    return JsonResponse({"email": found.masked_email, "organization": found.organization, "otherBrowser": False})


def _page(request: HttpRequest, app: KnownApp, form: LinkForm, status: int = 200) -> HttpResponse:
    context = {
        "action": f"{reverse('customer-invite')}?app={ids.encode(App.id_prefix, app.id)}",
        "peek_url": reverse("customer-invite-peek"),
        "form": form,
        "brand": brand(app),
    }
    response = render(request, "auth/invite.html", context, status=status)
    csp_update({"form-action": origins(app)})(lambda _request: response)(request)
    return response


def _app_of(token: str) -> KnownApp | None:
    parts = opaque.read(opaque.INVITE, token)
    if parts is None or parts.app_id is None:
        return None
    return app_named(ids.encode(App.id_prefix, parts.app_id))


def _dead(request: HttpRequest, app: KnownApp | None, refusal: ApiError) -> HttpResponse:
    """Say why nobody joined: for a full plan the invitation stays good, for all else it is over."""
    full = refusal.status == CONFLICT
    context = {"reason": str(refusal), "full": full, "brand": None if app is None else brand(app)}
    return render(request, "auth/invite_dead.html", context, status=CONFLICT if full else GONE)
