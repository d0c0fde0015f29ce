"""Developers and staff sign in by mail; the same link makes an account where there is none.

Asking stores a link without a token, the same work for every address. Spending deletes the row in the
change that signs in, so of two racers one gets in. What remains is the row's random id, until the link
would have expired, so that a second click can be told why it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from accounts import opaque
from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid
from accounts.link_mail import mail_developer_link, mint_developer_token
from accounts.member_mail import mail_proof_code
from accounts.models import DeveloperLink, SpentToken, User
from accounts.services.member_invitations import offers_to
from accounts.services.members import memberships_of
from accounts.services.tenants import create_tenant
from accounts.services.users import ensure_user, user_by_email, user_index
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import Keyring, equal, token_digest
from stackbe.kernel.ids import new_id
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.scope import PLATFORM, Scope, platform_scope, system_scope
from stackbe.kernel.transactions import change, reading, require_change

if TYPE_CHECKING:
    from collections.abc import Callable

SIGN_IN, SIGN_UP, STAFF, PROOF = "sign_in", "sign_up", "staff", "proof"
MOST_LIVE_LINKS = 3
FIRST_TENANT_NAME = "My workspace"
ACTOR = "sign-in"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a link's page says before anything is spent."""

    link: DeveloperLink
    masked_email: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who has signed in, and where they were going."""

    user: User
    next_path: str


def request_sign_in(
    email: str,
    *,
    next_path: str = "",
    browser: str | None = None,
    tenant_name: str | None = None,
) -> None:
    """Have a sign-in link mailed; the same work and no answer for known and unknown addresses.

    `browser` is the secret of the browser that asks: there the link opens without a question.
    `tenant_name` founds a tenant of that name when the link is spent.
    """
    with change(platform_scope(ACTOR)):
        store_link(email, next_path=next_path, browser=browser, tenant_name=tenant_name)


def store_link(
    email: str,
    *,
    next_path: str = "",
    browser: str | None = None,
    tenant_name: str | None = None,
) -> None:
    """Do the same inside the open change, whoever's it is: what asks for the link commits with it."""
    require_change()
    link = _new_link(email, SIGN_UP if tenant_name else SIGN_IN, next_path=next_path, browser=browser)
    link.detail = {"tenantName": tenant_name} if tenant_name else None
    link.save(force_insert=True)
    _keep_newest(bytes(link.email_index))
    enqueue(mail_developer_link, link_id=str(link.id))


def staff_link(email: str, role: User.StaffRole, *, next_path: str) -> str:
    """Return the URL of a link that gives a role in the staff console to whoever spends it.

    It is for the operator's own terminal: it is minted at once and mailed to nobody.
    """
    with change(platform_scope("operator")):
        link = _new_link(email, STAFF, next_path=next_path)
        link.detail = {"staffRole": role.value}
        link.save(force_insert=True)
        audit(platform_scope("operator"), "staff_link.issued", detail={"role": role.value})
        return mint_developer_token(link)[0]


def preview(token: str) -> Preview:
    """Return what a link stands for, spending nothing.

    Raises `TokenAlreadyUsed`, `TokenExpired` or `TokenInvalid`.
    """
    with reading(platform_scope(ACTOR)):
        link = DeveloperLink.unscoped.filter(token_digest=token_digest(token)).first()
        if link is None or link.expires_at <= wall_clock():
            raise why_not(token)
        return Preview(link, opaque.masked(link.email))


def asked_here(link: DeveloperLink, browser: str | None) -> bool:
    """Say whether the link was asked for in the browser that holds this secret."""
    if link.browser_digest is None or not browser:
        return False
    return equal(bytes(link.browser_digest), token_digest(browser))


def redeem_link(token: str, enter: Callable[[User], None]) -> Arrival:
    """Spend a link and sign in, in one change; `enter` writes the browser's session inside it.

    Raises as `preview` does.
    """
    shown = preview(token)
    with change(_scope_for(shown.link.email, shown.link.purpose)) as unit:
        link = _spend("token_digest", token_digest(token))
        if link is not None:
            return _arrive(unit.scope, link, enter)
    with reading(platform_scope(ACTOR)):
        raise why_not(token)


def redeem_code(email: str, code: str, enter: Callable[[User], None]) -> Arrival:
    """Spend the link that carried a code, likewise. A wrong code costs each live link a try.

    Raises `TokenInvalid`, whether the code is wrong, spent, late or tried too often.
    """
    with change(_scope_for(email, SIGN_IN)) as unit:
        link = _match_code(email, code, {SIGN_IN, SIGN_UP, STAFF})
        if link is not None and (spent := _spend("id", link.id)) is not None:
            return _arrive(unit.scope, spent, enter)
    raise TokenInvalid("This code is not valid. It works once, for 15 minutes, and for 5 tries.")


