"""Signing in with an account elsewhere: out to the provider, and back to the same browser once.

What is remembered between the two is a row that coming back deletes: `DELETE … RETURNING` by the state, the
provider and the browser, so that a state works once, for ten minutes, where it was begun. The network is spoken to
between transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from accounts import opaque
from accounts.models import CustomerSession, Organization
from accounts.services import social_protocol
from accounts.services.customer_factors import BY_PROVIDER
from accounts.services.customers import live_customers
from accounts.services.entry import callback_target, lead_on, with_query
from accounts.services.sessions import calling
from accounts.services.social_identities import connect, settle_person
from accounts.services.social_protocol import Checks, Client
from accounts.services.social_providers import client_of, find_provider, note_trouble, providers_of
from accounts.social_errors import (
    AnswerInvalid,
    AttemptGone,
    Declined,
    NotSignedIn,
    ProviderNotFound,
    ProviderRefused,
    ProviderUnavailable,
    SessionOver,
)
from accounts.social_models import SocialAttempt, SocialProvider
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.errors import NotFound
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from accounts.lookups import KnownApp
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

ACTOR = "sign-in"
ATTEMPT_LIVES = timedelta(minutes=10)
LONGEST_CODE = 4096


class CameBack(Exception):
    """Somebody came back and is not signed in, and it is known where they belong."""

    def __init__(self, reason: NotSignedIn, back: str) -> None:
        """`back` is the app's callback with the error on it."""
        super().__init__(str(reason))
        self.reason, self.back = reason, back


@dataclass(frozen=True, slots=True)
class Offer:
    """A leave to connect an account, as the page that asks shows it."""

    provider: str
    masked_email: str
    authorize_origin: str


def offered(scope: Scope) -> list[SocialProvider]:
    """Return the providers that customers may sign in with, by name."""
    return sorted(providers_of(scope).filter(enabled=True), key=lambda provider: provider.name.lower())


def begin(app: KnownApp, slug: str, browser: str, *, redirect_url: str | None, organization_id: UUID | None) -> str:
    """Return where to send a browser that wants to sign in with a provider.

    Raises `RedirectNotAllowed`, `ProviderNotFound`, `NotFound` for the organization, or `ProviderUnavailable`.
    """
    scope = app.system_scope(ACTOR)
    target = callback_target(app, redirect_url)
    with reading(scope):
        provider = _open_provider(scope, slug)
        client = client_of(scope, provider)
        if organization_id is not None and not Organization.objects.within(scope).filter(pk=organization_id).exists():
            raise NotFound("No such organization.")
    checks = Checks.drawn()
    state = opaque.mint(opaque.SOCIAL_STATE, attempt_id := new_id(), app_id=app.id)
    url = _address(scope, client, checks, state)
    with change(scope):
        attempt = _attempt(scope, provider, target)
        attempt.id, attempt.organization_id = attempt_id, organization_id
        _send_off(attempt, state, browser, checks)
        attempt.save(force_insert=True)
    return url


def offer_link(scope: Scope, app: KnownApp, slug: str, redirect_url: str | None) -> tuple[str, datetime]:
    """Give the session that calls leave to connect an account, and return its token and when that ends.

    It is confirmed in the browser that opens it, since a session proves who calls but not who sits there.
    """
    require_change()
    session, customer = calling(scope)
    attempt = _attempt(scope, _open_provider(scope, slug), callback_target(app, redirect_url))
    attempt.customer_id, attempt.session_id = customer.id, session.id
    text = opaque.mint(opaque.SOCIAL_LINK, attempt.id, app_id=scope.app)
    attempt.link_digest = token_digest(text)
    attempt.save(force_insert=True)
    return text, attempt.expires_at


def show_link(app: KnownApp, token: str) -> Offer:
    """Return what a leave to connect is about, spending nothing; raises `AttemptGone` or `ProviderUnavailable`."""
    scope = app.system_scope(ACTOR)
    with reading(scope):
        attempt = _offered(scope, token).first()
        if attempt is None:
            raise AttemptGone
        customer, client = _who(scope, attempt), client_of(scope, attempt.provider)
        masked = opaque.masked(customer.email)
    authorize = social_protocol.endpoints_of(client, client.wire()).authorize
    return Offer(client.name, masked, "/".join(authorize.split("/")[:3]))


def begin_link(app: KnownApp, token: str, browser: str) -> str:
    """Spend a leave to connect and return where to send the browser that confirmed it."""
    scope = app.system_scope(ACTOR)
    checks = Checks.drawn()
    with reading(scope):
        attempt = _offered(scope, token).first()
        if attempt is None:
            raise AttemptGone
        client = client_of(scope, attempt.provider)
    state = opaque.mint(opaque.SOCIAL_STATE, attempt.id, app_id=app.id)
    url = _address(scope, client, checks, state)
    with change(scope):
        found = _offered(scope, token).locked().first()
        if found is None:
            raise AttemptGone
        _send_off(found, state, browser, checks)
        found.link_digest, found.expires_at = None, wall_clock() + ATTEMPT_LIVES
        found.save(update_fields=["link_digest", "expires_at", "state_digest", "browser_digest", "checks"])
    return url


