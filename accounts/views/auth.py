"""Customers sign in over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from rest_framework.response import Response

from accounts import opaque, redeeming, session_shown
from accounts.authentication import presented
from accounts.errors import AppNotFound, SessionInvalid, TokenInvalid
from accounts.events import customer_as_event
from accounts.link_mail import CUSTOMER_CONFIRM
from accounts.lookups import KnownApp, known_app
from accounts.models import App
from accounts.services import magic_links, proofs, sessions, tokens
from accounts.services.entry import redirect_target
from accounts.sign_in_shapes import (
    MagicLinkInput,
    MagicLinkOutput,
    RefreshInput,
    RefreshOutput,
    SessionOutput,
    SwitchInput,
    SwitchOutput,
    VerifyInput,
    VerifyOutput,
    VerifyQuery,
)
from apikeys.hot import proof_of
from apikeys.link_wanted import link_wanted
from billing.services.access import entitlements_of
from stackbe.kernel import http, ids
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.clock import render
from stackbe.kernel.errors import ApiError, Forbidden, RateLimited
from stackbe.kernel.hot import Answer, Asked, HotView, answer, refusal, whole_input
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import Credential, Scope
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from rest_framework.request import Request

LINK, VERIFY = MagicLinkInput(), VerifyInput()
SENT = {"success": True, "message": "If this address can sign in, a link is on its way."}


def app_in_service(app_id: str) -> KnownApp:
    """Return the app that a path names, whoever asks; a closed one is not found."""
    try:
        app = known_app(ids.decode(App.id_prefix, app_id))
    except ids.MalformedId:
        raise AppNotFound from None
    if app is None or app.closed:
        raise AppNotFound
    return app


def own_app(scope: Scope, app_id: str) -> KnownApp:
    """Return the app that a path names, or the API's 404 unless it is the credential's."""
    app = app_in_service(app_id)
    if app.tenant_id != scope.tenant_id or scope.app_id not in {None, app.id}:
        raise AppNotFound
    return app


class MagicLinks(HotView):
    """Links that customers ask for."""

    def quick(self, request: Asked, app_id: str = "", **kwargs: str) -> Answer | None:
        """Answer a secret key from three calls: the key with what a link takes, the limits on mail, the link."""
        asked = None if request.META.get("QUERY_STRING") else whole_input(LINK, request)
        proof = None if asked is None else proof_of(request)
        row = None if proof is None else link_wanted(proof)
        if asked is None or row is None:
            return None
        allowance = row.allowance
        if not allowance.ok:
            return refusal(RateLimited(retry_after_seconds=allowance.retry_after_seconds), allowance)
        app = row.app
        try:
            if encode(App.id_prefix, app.id) != app_id:
                raise AppNotFound
            _send(app.system_scope(row.actor), app, asked, row.opened(), tell_unknown=row.may("auth:write"))
        except ApiError as failure:
            return refusal(failure, allowance)
        return answer(SENT, allowance)

    @operation(input=MagicLinkInput, output=MagicLinkOutput, network=True, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Mail a customer a sign-in link. The answer is the same whether or not the address is known."""
        asked = self.parse()
        app = own_app(self.scope, app_id)
        scope = app.system_scope(self.scope.actor)
        if self.scope.credential == Credential.PUBLISHABLE:
            _refuse_foreign_origin(request, app)
            _send(scope, app, asked, caller=http.network_of(http.address.get()))
        else:
            _send(scope, app, asked, tell_unknown=self.scope.allows("auth:write"))
        return self.reply(SENT)


