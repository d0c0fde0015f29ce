"""Signing in with an account elsewhere: out to the provider, back from it, and the page that asks before connecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from csp.decorators import csp_update
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django_ratelimit import ALL
from django_ratelimit.decorators import ratelimit

from accounts import opaque
from accounts.errors import AppNotFound, RedirectNotAllowed
from accounts.models import App, Organization
from accounts.pages.browser import browser_secret, discreet, new_browser_secret, remember_browser
from accounts.pages.customers import app_named, brand, origins, see_other
from accounts.services import social
from accounts.services.social_providers import KNOWN_NAMES, find_provider
from accounts.social_errors import AttemptGone, Declined, NotSignedIn, ProviderNotFound
from stackbe.kernel import ids
from stackbe.kernel.errors import ApiError, NotFound
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.lookups import KnownApp

STARTS = {"key": "ip", "rate": "30/m", "method": ALL}
RETURNS = {"key": "ip", "rate": "60/m", "method": ALL}
BAD, GONE, UNAVAILABLE = 400, 410, 503
ANSWERED = ("state", "code", "error", "iss")


@require_GET
@discreet
@ratelimit(group="social-start", **STARTS)
def start(request: HttpRequest) -> HttpResponse:
    """Send the browser to a provider: what a button on the app's page points at."""
    app = app_named(request.GET.get("app", ""))
    slug = request.GET.get("provider", "")
    if app is None:
        return _refused(request, None, str(AppNotFound.message), status=BAD)
    browser = new_browser_secret(request)
    try:
        organization_id = _organization(request.GET.get("organizationId", ""))
        wanted = request.GET.get("redirectUrl") or None
        url = social.begin(app, slug, browser, redirect_url=wanted, organization_id=organization_id)
    except (RedirectNotAllowed, ProviderNotFound, NotFound) as refusal:
        return _refused(request, app, str(refusal), status=refusal.status)
    except NotSignedIn as reason:
        return _refused(request, app, reason.told(_name(app, slug)), status=UNAVAILABLE, retry=request.get_full_path())
    response = see_other(url)
    remember_browser(response, browser)
    return response


@require_GET
@discreet
@ratelimit(group="social-callback", **RETURNS)
def callback(request: HttpRequest, app_id: str, provider: str) -> HttpResponse:
    """Take a browser back from a provider, and lead it on to the app with a one-time code."""
    app = app_named(app_id)
    if app is None:
        return _refused(request, None, str(AppNotFound.message), status=BAD)
    again = f"{reverse('social-start')}?{urlencode({'app': app_id, 'provider': provider})}"
    try:
        answer = _answer(request)
        return see_other(social.finish(app, provider, browser_secret(request) or "", answer))
    except social.CameBack as back:
        if isinstance(back.reason, Declined):
            return see_other(back.back)
        sentence = back.reason.told(_name(app, provider))
        return _refused(request, app, sentence, status=BAD, back=back.back)
    except AttemptGone as reason:
        return _refused(request, app, reason.told(provider), status=GONE, retry=again)
    except RedirectNotAllowed as refusal:
        return _refused(request, app, str(refusal), status=refusal.status)


@require_http_methods(["GET", "POST"])
@discreet
@ratelimit(group="social-connect", **STARTS)
def connect(request: HttpRequest) -> HttpResponse:
    """Ask whether to connect an account, naming whose; only the button goes to the provider."""
    token = (request.POST if request.method == "POST" else request.GET).get("token", "")
    app = _app_of(token)
    if app is None:
        return _refused(request, None, AttemptGone.sentence, status=GONE)
    browser = new_browser_secret(request)
    try:
        if request.method == "POST":
            response = see_other(social.begin_link(app, token, browser))
            remember_browser(response, browser)
            return response
        offer = social.show_link(app, token)
    except AttemptGone as reason:
        return _refused(request, app, reason.sentence, status=GONE)
    except NotSignedIn as reason:
        return _refused(request, app, reason.told("The provider"), status=UNAVAILABLE)
    context = {"brand": brand(app), "offer": offer, "token": token, "action": reverse("social-connect")}
    page = render(request, "auth/social_connect.html", context)
    # Browsers hold form-action against every redirect that follows: to the provider, and from us on to the app.
    csp_update({"form-action": [offer.authorize_origin, *origins(app)]})(lambda _request: page)(request)
    return page


def _answer(request: HttpRequest) -> dict[str, str]:
    """Return what the provider added to the URL. Said twice, it could be read in two ways (RFC 6749, 3.1)."""
    if any(len(request.GET.getlist(name)) > 1 for name in ANSWERED):
        raise AttemptGone
    return {name: request.GET[name] for name in ANSWERED if name in request.GET}


def _organization(text: str) -> UUID | None:
    try:
        return ids.decode(Organization.id_prefix, text) if text else None
    except ids.MalformedId:
        raise NotFound("No such organization.") from None


def _app_of(token: str) -> KnownApp | None:
    parts = opaque.read(opaque.SOCIAL_LINK, token)
    if parts is None or parts.app_id is None:
        return None
    return app_named(ids.encode(App.id_prefix, parts.app_id))


def _name(app: KnownApp, slug: str) -> str:
    """Return what people call a provider."""
    scope = app.system_scope(social.ACTOR)
    try:
        with reading(scope):
            return find_provider(scope, slug).name
    except ApiError:
        return KNOWN_NAMES.get(slug, "The provider")


def _refused(
    request: HttpRequest, app: KnownApp | None, sentence: str, *, status: int, back: str = "", retry: str = ""
) -> HttpResponse:
    context: dict[str, Any] = {
        "reason": sentence,
        "brand": None if app is None else brand(app),
        "back_url": back,
        "retry_url": retry,
    }
    return render(request, "auth/social_refused.html", context, status=status)
