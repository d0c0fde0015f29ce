"""What browsers and Stripe itself call: the way to connect an account and back, and the inbox."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from django_ratelimit.core import is_ratelimited
from django_ratelimit.exceptions import Ratelimited

from accounts.dashboard import step_up
from accounts.lookups import known_app
from accounts.models import User
from accounts.services.members import member_scope
from billing.stripe import connect, drift, gateway, inbox
from billing.stripe.errors import StripeNotConnected
from stackbe.kernel import http, ids
from stackbe.kernel.errors import ApiError, NotFound, ServiceUnavailable
from stackbe.kernel.failures import plain_error
from stackbe.kernel.scope import Role
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.stripe")
NONCES = "stripe_connect"
STATE_SALT = "stackbe.stripe.connect"
STATE_SECONDS = 3600
MOST_AT_ONCE = 5
PRESSES = "30/m"


@csrf_exempt
@require_POST
def stripe_inbox(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """Take in an event from Stripe. Anything but 200 makes Stripe send it again."""
    body = request.read(inbox.BODY_BYTES + 1)
    network = http.network_of(http.client_address(request))
    try:
        inbox.receive(str(endpoint_id), body, request.headers.get("Stripe-Signature", ""), network)
    except ApiError as refused:
        return plain_error(refused)
    except DatabaseError as failure:
        log.warning("stripe event not kept", extra={"failure": type(failure).__name__})
        return plain_error(ServiceUnavailable(retry_after_seconds=5))
    return JsonResponse({"received": True})


@require_GET
@login_required
def connect_start(request: HttpRequest, app_id: str) -> HttpResponse:
    """Send the developer's browser to Stripe to connect an app.

    The state that Stripe hands back is signed, names the app and the member, and is only good in this
    browser: its nonce lies in the session. Nothing changes here, so a link may lead here.
    """
    scope = _member(request, app_id)
    nonce = secrets.token_urlsafe(24)
    request.session[NONCES] = [*request.session.get(NONCES, []), nonce][-MOST_AT_ONCE:]
    state = signing.dumps({"app": app_id, "nonce": nonce, "actor": scope.actor}, salt=STATE_SALT)
    return HttpResponseRedirect(gateway.authorize_url(state, callback_url()))


@require_GET
@login_required
def connect_callback(request: HttpRequest) -> HttpResponse:
    """Receive the browser back from Stripe and finish the connection."""
    try:
        state = signing.loads(request.GET.get("state", ""), salt=STATE_SALT, max_age=STATE_SECONDS)
    except signing.BadSignature:
        messages.error(request, "This connection was not started here, or too long ago. Start it again.")
        return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)
    nonces = request.session.get(NONCES, [])
    scope = _member(request, state["app"])
    back = page_of(state["app"])
    if state["nonce"] not in nonces or state["actor"] != scope.actor:
        messages.error(request, "This connection was started in another browser. Start it again from this one.")
        return HttpResponseRedirect(back)
    request.session[NONCES] = [nonce for nonce in nonces if nonce != state["nonce"]]
    code = request.GET.get("code", "")
    if not code:
        messages.warning(request, "Stripe was not connected: the request was declined there.")
        return HttpResponseRedirect(back)
    try:
        answer = gateway.exchange_code(code)
        connect.complete_connection(scope, str(answer["account"]), livemode=answer["livemode"])
    except ApiError as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "Stripe is connected. Your plans are being created on your account.")
    return HttpResponseRedirect(back)


@require_POST
@login_required
def connect_end(request: HttpRequest, app_id: str) -> HttpResponse:
    """Disconnect an app from its Stripe account, once the member has proven to be there."""
    scope = _member(request, app_id)
    asked = step_up.demand(request, request.user) if isinstance(request.user, User) else None
    if asked is not None:
        return asked
    if connect.disconnect(scope):
        messages.success(request, "Stripe is disconnected. Running subscriptions go on at Stripe, unseen by us.")
    return HttpResponseRedirect(page_of(app_id))


@require_POST
@login_required
def repair(request: HttpRequest, app_id: str) -> HttpResponse:
    """Queue what brings an app's rows and its Stripe account back in step."""
    scope = _member(request, app_id)
    try:
        with change(scope):
            found = drift.repair(scope)
    except StripeNotConnected as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{found} differences are being removed. Look again in a moment.")
    return HttpResponseRedirect(page_of(app_id))


def callback_url() -> str:
    """Return where Stripe sends the browser back to. It is registered with Stripe, so it never varies."""
    return f"{settings.BASE_URL}/connect/stripe/callback"


def page_of(app_id: str) -> str:
    """Return the dashboard's page about an app's Stripe account."""
    return reverse("dashboard-stripe", args=[app_id])


def _member(request: HttpRequest, app_id: str) -> Scope:
    """Return the developer's scope in the app, or refuse: the account is the owner's and the admins' to connect."""
    if is_ratelimited(request, group="stripe-connect", key="user_or_ip", rate=PRESSES, increment=True):
        raise Ratelimited
    try:
        app = known_app(ids.decode("app", app_id))
    except ids.MalformedId:
        app = None
    if app is None or not isinstance(request.user, User):
        raise Http404
    try:
        scope = member_scope(request.user, app.tenant_id, app.id)
    except NotFound:
        raise Http404 from None
    if scope.role is None or scope.role.rank < Role.ADMIN.rank:
        raise PermissionDenied("Only owners and admins connect Stripe.")
    return scope
