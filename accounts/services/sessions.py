"""Customers' sessions: begun, refreshed, ended.

A session is a row; access tokens name it and die with it. Refresh tokens are a chain of which only the
newest is good. The same one twice within ten seconds gets the same answer (two tabs, a lost reply);
later it can only be a stolen copy, and the whole session ends. A session lives for the app's
`sessionTtlMinutes` at most, and for `sessionIdleMinutes` without a refresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from accounts import opaque
from accounts.customer_factor_models import SecurityVisit
from accounts.errors import SessionExpired, SessionInvalid
from accounts.models import App, Customer, CustomerSession, OrganizationMember, RefreshToken
from accounts.services.customer_factors import SEVERAL, end_visits, with_method
from accounts.services.customers import live_customers
from accounts.services.tokens import mint_session_token
from stackbe.kernel import http
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import keyed_hash, token_digest
from stackbe.kernel.errors import NotFound
from stackbe.kernel.ids import new_id
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from datetime import datetime

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

SAME_ANSWER_FOR = timedelta(seconds=10)
FAMILIES = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl", "python", "node")


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """A session with the two tokens that go to its customer. It has no repr."""

    session: CustomerSession
    customer: Customer
    organization_role: str | None
    access_token: str
    expires_at: datetime
    refresh_token: str


@dataclass(frozen=True, slots=True, repr=False)
class Refreshed:
    """What a refresh token came to: a session, or the reason why not, which the change must outlive."""

    opened: Opened | None = None
    refusal: SessionInvalid | SessionExpired | None = None


def start_session(
    scope: Scope,
    customer: Customer,
    *,
    organization_id: UUID | None = None,
    user_agent: str = "",
    country: str = "",
    amr: str = "",
) -> Opened:
    """Sign a customer in: a session row, its first refresh token, an access token.

    An organization that the customer is no member of is left out. Of the address its network is kept, of
    the User-Agent its family. `amr` says by what they were proven, in RFC 8176's words; nothing where the app
    vouches for them.
    """
    require_change()
    moment = wall_clock()
    role = _role_in(scope, customer.id, organization_id)
    ttl = App.objects.within(scope).get(pk=scope.app).config.session_ttl_minutes
    session = CustomerSession(
        **owned_by(scope),
        customer_id=customer.id,
        organization_id=organization_id if role else None,
        created_at=moment,
        last_seen_at=moment,
        expires_at=moment + timedelta(minutes=ttl),
        address=_truncated_address(),
        country=country,
        user_agent_family=family_of(user_agent),
        amr=amr,
        proven_at=moment if SEVERAL in amr.split() else None,
    )
    session.save(force_insert=True)
    text = opaque.mint(opaque.REFRESH_TOKEN, refresh_id := new_id())
    _store_refresh(scope, session, refresh_id, text)
    return _opened(scope, session, customer, role, text)


def refresh_session(scope: Scope, token: str) -> Refreshed:
    """Turn a refresh token into its successor and a fresh access token.

    A refusal is returned, not raised: ending the session of a token that came twice must be committed.
    """
    unit = require_change()
    if opaque.read(opaque.REFRESH_TOKEN, token) is None:
        return Refreshed(refusal=SessionInvalid())
    rows = RefreshToken.objects.within(scope).locked().filter(digest=token_digest(token))
    row = rows.first()
    if row is None:
        return Refreshed(refusal=SessionInvalid())
    session = CustomerSession.objects.within(scope).get(pk=row.session_id)
    moment = wall_clock()
    customer = live_customers(scope).filter(pk=session.customer_id).first()
    if session.revoked_at is not None or customer is None:
        return Refreshed(refusal=SessionInvalid())
    if min(session.expires_at, session.last_seen_at + _idle_limit(scope)) <= moment:
        return Refreshed(refusal=SessionExpired("This session has expired. Sign in again."))
    if row.used_at is not None and row.used_at + SAME_ANSWER_FOR < moment:
        end_session(scope, session, "refresh token used twice")
        sentence = "This refresh token was used before, so its session has been ended. Sign in again."
        return Refreshed(refusal=SessionInvalid(sentence))
    successor_id = new_id() if row.successor is None else UUID(bytes=bytes(row.successor))
    secret = keyed_hash(unit.keys.secret("refresh", scope.app), "refresh-successor", token)
    text = opaque.mint(opaque.REFRESH_TOKEN, successor_id, secret=secret)
    if row.used_at is None:
        row.used_at, row.successor = moment, successor_id.bytes
        row.save(update_fields=["used_at", "successor"])
        _store_refresh(scope, session, successor_id, text)
        session.last_seen_at = moment
        session.save(update_fields=["last_seen_at"])
    role = _role_in(scope, customer.id, session.organization_id)
    return Refreshed(_opened(scope, session, customer, role, text))


def switch_organization(scope: Scope, organization_id: UUID | None) -> tuple[str, datetime, str | None]:
    """Give the session that calls another organization, or none.

    Returns its new access token, when that expires and the customer's role. Raises `NotFound` for an
    organization that the customer is no member of.
    """
    require_change()
    session, customer = calling(scope)
    role = _role_in(scope, customer.id, organization_id)
    if organization_id is not None and role is None:
        raise NotFound("No such organization.")
    session.organization_id = organization_id
    session.save(update_fields=["organization_id"])
    return *mint_session_token(scope, session, customer, role), role


def calling(scope: Scope) -> tuple[CustomerSession, Customer]:
    """Return the session that calls and its customer. Raises `SessionInvalid` where either has just gone."""
    if scope.session_id is not None and scope.customer_id is not None:
        session = CustomerSession.objects.within(scope).filter(pk=scope.session_id).first()
        customer = live_customers(scope).filter(pk=scope.customer_id).first()
        if session is not None and customer is not None:
            return session, customer
    raise SessionInvalid


def end_session(scope: Scope, session: CustomerSession, why: str) -> None:
    """Refuse a session's tokens from the next request on, wherever they are. Ending twice is harmless."""
    require_change()
    RefreshToken.objects.within(scope).filter(session_id=session.id).delete()
    SecurityVisit.objects.within(scope).filter(session_id=session.id).delete()
    if session.revoked_at is None:
        session.revoked_at = wall_clock()
        session.save(update_fields=["revoked_at"])
        detail = {"why": why}
        audit(scope, "session.ended", session.public_id, subject_id=session.customer_id, detail=detail)


