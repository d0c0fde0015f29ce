"""The page that a customer's link opens, in the app's name: GET shows, POST spends and goes back to the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_ratelimit import UNSAFE
from django_ratelimit.decorators import ratelimit

from accounts import opaque
from accounts.errors import RedirectNotAllowed, TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.lookups import KnownApp, known_app
from accounts.models import App
from accounts.pages.browser import discreet, remember_visit
from accounts.pages.forms import CodeForm
from accounts.services import magic_links, pending_sign_ins, social
from accounts.services.logos import brand_of, stored_logo
from stackbe.kernel import ids
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from django.http import HttpRequest

    from stackbe.kernel.errors import ApiError

TRIES = {"key": "ip", "rate": "60/m", "method": UNSAFE}
SEE_OTHER = 303
GONE = 410


@require_http_methods(["GET", "HEAD", "POST"])
@discreet
@ratelimit(group="customer-confirm", **TRIES)
def confirm(request: HttpRequest) -> HttpResponse:
    """Show the page, which spends nothing; its button posts the token and leads to the app's callback."""
    if request.method != "POST":
        app = app_named(request.GET.get("app", ""))
        return _dead(request, None, TokenInvalid()) if app is None else _page(request, app, CodeForm())
    token = request.POST.get("token", "")
    app = _app_of(token)
    if app is None:
        return _dead(request, None, TokenInvalid())
    try:
        return see_other(magic_links.confirm_link(app, token))
    except (TokenInvalid, TokenExpired, TokenAlreadyUsed, RedirectNotAllowed) as refusal:
        return _dead(request, app, refusal)


@require_POST
@discreet
@ratelimit(group="customer-peek", **TRIES)
def peek(request: HttpRequest) -> HttpResponse:
    """Tell the page which address the link was mailed to, masked; spends nothing."""
    token = request.POST.get("token", "")
    app = _app_of(token)
    try:
        if app is None:
            raise TokenInvalid
        return JsonResponse({"email": magic_links.preview(app, token), "otherBrowser": False})
    except (TokenInvalid, TokenExpired, TokenAlreadyUsed) as refusal:
        return JsonResponse({"code": refusal.code}, status=refusal.status)


@require_POST
@discreet
@ratelimit(group="customer-code", **TRIES)
def enter_code(request: HttpRequest) -> HttpResponse:
    """Sign in with the 6 digits that the mail carries beside its link."""
    app = app_named(request.GET.get("app", ""))
    if app is None:
        return _dead(request, None, TokenInvalid())
    form = CodeForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        try:
            return see_other(magic_links.confirm_code(app, asked["email"], asked["code"]))
        except TokenInvalid as refusal:
            form.add_error("code", str(refusal))
        except RedirectNotAllowed as refusal:
            return _dead(request, app, refusal)
    return _page(request, app, form, status=400)


def _page(request: HttpRequest, app: KnownApp, form: CodeForm, status: int = 200) -> HttpResponse:
    named = f"?app={ids.encode(App.id_prefix, app.id)}"
    context = {
        "action": reverse("customer-confirm"),
        "peek_url": reverse("customer-peek"),
        "code_form": form,
        "code_url": reverse("customer-code") + named,
        "brand": brand(app),
    }
    response = render(request, "auth/confirm.html", context, status=status)
    csp_update({"form-action": origins(app)})(lambda _request: response)(request)
    return response


def origins(app: KnownApp) -> list[str]:
    """Return where the form may lead: browsers hold form-action against the redirect that follows as well."""
    urls = [*app.settings.callback_urls, *filter(None, [app.settings.dev_callback_url])]
    return sorted({f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)})


def brand(app: KnownApp) -> dict[str, Any]:
    """Return what the page speaks in. Its logo is our own copy: the page loads nothing from elsewhere."""
    return brand_of(app)


def buttons(app: KnownApp) -> list[dict[str, str]]:
    """Return what leads to each provider that customers of an app may sign in with: `name` and `url`."""
    scope = app.system_scope(social.ACTOR)
    with reading(scope):
        found = [(provider.name, provider.slug) for provider in social.offered(scope)]
    named, path = ids.encode(App.id_prefix, app.id), reverse("social-start")
    return [{"name": name, "url": f"{path}?{urlencode({'app': named, 'provider': slug})}"} for name, slug in found]


def app_named(app_id: str) -> KnownApp | None:
    """Return the app in service that a page's address names, None where there is none."""
    try:
        app = known_app(ids.decode(App.id_prefix, app_id))
    except ids.MalformedId:
        return None
    return None if app is None or app.closed else app


def _app_of(token: str) -> KnownApp | None:
    link = opaque.read(opaque.MAGIC_LINK, token)
    if link is None or link.app_id is None:
        return None
    return app_named(ids.encode(App.id_prefix, link.app_id))


def see_other(url: str) -> HttpResponse:
    """Return what leads a browser on after a form, by GET (RFC 9110, section 15.4.4).

    The token of a sign-in that waits for its factor goes along in a cookie, so that its page needs no script.
    """
    page, _, token = url.partition("#token=")
    waits = page.startswith(f"{settings.BASE_URL}{pending_sign_ins.PAGE}?")
    response = HttpResponseRedirect(page if waits else url)
    response.status_code = SEE_OTHER
    if waits:
        remember_visit(response, opaque.FACTOR, token)
    return response


def _dead(request: HttpRequest, app: KnownApp | None, refusal: ApiError) -> HttpResponse:
    context = {"reason": str(refusal)} if app is None else {"reason": str(refusal), "brand": brand(app)}
    providers = [] if app is None else buttons(app)
    return render(request, "auth/link_dead.html", {**context, "providers": providers}, status=GONE)


@require_safe
def logo(request: HttpRequest, app_id: str, digest: str) -> HttpResponse:
    """Serve our copy of an app's logo. The address names its content, so it may be kept for ever."""
    app = app_named(app_id)
    if app is None:
        raise Http404
    scope = app.system_scope("logo")
    with reading(scope):
        found = stored_logo(scope, digest)
    if found is None:
        raise Http404
    response = HttpResponse(bytes(found.content or b""), content_type=found.content_type)
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    response["Content-Disposition"] = "inline"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"  # web mail shows it from pages of its own
    return response
