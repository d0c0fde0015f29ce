"""The step between a customer's first proof and their app, in the app's name: a factor is given, or added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.views.decorators.http import require_http_methods
from django_ratelimit.decorators import ratelimit

from accounts import opaque
from accounts.errors import TokenInvalid, WrongCode
from accounts.pages import visits
from accounts.pages.browser import discreet, forget_visit, remember_visit
from accounts.pages.customers import TRIES, origins, see_other
from accounts.pages.factor_forms import FirstCodeForm, PasskeyForm, in_fours, qr_code
from accounts.pages.forms import LinkForm
from accounts.services import factor_step
from stackbe.kernel.errors import ApiError

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.lookups import KnownApp

NAME = "customer-factor"
KIND = opaque.FACTOR


@require_http_methods(["GET", "HEAD", "POST"])
@discreet
@ratelimit(group=NAME, **TRIES)
def factor(request: HttpRequest) -> HttpResponse:
    """Ask for the factor of the sign-in that this browser is on; its POST gives it and leads to the app's callback."""
    if "token" in request.POST:
        return _enter(request)
    app, token = visits.current(request, KIND)
    if app is None:
        return visits.arrive(request, NAME)
    try:
        return _answer(request, app, token)
    except visits.Over as refusal:
        response = visits.over(request, app, NAME, refusal)
        forget_visit(response, KIND)
        return response


def _enter(request: HttpRequest) -> HttpResponse:
    form = LinkForm(request.POST)
    if not form.is_valid():
        return visits.arrive(request, NAME, form)
    token = form.cleaned_data["token"]
    app = visits.app_of(KIND, token)
    try:
        if app is None:
            raise TokenInvalid
        factor_step.look(app, token)
    except visits.Over as refusal:
        return visits.over(request, app, NAME, refusal)
    response = see_other(request.path)
    remember_visit(response, KIND, token)
    return response


def _answer(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    if request.method != "POST":
        return _page(request, app, token)
    acts = {"begin": _begin, "confirm": _confirm, "passkey": _passkey, "finish": _finish}
    try:
        return acts.get(request.POST.get("act", ""), _give)(request, app, token)
    except visits.Over:
        raise
    except ApiError as refusal:
        return _page(request, app, token, refusal)


def _page(request: HttpRequest, app: KnownApp, token: str, refusal: ApiError | None = None) -> HttpResponse:
    step = factor_step.look(app, token)
    context: dict[str, object] = {"masked_email": step.masked_email, "error": "" if refusal is None else str(refusal)}
    template = "auth/second_factor.html"
    if step.is_proven:
        template = "auth/factor_codes.html"
    elif step.has_factor:
        context |= {"has_authenticator": step.has_authenticator, "options": step.options}
    else:
        template = "auth/factor_add.html"
        context |= {"form": PasskeyForm(), "options": factor_step.passkey_to_add(app, token)}
    return _show(request, app, template, context, visits.status_of(refusal))


def _give(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    code, answer = request.POST.get("code", ""), request.POST.get("answer", "")
    return _onward(factor_step.go_on(app, token, code=code, answer=answer))


def _begin(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    secret, uri = factor_step.begin_authenticator(app, token)
    return _secret_page(request, app, secret, uri, FirstCodeForm(), 201)


def _confirm(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    form = FirstCodeForm(request.POST)
    try:
        if not form.is_valid():
            raise WrongCode
        codes = factor_step.confirm_authenticator(app, token, form.cleaned_data["code"])
    except WrongCode as refusal:
        waiting = factor_step.pending_authenticator(app, token)
        if waiting is None:
            raise
        form.add_error("code", str(refusal))
        return _secret_page(request, app, *waiting, form, visits.BAD)
    return _show(request, app, "auth/factor_codes.html", {"codes": codes}, 201)


def _passkey(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    form = PasskeyForm(request.POST)
    if not form.is_valid():
        return _page(request, app, token)
    given = form.cleaned_data
    codes = factor_step.add_passkey(app, token, name=given["name"], answer=given["answer"])
    return _show(request, app, "auth/factor_codes.html", {"codes": codes}, 201)


def _finish(request: HttpRequest, app: KnownApp, token: str) -> HttpResponse:
    return _onward(factor_step.finish(app, token))


def _onward(target: str) -> HttpResponse:
    response = see_other(target)
    forget_visit(response, KIND)
    return response


def _secret_page(
    request: HttpRequest, app: KnownApp, secret: str, uri: str, form: FirstCodeForm, status: int
) -> HttpResponse:
    context: dict[str, object] = {"form": form, "qr": qr_code(uri), "secret": in_fours(secret)}
    return _show(request, app, "auth/factor_app.html", context, status)


def _show(request: HttpRequest, app: KnownApp, template: str, context: dict[str, object], status: int) -> HttpResponse:
    return visits.show(request, app, NAME, template, context, status=status, leads_to=origins(app))