def note_proof(session: CustomerSession, method: str) -> None:
    """Remember that a factor was given with a session now; its next access token says so too."""
    require_change()
    session.proven_at, session.amr = wall_clock(), with_method(session.amr, method)
    session.save(update_fields=["proven_at", "amr"])


def end_all_sessions(scope: Scope, customer_id: UUID, why: str) -> None:
    """End all of a customer's sessions, sign-ins that wait for a factor, and visits to the page of factors."""
    require_change()
    end_visits(scope, customer_id)
    for session in live_sessions(scope, customer_id).locked():
        end_session(scope, session, why)


def live_sessions(scope: Scope, customer_id: UUID) -> ScopedQuerySet[CustomerSession]:
    """Return the sessions in which a customer is signed in, without those left idle for too long."""
    moment = wall_clock()
    rows = CustomerSession.objects.within(scope).filter(customer_id=customer_id, revoked_at__isnull=True)
    return rows.filter(expires_at__gt=moment, last_seen_at__gt=moment - _idle_limit(scope))


def family_of(user_agent: str) -> str:
    """Return the browser's family; the rest of a User-Agent tells more of a person than a list needs."""
    found = next((name for name in FAMILIES if name.lower() in user_agent.lower()), "")
    return {"Edg": "Edge", "OPR": "Opera"}.get(found, found)


def _idle_limit(scope: Scope) -> timedelta:
    return timedelta(minutes=App.objects.within(scope).get(pk=scope.app).config.session_idle_minutes)


def _opened(scope: Scope, session: CustomerSession, customer: Customer, role: str | None, refresh_token: str) -> Opened:
    text, expires_at = mint_session_token(scope, session, customer, role)
    return Opened(session, customer, role, text, expires_at, refresh_token)


def _store_refresh(scope: Scope, session: CustomerSession, row_id: UUID, text: str) -> None:
    RefreshToken(
        **owned_by(scope), id=row_id, session_id=session.id, digest=token_digest(text), expires_at=session.expires_at
    ).save(force_insert=True)


def _role_in(scope: Scope, customer_id: UUID, organization_id: UUID | None) -> str | None:
    if organization_id is None:
        return None
    rows = OrganizationMember.objects.within(scope).filter(organization_id=organization_id, customer_id=customer_id)
    return rows.values_list("role", flat=True).first()


def _truncated_address() -> str:
    address = http.address.get()
    return http.truncated(address) if address else ""
