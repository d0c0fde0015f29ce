"""The page on which a customer looks after their second factors, in their app's name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.views.decorators.http import require_http_methods
from django_ratelimit.decorators import ratelimit

from accounts import opaque
from accounts.errors import FreshProofRequired, PasskeyRefused, SecondFactorInvalid, TokenInvalid, WrongCode
from accounts.pages import visits
from accounts.pages.browser import discreet, forget_visit, remember_visit
from accounts.pages.customers import TRIES, see_other
from accounts.pages.factor_forms import FirstCodeForm, PasskeyForm, in_fours, qr_code
from accounts.pages.forms import LinkForm
from accounts.services import security_visits
from accounts.services.customer_factors import CustomerFactors, count_try, new_challenge_for, taken_challenge
from stackbe.kernel.errors import ApiError
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

    from accounts.customer_factor_models import SecurityVisit
    from accounts.lookups import KnownApp

NAME = "customer-security"
KIND = opaque.SECURITY
ACTOR = "security page"


@require_http_methods(["GET", "HEAD", "POST"])
@discreet
@ratelimit(group=NAME, **TRIES)
def security(request: HttpRequest) -> HttpResponse:
    """Show the customer's factors once one of them was given, and change them."""
    if "token" in request.POST:
        return _enter(request)
    app, token = visits.current(request, KIND)
    if app is None:
        return visits.arrive(request, NAME)
    page = SecurityPage(request, app, token)
    try:
        return page.answer()
    except visits.Over as refusal:
        response = visits.over(request, app, NAME, refusal)
        forget_visit(response, KIND)
        return response


def _enter(request: HttpRequest) -> HttpResponse:
    form = LinkForm(request.POST)
    if not form.is_valid():
        return visits.arrive(request, NAME, form)
    app = visits.app_of(KIND, form.cleaned_data["token"])
    try:
        if app is None:
            raise TokenInvalid
        with change(app.system_scope(ACTOR)) as unit:
            token = security_visits.enter(unit.scope, app, form.cleaned_data["token"])
    except visits.Over as refusal:
        return visits.over(request, app, NAME, refusal)
    response = see_other(request.path)
    remember_visit(response, KIND, token)
    return response