class Verify(HotView):
    """The step that makes a session."""

    def quick(self, request: Asked, app_id: str = "", **kwargs: str) -> Answer | None:
        """Turn a link's token or a one-time code into a session in two calls, where nothing stands in the way."""
        meta = request.META
        if meta["REQUEST_METHOD"] != "POST" or meta.get("QUERY_STRING"):
            return None
        token = (whole_input(VERIFY, request) or {}).get("token")
        named = _decoded(app_id)
        if token is None or named is None:
            return None
        address = http.client_address(request)
        bucket = self.bucket_of(self.access["POST"], address)
        row = redeeming.redeemable(named, token, bucket)
        shown = None if row is None else row.shown()
        if row is None or shown is None:
            return None
        allowance = row.allowance(bucket)
        if not allowance.ok:
            return refusal(RateLimited(retry_after_seconds=allowance.retry_after_seconds), allowance)
        app = row.app(named)
        agent, country = meta.get("HTTP_USER_AGENT", ""), http.country_of(request)
        try:
            if row.redirect_url:
                redirect_target(app, row.redirect_url)
            made = redeeming.redeem(
                row, app, token, email=shown["email"], address=address, user_agent=agent, country=country
            )
            if made is None:
                raise _why_not(app, token)
        except ApiError as failure:
            return refusal(failure, allowance)
        return answer(_opened_shape(app.tenant_id, shown, made, row.holds, row.redirect_url or None), allowance)

    @operation(query=VerifyQuery, status=302)
    def get(self, request: Request, app_id: str) -> Response:
        """Lead a link of the form that carries its token in the query to the page that asks; spends nothing."""
        token = self.query()["token"]
        app = app_in_service(app_id)
        link = opaque.read(opaque.MAGIC_LINK, token)
        if link is None or link.app_id != app.id:
            raise TokenInvalid
        where = f"{settings.BASE_URL}{CUSTOMER_CONFIRM}?app={app_id}#token={token}"
        return Response(status=302, headers={"Location": where, "Referrer-Policy": "no-referrer"})

    @operation(input=VerifyInput, output=VerifyOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Turn a one-time code, a link's token, or an address and its 6 digits into a session. Works once.

        Where a second factor is due, the answer is 403 SECOND_FACTOR_REQUIRED and says how to go on; what was given
        is spent then. A one-time code comes after the factor.
        """
        asked = self.parse()
        app = app_in_service(app_id)
        opened, redirect_url = magic_links.sign_in(
            app,
            token=asked.get("token"),
            email=asked.get("email"),
            code=asked.get("code"),
            user_agent=request.headers.get("User-Agent", ""),
            country=http.country_of(request._request),
        )
        scope = app.system_scope("sign-in")
        with reading(scope):
            return self.reply(opened_as_json(scope, opened, redirect_url or None))


class Session(HotView):
    """The session that asks."""

    def quick(self, request: Asked, app_id: str = "", **kwargs: str) -> Answer | None:
        """Answer from one call, once the token's signature has been verified here."""
        if request.META.get("QUERY_STRING") or not request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer "):
            return None
        claims = proofs.proven(presented(request))
        if claims is None or encode(App.id_prefix, claims.app_id) != app_id:
            return None
        row = session_shown.shown(claims)
        customer = None if row is None else row.opened(claims.customer_id)
        if row is None or customer is None:
            return None
        allowance = row.allowance
        if not allowance.ok:
            return refusal(RateLimited(retry_after_seconds=allowance.retry_after_seconds), allowance)
        body = {
            "valid": True,
            "customer": {"id": encode("cust", claims.customer_id), **customer},
            "entitlements": row.holds,
            "organizationId": row.organization_id and encode("org", row.organization_id),
            "orgRole": row.organization_role,
            "expiresAt": render(datetime.fromtimestamp(claims.expires_at, tz=UTC)),
        }
        return answer(body, allowance)

    @operation(output=SessionOutput)
    def get(self, request: Request, app_id: str) -> Response:
        """Show who is signed in and what their plan holds. `expiresAt` is the end of the token that asks."""
        own_app(self.scope, app_id)
        scope = self.scope
        _, customer = sessions.calling(scope)
        ends = tokens.claims_of(presented(request._request))["exp"]
        shown = customer_as_event(customer)
        return self.reply(
            {
                "valid": True,
                "customer": {name: shown[name] for name in ("id", "email", "name", "metadata")},
                "entitlements": entitlements_shown(scope, customer.id),
                "organizationId": scope.organization_id and encode("org", scope.organization_id),
                "orgRole": scope.organization_role,
                "expiresAt": render(datetime.fromtimestamp(ends, tz=UTC)),
            }
        )


class Refresh(ApiView):
    """The exchange of refresh tokens."""

    @operation(input=RefreshInput, output=RefreshOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Get a new pair. The same token again within 10 seconds answers the same; later it ends the session."""
        token = self.parse()["refresh_token"]
        scope = app_in_service(app_id).system_scope("sign-in")
        with change(scope):
            refreshed = sessions.refresh_session(scope, token)
        if refreshed.opened is None:
            raise refreshed.refusal or SessionInvalid()
        opened = refreshed.opened
        return self.reply(
            {
                "sessionToken": opened.access_token,
                "refreshToken": opened.refresh_token,
                "expiresAt": render(opened.expires_at),
            }
        )


class Logout(ApiView):
    """Signing out."""

    @operation(status=204, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """End the session that asks, everywhere and at once."""
        own_app(self.scope, app_id)
        session, _ = sessions.calling(self.scope)
        sessions.end_session(self.scope, session, "signed out")
        return self.reply()


class SwitchOrganization(ApiView):
    """The organization that a session acts in."""

    @operation(input=SwitchInput, output=SwitchOutput, idempotent=False)
    def post(self, request: Request, app_id: str) -> Response:
        """Act in another organization, or in none, with a new access token."""
        own_app(self.scope, app_id)
        organization_id = self.parse()["organization_id"]
        text, expires_at, role = sessions.switch_organization(self.scope, organization_id)
        return self.reply(
            {
                "sessionToken": text,
                "expiresAt": render(expires_at),
                "organizationId": organization_id and encode("org", organization_id),
                "orgRole": role,
            }
        )


def opened_as_json(scope: Scope, opened: sessions.Opened, redirect_url: str | None) -> dict[str, Any]:
    """Return both documented shapes of a new session at once. Runs inside a change or reading."""
    return _opened_shape(
        scope.tenant_id,
        customer_as_event(opened.customer),
        (opened.access_token, opened.refresh_token, opened.expires_at),
        entitlements_shown(scope, opened.customer.id),
        redirect_url,
        organization_id=opened.session.organization_id,
        organization_role=opened.organization_role,
    )


def _opened_shape(
    tenant_id: UUID,
    customer: dict[str, Any],
    made: tuple[str, str, datetime],
    entitlements: dict[str, Any],
    redirect_url: str | None,
    *,
    organization_id: UUID | None = None,
    organization_role: str | None = None,
) -> dict[str, Any]:
    access_token, refresh_token, expires_at = made
    return {
        "success": True,
        "valid": True,
        "customerId": customer["id"],
        "email": customer["email"],
        "sessionToken": access_token,
        "refreshToken": refresh_token,
        "expiresAt": render(expires_at),
        "tenantId": encode("ten", tenant_id),
        "organizationId": organization_id and encode("org", organization_id),
        "orgRole": organization_role,
        "redirectUrl": redirect_url,
        "customer": customer,
        "entitlements": entitlements,
    }


def _decoded(app_id: str) -> UUID | None:
    try:
        return ids.decode(App.id_prefix, app_id)
    except ids.MalformedId:
        return None


def _why_not(app: KnownApp, token: str) -> magic_links.Refusal:
    scope = app.system_scope(magic_links.ACTOR)
    with reading(scope):
        return magic_links.why_not(scope, token)


def entitlements_shown(scope: Scope, customer_id: UUID) -> dict[str, Any]:
    """Return the plan's name and what it holds, as sign-in tells them."""
    held = entitlements_of(scope, customer_id)
    return {"planName": held["planName"], "features": held["entitlements"]}


def _send(
    scope: Scope,
    app: KnownApp,
    asked: dict[str, Any],
    keys: magic_links.LinkKeys | None = None,
    *,
    caller: str | None = None,
    tell_unknown: bool = False,
) -> None:
    target = redirect_target(app, asked.get("redirect_url"), use_dev=asked.get("use_dev", False))
    magic_links.ask_for_link(
        scope,
        app,
        keys,
        email=asked["email"],
        redirect_url=target,
        organization_id=asked.get("organization_id"),
        caller=caller,
        tell_unknown=tell_unknown,
    )


def _refuse_foreign_origin(request: Request, app: KnownApp) -> None:
    origin = request.headers.get("Origin")
    if origin is None or origin not in app.settings.allowed_origins:
        said = origin or "A request without an Origin header"
        raise Forbidden(f"{said} may not use the publishable key. Add the origin to settings.allowedOrigins.")
