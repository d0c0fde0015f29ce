"""/login, /signup, /logout and the page that a developer's link opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST
from django_ratelimit import UNSAFE
from django_ratelimit.decorators import ratelimit

from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.pages import browser
from accounts.pages.forms import CodeForm, SentCodeForm, SignInForm, SignUpForm
from accounts.pages.proof import Entry
from accounts.services import developers
from stackbe.mail import inbox

if TYPE_CHECKING:
    from django.http import HttpRequest

PAGE_METHODS = ["GET", "HEAD", "POST"]
TRIES = {"key": "ip", "rate": "60/m", "method": UNSAFE}
Refusal = (TokenInvalid, TokenExpired, TokenAlreadyUsed)


@require_http_methods(PAGE_METHODS)
@browser.discreet
def log_in(request: HttpRequest) -> HttpResponse:
    """Ask for an address and mail a link to it, whoever it belongs to."""
    if request.user.is_authenticated:
        return redirect(safe_path(request.GET.get("next", "")))
    form = SignInForm(request.POST if request.method == "POST" else None, initial={"next": request.GET.get("next", "")})
    if not (request.method == "POST" and form.is_valid()):
        return render(request, "auth/sign_in.html", {"form": form, "is_sign_up": False})
    return _ask(request, form.cleaned_data["email"], form.cleaned_data["next"], None)


@require_http_methods(PAGE_METHODS)
@browser.discreet
def sign_up(request: HttpRequest) -> HttpResponse:
    """The same with a name: the tenant is founded when the link is spent, not before."""
    form = SignUpForm(request.POST if request.method == "POST" else None, initial={"next": request.GET.get("next", "")})
    if not (request.method == "POST" and form.is_valid()):
        return render(request, "auth/sign_in.html", {"form": form, "is_sign_up": True})
    asked = form.cleaned_data
    return _ask(request, asked["email"], asked["next"], asked["name"] or developers.FIRST_TENANT_NAME)


@require_http_methods(PAGE_METHODS)
@browser.discreet
@ratelimit(group="developer-confirm", **TRIES)
def confirm(request: HttpRequest) -> HttpResponse:
    """Show the link's page, which spends nothing; its button posts the token, which does.

    In another browser than the one that asked, nobody gets in before the page has named the account.
    """
    if request.method != "POST":
        return render(request, "auth/confirm.html", _confirm_context(CodeForm()))
    token = request.POST.get("token", "")
    try:
        shown = developers.preview(token)
        link = shown.link
        here = developers.asked_here(link, browser.browser_secret(request))
        if not here and not browser.was_named(request, link.id):
            context = {**_confirm_context(CodeForm()), "token": token, "masked_email": shown.masked_email}
            response = render(request, "auth/confirm.html", context)
            browser.remember_named(response, link.id)
            return response
        entry = Entry(request)
        arrival = developers.redeem_link(token, entry)
    except Refusal as refusal:
        return _dead(request, refusal)
    return entry.onward(safe_path(arrival.next_path))


@require_POST
@browser.discreet
@ratelimit(group="developer-peek", **TRIES)
def peek(request: HttpRequest) -> HttpResponse:
    """Tell the page whose account the link in its fragment opens; spends nothing."""
    try:
        shown = developers.preview(request.POST.get("token", ""))
    except Refusal as refusal:
        return JsonResponse({"code": refusal.code}, status=refusal.status)
    asked = shown.link.browser_digest is not None
    other = asked and not developers.asked_here(shown.link, browser.browser_secret(request))
    response = JsonResponse({"email": shown.masked_email, "otherBrowser": other})
    browser.remember_named(response, shown.link.id)
    return response


@require_POST
@browser.discreet
@ratelimit(group="developer-code", **TRIES)
def enter_code(request: HttpRequest) -> HttpResponse:
    """Sign in with the 6 digits that the mail carries beside its link."""
    form = CodeForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        entry = Entry(request)
        try:
            arrival = developers.redeem_code(asked["email"], asked["code"], entry)
        except TokenInvalid as refusal:
            form.add_error("code", str(refusal))
        else:
            return entry.onward(safe_path(arrival.next_path))
    return render(request, "auth/confirm.html", _confirm_context(form), status=400)


@require_POST
@browser.discreet
def log_out(request: HttpRequest) -> HttpResponse:
    """End this browser's session; its row is deleted."""
    logout(request)
    return redirect("login")


def safe_path(path: str) -> str:
    """Return a path on this site, the dashboard's for anything else."""
    local = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if local and path.isprintable() else settings.LOGIN_REDIRECT_URL


def _ask(request: HttpRequest, email: str, next_path: str, tenant_name: str | None) -> HttpResponse:
    secret = browser.new_browser_secret(request)
    if not browser.asks_too_often(request, email):
        developers.request_sign_in(email, next_path=next_path, browser=secret, tenant_name=tenant_name)
    context = {
        "email": email,
        "form": SentCodeForm(initial={"email": email}),
        "code_url": reverse("developer-code"),
        "minutes": settings.MAGIC_LINK_MINUTES,
        "inbox_url": reverse("dev-inbox") if inbox.is_open() else None,
    }
    response = render(request, "auth/check_inbox.html", context)
    browser.remember_browser(response, secret)
    return response


def _confirm_context(code_form: CodeForm) -> dict[str, object]:
    return {
        "action": reverse("developer-confirm"),
        "peek_url": reverse("developer-peek"),
        "code_form": code_form,
        "code_url": reverse("developer-code"),
        "retry_url": reverse("login"),
    }


def _dead(request: HttpRequest, refusal: TokenInvalid | TokenExpired | TokenAlreadyUsed) -> HttpResponse:
    context = {"retry_url": reverse("login"), "reason": str(refusal)}
    return render(request, "auth/link_dead.html", context, status=410)