class SecurityPage:
    """One request of a visit."""

    def __init__(self, request: HttpRequest, app: KnownApp, token: str) -> None:
        """Take the visit that the browser is on."""
        self.request, self.app, self.token = request, app, token

    def answer(self) -> HttpResponse:
        """Do what was asked and show the page."""
        if self.request.method != "POST":
            return self.page()
        acts = {
            "begin": self.begin,
            "codes": self.renew_codes,
            "confirm": self.confirm,
            "leave": self.leave,
            "passkey": self.add_passkey,
            "remove-app": self.remove_app,
            "remove-passkey": self.remove_passkey,
        }
        try:
            return acts.get(self.request.POST.get("act", ""), self.prove)()
        except visits.Over:
            raise
        except FreshProofRequired:
            return self.page()
        except ApiError as refusal:
            return self.page(refusal)

    @contextmanager
    def visit(self, *, proven: bool = True) -> Iterator[tuple[SecurityVisit, CustomerFactors]]:
        """Open a change at the visit. Raises `FreshProofRequired` where a factor has to be given first."""
        with change(self.app.system_scope(ACTOR)) as unit:
            visit = security_visits.opened(unit.scope, self.token)
            factors = CustomerFactors(unit.scope, visit.customer, self.app)
            if proven:
                factors.hold()
                if not security_visits.is_open(visit, factors):
                    raise FreshProofRequired
            yield visit, factors

    def page(self, refusal: ApiError | None = None, said: str = "") -> HttpResponse:
        """Return the overview, or the question for a factor where none was given lately."""
        context: dict[str, object] = {"error": "" if refusal is None else str(refusal), "said": said}
        with self.visit(proven=False) as (visit, factors):
            held = factors.standing()
            context |= {"masked_email": opaque.masked(visit.customer.email), "standing": held}
            challenge = new_challenge_for(visit)
            if security_visits.is_open(visit, factors):
                template = "auth/security.html"
                context |= {"form": PasskeyForm(), "options": factors.registration_options(challenge)}
                context["keys"] = [(key.public_id, key.name, key.created_at, key.last_used_at) for key in held.passkeys]
            else:
                template = "auth/second_factor.html"
                context["has_authenticator"] = held.authenticator_since is not None
                context["options"] = factors.proof_options(challenge) if held.passkeys else None
                context["is_change"] = True
            return_url = visit.return_url
        return self.show(template, context, visits.status_of(refusal), return_url)

    def prove(self) -> HttpResponse:
        """Take a factor; for ten minutes they may be changed then."""
        code, answer = self.request.POST.get("code", ""), self.request.POST.get("answer", "")
        if not answer:
            self.count()
        with self.visit(proven=False) as (visit, factors):
            method = factors.prove(visit, code=code, answer=answer)
            if method is not None:
                security_visits.note_proof(visit)
        if method is None:
            raise PasskeyRefused if answer else SecondFactorInvalid
        return see_other(self.request.path)

    def begin(self) -> HttpResponse:
        """Show the secret of an authenticator app to add."""
        with self.visit() as (_, factors):
            secret = factors.begin_authenticator()
            uri = factors.otpauth_uri(secret)
        return self.secret_page(secret, uri, FirstCodeForm(), 201)

    def confirm(self) -> HttpResponse:
        """Count the app from now on if its first code fits; else show the same secret again."""
        form = FirstCodeForm(self.request.POST)
        self.count()
        try:
            if not form.is_valid():
                raise WrongCode
            with self.visit() as (visit, factors):
                codes = factors.confirm_authenticator(form.cleaned_data["code"])
                security_visits.note_proof(visit)
        except WrongCode as refusal:
            with self.visit() as (_, factors):
                secret = factors.pending_secret()
                uri = "" if secret is None else factors.otpauth_uri(secret)
            if secret is None:
                raise
            form.add_error("code", str(refusal))
            return self.secret_page(secret, uri, form, visits.BAD)
        return self.codes_page(codes, "Your authenticator app is added")

    def remove_app(self) -> HttpResponse:
        """Forget the authenticator app; a mail says so."""
        with self.visit() as (_, factors):
            factors.remove_authenticator()
        return self.page(said="Removed. Codes of that app no longer sign you in.")

    def add_passkey(self) -> HttpResponse:
        """Keep the passkey that the authenticator made."""
        form = PasskeyForm(self.request.POST)
        if not form.is_valid():
            raise PasskeyRefused("Give the passkey a name first.")
        refused: PasskeyRefused | None = None
        codes: list[str] = []
        with self.visit() as (visit, factors):
            challenge = taken_challenge(visit)
            try:
                if challenge is None:
                    raise PasskeyRefused("That took too long. Try again.")
                given = form.cleaned_data
                codes = factors.add_passkey(name=given["name"], answer=given["answer"], challenge=challenge)
                security_visits.note_proof(visit)
            except PasskeyRefused as failure:
                refused = failure  # The challenge is spent all the same.
        if refused is not None:
            raise refused
        return self.codes_page(codes, "Your passkey is added")

    def remove_passkey(self) -> HttpResponse:
        """Forget a passkey; a mail says so."""
        with self.visit() as (_, factors):
            factors.remove_passkey(self.request.POST.get("passkey", ""))
        return self.page(said="Removed. That passkey no longer signs you in.")

    def renew_codes(self) -> HttpResponse:
        """Replace the recovery codes and show the new ones, this once."""
        with self.visit() as (_, factors):
            codes = factors.renew_recovery_codes()
        return self.codes_page(codes, "Your new recovery codes")

    def leave(self) -> HttpResponse:
        """End the visit and lead back to the app."""
        with self.visit(proven=False) as (visit, _):
            target = visit.return_url
            security_visits.end(visit)
        response = see_other(target)
        forget_visit(response, KIND)
        return response

    def count(self) -> None:
        """Count a try at a code, before the change that takes it."""
        with self.visit(proven=False) as (visit, factors):
            customer_id, scope = visit.customer.id, factors.scope
        count_try(scope, customer_id)

    def codes_page(self, codes: list[str], title: str) -> HttpResponse:
        """Show recovery codes, this once, or say alone what was done where the earlier ones stay good."""
        if not codes:
            return self.page(said=f"{title}.")
        return self.show("auth/factor_codes.html", {"codes": codes, "title": title, "is_change": True}, 201)

    def secret_page(self, secret: str, uri: str, form: FirstCodeForm, status: int) -> HttpResponse:
        """Return a secret as a picture and as text, and ask for its first code."""
        context: dict[str, object] = {"form": form, "qr": qr_code(uri), "secret": in_fours(secret), "is_change": True}
        return self.show("auth/factor_app.html", context, status)

    def show(self, template: str, context: dict[str, object], status: int, return_url: str = "") -> HttpResponse:
        """Return a page whose forms lead to itself, and back to the app."""
        parts = urlsplit(return_url)
        back = [f"{parts.scheme}://{parts.netloc}"] if return_url else []
        return visits.show(self.request, self.app, NAME, template, context, status=status, leads_to=back)