def finish(app: KnownApp, slug: str, browser: str, answer: Mapping[str, str]) -> str:
    """Return where to send a browser that came back from a provider.

    Raises `AttemptGone` for a state that is not this browser's or was spent, and `CameBack` for everybody else who
    is not signed in.
    """
    scope = app.system_scope(ACTOR)
    with change(scope):
        attempt = _spend(scope, slug, browser, answer.get("state", ""))
        if attempt is None:
            raise AttemptGone
        client, checks = client_of(scope, attempt.provider), Checks(**attempt.checks)
    try:
        code = _code_in(answer)
        person = social_protocol.identify(client, checks, code=code, iss=answer.get("iss"))
        with change(scope):
            note_trouble(scope, slug, "")
            if attempt.customer_id is not None:
                connect(scope, _who(scope, attempt), slug, person)
                return with_query(callback_target(app, attempt.redirect_url), linked=slug)
            customer = settle_person(scope, app, slug, person)
            return lead_on(
                scope,
                app,
                customer,
                redirect_url=attempt.redirect_url,
                organization_id=attempt.organization_id,
                came_by=BY_PROVIDER,
            )
    except NotSignedIn as reason:
        _remember(scope, slug, reason)
        raise CameBack(reason, with_query(callback_target(app, attempt.redirect_url), error=reason.error)) from None


def _code_in(answer: Mapping[str, str]) -> str:
    """Return the code of an answer, or raise what the provider says instead."""
    error = answer.get("error")
    if error == Declined.error:
        raise Declined
    if error in {"server_error", "temporarily_unavailable"}:
        raise ProviderUnavailable(f"The provider answered {error}.")
    if error is not None:
        raise ProviderRefused(f"The provider answered {error[:80]}.")
    code = answer.get("code", "")
    if not code or len(code) > LONGEST_CODE or not code.isprintable():
        raise AnswerInvalid("The provider sent no code.")
    return code


def _address(scope: Scope, client: Client, checks: Checks, state: str) -> str:
    try:
        return social_protocol.address_of(client, checks, state)
    except NotSignedIn as reason:
        _remember(scope, client.slug, reason)
        raise


def _remember(scope: Scope, slug: str, reason: NotSignedIn) -> None:
    """Tell the app's developers of what is theirs or the provider's to mend."""
    if isinstance(reason, ProviderUnavailable | ProviderRefused | AnswerInvalid):
        with change(scope):
            note_trouble(scope, slug, reason.detail)


def _open_provider(scope: Scope, slug: str) -> SocialProvider:
    provider = find_provider(scope, slug)
    if not provider.enabled:
        raise ProviderNotFound
    return provider


def _attempt(scope: Scope, provider: SocialProvider, target: str) -> SocialAttempt:
    moment = wall_clock()
    return SocialAttempt(
        **owned_by(scope),
        provider=provider,
        redirect_url=target,
        created_at=moment,
        expires_at=moment + ATTEMPT_LIVES,
    )


def _send_off(attempt: SocialAttempt, state: str, browser: str, checks: Checks) -> None:
    attempt.state_digest, attempt.browser_digest = token_digest(state), token_digest(browser)
    attempt.checks = {"nonce": checks.nonce, "verifier": checks.verifier}


def _offered(scope: Scope, token: str) -> ScopedQuerySet[SocialAttempt]:
    rows = SocialAttempt.objects.within(scope).select_related("provider")
    return rows.filter(link_digest=token_digest(token), expires_at__gt=wall_clock(), provider__enabled=True)


def _spend(scope: Scope, slug: str, browser: str, state: str) -> SocialAttempt | None:
    """Delete the attempt that a state names and return it; the loser of a race gets None."""
    rows = SocialAttempt.objects.within(scope).raw(
        "delete from accounts_socialattempt where app_id = %s and state_digest = %s and browser_digest = %s"
        " and expires_at > %s returning *",
        [scope.app, token_digest(state), token_digest(browser), wall_clock()],
    )
    attempt = next(iter(rows), None)
    if attempt is None:
        return None
    provider = providers_of(scope).filter(pk=attempt.provider_id, slug=slug, enabled=True).first()
    if provider is None:
        return None
    attempt.provider = provider
    return attempt


def _who(scope: Scope, attempt: SocialAttempt) -> Customer:
    """Return the customer whom an account is to be connected to, while the session that began it lives."""
    if attempt.session_id is None or attempt.customer_id is None:
        raise SessionOver
    session = CustomerSession.objects.within(scope).filter(pk=attempt.session_id, revoked_at__isnull=True).first()
    customer = live_customers(scope).filter(pk=attempt.customer_id).first()
    if session is None or customer is None or session.expires_at <= wall_clock():
        raise SessionOver
    return customer
