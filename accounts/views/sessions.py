"""Customers' sessions as the app's backend sees them: where somebody is signed in, and what a token opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.response import Response

from accounts.authentication import verify
from accounts.errors import SessionExpired, SessionInvalid
from accounts.models import CustomerSession
from accounts.services import sessions, tokens
from accounts.services.customers import find_customer
from accounts.sign_in_shapes import (
    IntrospectInput,
    IntrospectOutput,
    JwksOutput,
    NewSessionInput,
    SessionListQuery,
    SessionRowOutput,
    VerifyOutput,
)
from accounts.views.auth import app_in_service, opened_as_json, own_app
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from rest_framework.request import Request


class Introspect(ApiView):
    """What a token opens, for backends that do not verify offline."""

    @operation(input=IntrospectInput, output=IntrospectOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Say whether an access token opens a session of this app now."""
        token = self.parse()["token"]
        app = own_app(self.scope, app_id)
        try:
            found = verify(token)
        except (SessionInvalid, SessionExpired):
            found = None
        if found is None or found.app_id != app.id:
            return self.reply({"active": False})
        claims = tokens.claims_of(token)
        return self.reply(
            {
                "active": True,
                "customerId": encode("cust", found.customer_id),
                "sid": encode("sess", found.id),
                "organizationId": claims["org"],
                "orgRole": found.organization_role,
                "exp": claims["exp"],
                "amr": claims.get("amr", []),
            }
        )


class Jwks(ApiView):
    """The app's public keys."""

    @operation(output=JwksOutput)
    def get(self, request: Request, app_id: str) -> Response:
        """List the keys that verify the app's session tokens; a retired one stays until its last token ends."""
        scope = app_in_service(app_id).system_scope("jwks")
        with reading(scope):
            response = self.reply({"keys": tokens.public_keys(scope)})
        response["Cache-Control"] = f"public, max-age={tokens.KEY_SET_SECONDS}"
        response["Access-Control-Allow-Origin"] = "*"
        return response


class CustomerSessions(ApiView):
    """Where a customer is signed in."""

    @operation(query=SessionListQuery, output=SessionRowOutput, many=True)
    def get(self, request: Request, customer_id: str) -> Response:
        """List the customer's live sessions."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.page(sessions.live_sessions(self.scope, customer.id), self.query())

    @operation(input=NewSessionInput, output=VerifyOutput, status=201)
    def post(self, request: Request, customer_id: str) -> Response:
        """Open a session for a customer whom the app has signed in itself."""
        asked = self.parse()
        customer = find_customer(self.scope, public_id=customer_id)
        opened = sessions.start_session(self.scope, customer, organization_id=asked.get("organization_id"))
        response = self.reply(opened_as_json(self.scope, opened, None))
        self.subject_id = customer.id
        return response

    @operation(status=204)
    def delete(self, request: Request, customer_id: str) -> Response:
        """End all of the customer's sessions at once."""
        customer = find_customer(self.scope, public_id=customer_id)
        sessions.end_all_sessions(self.scope, customer.id, "revoked")
        return self.reply()


class CustomerSessionItem(ApiView):
    """One place where a customer is signed in."""

    @operation(output=SessionRowOutput)
    def get(self, request: Request, customer_id: str, session_id: str) -> Response:
        """Show a live session."""
        customer = find_customer(self.scope, public_id=customer_id)
        return self.reply(sessions.live_sessions(self.scope, customer.id).fetch(session_id))

    @operation(status=204)
    def delete(self, request: Request, customer_id: str, session_id: str) -> Response:
        """End a session at once."""
        customer = find_customer(self.scope, public_id=customer_id)
        rows = CustomerSession.objects.within(self.scope).locked().filter(customer_id=customer.id)
        sessions.end_session(self.scope, rows.fetch(session_id), "revoked")
        return self.reply()