def request_proof_code(user: User) -> None:
    """Have 6 digits mailed by which a developer without a second factor proves to be there. They sign nobody in."""
    with change(platform_scope(ACTOR)):
        link = _new_link(user.email, PROOF, next_path="")
        link.user_id = user.id
        link.save(force_insert=True)
        _keep_newest(bytes(link.email_index))
        enqueue(mail_proof_code, link_id=str(link.id))


def redeem_proof_code(user: User, code: str) -> bool:
    """Take such a code, once. A wrong one costs each live code a try."""
    with change(platform_scope(user.public_id)) as unit:
        link = _match_code(user.email, code, {PROOF})
        if link is None or _spend("id", link.id) is None:
            return False
        audit(unit.scope, "developer.proven_by_mail", user.public_id, subject_id=user.id)
        return True


def why_not(token: str) -> TokenInvalid | TokenExpired | TokenAlreadyUsed:
    """Return why a token opens nothing. Runs inside a change or reading."""
    parts = opaque.read(opaque.DEVELOPER_LINK, token)
    if parts is None:
        return TokenInvalid()
    if DeveloperLink.unscoped.filter(token_digest=token_digest(token)).exists():
        return TokenExpired()
    return TokenAlreadyUsed() if SpentToken.unscoped.filter(pk=parts.row_id).exists() else TokenInvalid()


def _new_link(email: str, purpose: str, *, next_path: str, browser: str | None = None) -> DeveloperLink:
    moment = wall_clock()
    return DeveloperLink(
        email=email,
        email_index=user_index(email),
        browser_digest=token_digest(browser) if browser else None,
        purpose=purpose,
        next_path=next_path,
        created_at=moment,
        expires_at=moment + timedelta(minutes=settings.MAGIC_LINK_MINUTES),
    )


def _keep_newest(index: bytes) -> None:
    """Let the newest three links of an address live. Askers of one address wait for each other here."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 11))", [index.hex()])
    rows = DeveloperLink.unscoped.filter(email_index=index)
    newest = list(rows.order_by("-id").values_list("pk", flat=True)[:MOST_LIVE_LINKS])
    rows.exclude(pk__in=newest).delete()


def _scope_for(email: str, purpose: str) -> Scope:
    """Return the scope of the change that signs in: the new tenant's where one is to be founded."""
    with reading(platform_scope(ACTOR)):
        founds = _founds_tenant(email, purpose)
    if founds:
        return system_scope(new_id(), actor_name="sign-up")
    return platform_scope(ACTOR)


def _founds_tenant(email: str, purpose: str) -> bool:
    """Say whether arriving makes a tenant: for who has none, is no staff, and was not invited to one."""
    user = user_by_email(email)
    if purpose == STAFF or (user is not None and (user.is_staff or memberships_of(user.id))):
        return False
    return purpose == SIGN_UP or not offers_to(user_index(email))


def _spend(column: str, value: object) -> DeveloperLink | None:
    """Delete the live link that a column names and return what it was; the loser of a race gets None."""
    statements = {
        "token_digest": "delete from accounts_developerlink where token_digest = %s and expires_at > %s returning *",
        "id": "delete from accounts_developerlink where id = %s and expires_at > %s returning *",
    }
    return next(iter(DeveloperLink.unscoped.raw(statements[column], [value, wall_clock()])), None)


def _match_code(email: str, code: str, purposes: set[str]) -> DeveloperLink | None:
    """Return the live link of an address that carries the code; else take a try off each."""
    rows = DeveloperLink.unscoped.select_for_update().filter(
        email_index=user_index(email),
        purpose__in=purposes,
        tries_left__gt=0,
        expires_at__gt=wall_clock(),
        code_digest__isnull=False,
    )
    live, peppers, found = list(rows.order_by("id")), Keyring(PLATFORM).secrets("pepper"), None
    for link in live:
        if opaque.is_code(peppers, link.id, code, bytes(link.code_digest or b"")):
            found = link
    if found is None:
        for link in live:
            link.tries_left -= 1
            link.save(update_fields=["tries_left"])
    return found


def _arrive(scope: Scope, link: DeveloperLink, enter: Callable[[User], None]) -> Arrival:
    detail = link.detail or {}
    SpentToken.unscoped.create(id=link.id, expires_at=link.expires_at)
    if scope.tenant_id != PLATFORM and _founds_tenant(link.email, link.purpose):
        _, user, _ = create_tenant(detail.get("tenantName") or FIRST_TENANT_NAME, link.email)
    else:
        user = ensure_user(link.email)
    if not user.is_active:
        raise TokenInvalid("This account is closed.")
    if link.purpose == STAFF:
        user.staff_role = detail["staffRole"]
        user.save(update_fields=["staff_role"])
        audit(platform_scope("operator"), "staff.role_given", user.public_id, subject_id=user.id, detail=detail)
    audit(platform_scope(ACTOR), "developer.signed_in", user.public_id, subject_id=user.id)
    enter(user)
    return Arrival(user, link.next_path)
