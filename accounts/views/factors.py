"""Customers' second factors over HTTP: given at sign-in, looked after with a session, reset by the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.response import Response

from accounts.errors import CustomerNotFound, FreshProofRequired, SecondFactorInvalid, WrongCode
from accounts.factor_shapes import (
    AuthenticatorOutput,
    CodeInput,
    FactorInput,
    FactorsOutput,
    RecoveryCodesOutput,
    SecuritySessionInput,
    SecuritySessionOutput,
)
from accounts.lookups import known_app
from accounts.services import factor_step, security_visits, sessions
from accounts.services.customer_factors import METHODS, CustomerFactors, count_try, reset_factors
from accounts.services.customers import find_customer
from accounts.sign_in_shapes import VerifyOutput
from accounts.views.auth import app_in_service, opened_as_json, own_app
from stackbe.kernel import http
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.scope import Credential
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from rest_framework.request import Request

    from accounts.lookups import KnownApp
    from accounts.models import CustomerSession


class GiveFactor(ApiView):
    """The step between the first proof and the session."""

    @operation(input=FactorInput, output=VerifyOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Complete a sign-in that answered SECOND_FACTOR_REQUIRED with a code. Works once."""
        asked = self.parse()
        app = app_in_service(app_id)
        opened, redirect_url = factor_step.open_session(
            app,
            asked["factor_token"],
            code=asked["code"],
            user_agent=request.headers.get("User-Agent", ""),
            country=http.country_of(request._request),
        )
        scope = app.system_scope(factor_step.ACTOR)
        with reading(scope):
            return self.reply(opened_as_json(scope, opened, redirect_url or None))


class OwnFactorView(ApiView):
    """Base of what a session does about its own customer's factors."""

    def own(self, app: KnownApp | None = None) -> tuple[CustomerSession, CustomerFactors]:
        """Return the session that calls and its customer's factors."""
        session, customer = sessions.calling(self.scope)
        return session, CustomerFactors(self.scope, customer, app)

    def proven(self, app: KnownApp | None = None) -> tuple[CustomerSession, CustomerFactors]:
        """Return the same where a factor was given within ten minutes, or there is none that could be.

        Raises `FreshProofRequired`.
        """
        session, factors = self.own(app)
        factors.hold()
        fresh = session.proven_at is not None and wall_clock() - session.proven_at <= security_visits.FRESH
        if not fresh and factors.has_factor():
            raise FreshProofRequired
        return session, factors


class Factors(OwnFactorView):
    """The caller's factors."""

    @operation(output=FactorsOutput)
    def get(self, request: Request, app_id: str) -> Response:
        """Show which second factors the customer has."""
        own_app(self.scope, app_id)
        _, factors = self.own()
        return self.reply(factors.standing())


class ProveFactor(OwnFactorView):
    """A proof that the customer is there."""

    @operation(input=CodeInput, status=204, network=True, idempotent=False)  # tries are counted before the change
    def post(self, request: Request, app_id: str) -> Response:
        """Give a code of the authenticator app or a recovery code; it lets factors be changed for ten minutes."""
        own_app(self.scope, app_id)
        code = self.parse()["code"]
        count_try(self.scope, self.scope.customer_id or self.scope.app)
        with change(self.scope):
            session, factors = self.own()
            kind = factors.take_code(code)
            if kind is not None:
                sessions.note_proof(session, METHODS[kind])
                return self.reply()
            factors.record_refusal()
        raise SecondFactorInvalid


class Authenticator(OwnFactorView):
    """The caller's authenticator app."""

    @operation(output=AuthenticatorOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Begin to add an authenticator app. It counts once a code of it is confirmed, within 30 minutes."""
        app = own_app(self.scope, app_id)
        security_visits.require_on(app)
        _, factors = self.proven(app)
        secret = factors.begin_authenticator()
        return self.reply({"secret": secret, "otpauth_uri": factors.otpauth_uri(secret)})

    @operation(status=204)
    def delete(self, request: Request, app_id: str) -> Response:
        """Remove the authenticator app. With the last factor the recovery codes go too."""
        own_app(self.scope, app_id)
        _, factors = self.proven()
        factors.remove_authenticator()
        return self.reply()


class ConfirmAuthenticator(OwnFactorView):
    """The first code of an authenticator app."""

    @operation(input=CodeInput, output=RecoveryCodesOutput, network=True, idempotent=False)  # likewise
    def post(self, request: Request, app_id: str) -> Response:
        """Count the authenticator app from now on. Ten recovery codes come with the first factor, shown this once."""
        app = own_app(self.scope, app_id)
        security_visits.require_on(app)
        code = "".join(self.parse()["code"].split())
        count_try(self.scope, self.scope.customer_id or self.scope.app)
        try:
            with change(self.scope):
                session, factors = self.proven(app)
                codes = factors.confirm_authenticator(code)
                sessions.note_proof(session, METHODS["authenticator"])
                return self.reply({"recovery_codes": codes})
        except WrongCode:
            raise SecondFactorInvalid from None


class OnePasskey(OwnFactorView):
    """One of the caller's passkeys. They are added on our own page, which they are bound to."""

    @operation(status=204)
    def delete(self, request: Request, app_id: str, passkey_id: str) -> Response:
        """Remove a passkey. With the last factor the recovery codes go too."""
        own_app(self.scope, app_id)
        _, factors = self.proven()
        factors.remove_passkey(passkey_id)
        return self.reply()


class RecoveryCodes(OwnFactorView):
    """The caller's recovery codes."""

    @operation(output=RecoveryCodesOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Make ten new recovery codes, shown this once. The ones from before stop working."""
        own_app(self.scope, app_id)
        _, factors = self.proven()
        return self.reply({"recovery_codes": factors.renew_recovery_codes()})


class SecuritySession(ApiView):
    """Visits to our page of a customer's factors."""

    @operation(input=SecuritySessionInput, output=SecuritySessionOutput, status=201)
    def post(self, request: Request, customer_id: str) -> Response:
        """Get a URL that opens the customer's security page once, within five minutes. A session opens its own."""
        asked, scope = self.parse(), self.scope
        customer = find_customer(scope, public_id=customer_id)
        own = scope.credential == Credential.SESSION
        app = known_app(scope.app)
        if app is None or (own and scope.customer_id != customer.id):
            raise CustomerNotFound
        url, expires_at = security_visits.begin(
            scope, app, customer, return_url=asked["return_url"], session_id=scope.session_id if own else None
        )
        response = self.reply({"url": url, "expires_at": expires_at})
        self.subject_id = customer.id
        return response


class CustomerFactorsOfApp(ApiView):
    """A customer's factors, as their app sees them."""

    @operation(output=FactorsOutput)
    def get(self, request: Request, customer_id: str) -> Response:
        """Show which second factors a customer has."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.reply(CustomerFactors(self.scope, customer).standing())

    @operation(status=204)
    def delete(self, request: Request, customer_id: str) -> Response:
        """Remove all factors of a customer who lost them. Be sure who asks: a link alone signs them in afterwards."""
        customer = find_customer(self.scope, public_id=customer_id)
        reset_factors(self.scope, customer)
        return self.reply()
