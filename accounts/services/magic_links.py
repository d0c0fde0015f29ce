"""Customers' magic links: asked for, spent, turned into a one-time code or a session.

The request stores a link without a token and does the same work for every address; the worker mints and
mails (link_mail.py). Spending is `DELETE … RETURNING` in the change that makes what the link is for, so
a link works once whoever races, and only its random id stays until it would have expired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from accounts import opaque
from accounts.errors import TokenAlreadyUsed, TokenExpired, TokenInvalid, UnknownCustomer
from accounts.link_mail import mail_magic_link
from accounts.models import Customer, MagicLink, OneTimeCode, Organization, SpentToken, email_index
from accounts.services import pending_sign_ins
from accounts.services.customer_factors import BY_MAIL, is_due
from accounts.services.customers import customer_by_email, get_or_create_customer, index_key, live_customers
from accounts.services.entry import CODE_LIVES, Way, lead_on, redirect_target
from accounts.services.sessions import Opened, start_session
from stackbe.kernel import limits
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import seal, token_digest
from stackbe.kernel.errors import NotFound
from stackbe.kernel.ids import new_id
from stackbe.kernel.jobs import parcel
from stackbe.kernel.statements import Statement
from stackbe.kernel.transactions import change, current, reading

if TYPE_CHECKING:
    from accounts.lookups import KnownApp
    from stackbe.kernel.scope import Scope

MOST_LIVE_LINKS = 3
PER_ADDRESS_AN_HOUR = 20
PER_CALLER_AN_HOUR = 60
PER_APP_AN_HOUR = 5000
ACTOR = "sign-in"
STORE = Statement("accounts_store_link", f"select accounts_store_link({', '.join(['%s'] * 14)})")
Refusal = TokenInvalid | TokenExpired | TokenAlreadyUsed


@dataclass(frozen=True, slots=True)
class Spent:
    """What a spent link or code was for."""

    email: str
    redirect_url: str
    organization_id: UUID | None
    amr: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class LinkKeys:
    """What a link takes of its app's keys: one for blind indexes, one to seal with. It has no repr."""

    index: bytes
    key_id: UUID
    key: bytes

    @classmethod
    def of(cls, scope: Scope) -> LinkKeys:
        """Return the scope's, made on first use. Runs inside a change or reading."""
        return cls(index_key(scope), *current().keys.tenant_key())


def ask_for_link(
    scope: Scope,
    app: KnownApp,
    keys: LinkKeys | None = None,
    *,
    email: str,
    redirect_url: str,
    organization_id: UUID | None,
    caller: str | None,
    tell_unknown: bool,
) -> None:
    """Have a link mailed, unless as many were asked for as may be: whoever asks gets no sign of that.

    `tell_unknown` (the app's own backend) raises `UnknownCustomer` where nobody would be mailed; anybody
    else gets no sign of it, and no customer is looked up. `keys` saves a look-up where the caller has them.
    """
    if keys is None:
        with reading(scope):
            keys = LinkKeys.of(scope)
    if not _mail_allowed(scope, email_index(keys.index, email), caller):
        return
    if organization_id is not None:
        with reading(scope):
            _require_organization(scope, organization_id)
    if tell_unknown and not app.settings.auto_create_customer:
        with reading(scope):
            if customer_by_email(scope, email) is None:
                raise UnknownCustomer
    request_magic_link(scope, app, keys, email=email, redirect_url=redirect_url, organization_id=organization_id)


def request_magic_link(
    scope: Scope,
    app: KnownApp,
    keys: LinkKeys,
    *,
    email: str,
    redirect_url: str,
    organization_id: UUID | None = None,
) -> None:
    """Store a link and have the worker mail it, in one call. Only the newest three of an address live.

    The call is a transaction of its own, or part of the open change.
    """
    moment = wall_clock()
    link_id = new_id()
    context = f"{MagicLink._meta.db_table}.email|{link_id}"
    STORE.row(
        scope.tenant_id,
        scope.app,
        link_id,
        seal(keys.key, keys.key_id.bytes, email.encode(), context),
        email_index(keys.index, email),
        redirect_url,
        organization_id,
        moment,
        moment + timedelta(minutes=app.settings.magic_link_expiry_minutes),
        MOST_LIVE_LINKS,
        *parcel(mail_magic_link, tenant_id=str(scope.tenant_id), app_id=str(scope.app), link_id=str(link_id)),
    )


def preview(app: KnownApp, token: str) -> str:
    """Return the masked address that a link was mailed to, spending nothing; raises why not."""
    scope = app.system_scope(ACTOR)
    with reading(scope):
        rows = MagicLink.objects.within(scope).filter(token_digest=token_digest(token), expires_at__gt=wall_clock())
        link = rows.first()
        if link is None:
            raise why_not(scope, token)
        return opaque.masked(link.email)


def confirm_link(app: KnownApp, token: str) -> str:
    """Spend a link and return the app's callback with a one-time code on it."""
    scope = app.system_scope(ACTOR)
    with change(scope):
        spent = _spend_link(scope, app, token=token)
        if spent is not None:
            return _callback(scope, app, spent)
    with reading(scope):
        raise why_not(scope, token)


def confirm_code(app: KnownApp, email: str, code: str) -> str:
    """Spend the link whose mail carried the 6 digits, likewise."""
    scope = app.system_scope(ACTOR)
    with change(scope):
        spent = _spend_by_code(scope, app, email, code)
        if spent is not None:
            return _callback(scope, app, spent)
    raise _wrong_code()


def sign_in(
    app: KnownApp, *, token: str | None, email: str | None, code: str | None, user_agent: str, country: str = ""
) -> tuple[Opened, str]:
    """Turn a one-time code, a link's token, or an address with its 6 digits into a session.

    Returns it with the URL that the link was asked for with. Raises `TokenAlreadyUsed`, `TokenExpired`
    or `TokenInvalid`; each of the three works once. Where a second factor is due, what was given is spent and
    `SecondFactorRequired` says how to go on; a one-time code comes after that already.
    """
    scope = app.system_scope(ACTOR)
    with change(scope):
        found = _redeem(scope, app, token, email, code)
        if found is not None:
            customer, spent = found
            if spent.amr or not is_due(scope, app, customer):
                opened = start_session(
                    scope,
                    customer,
                    organization_id=spent.organization_id,
                    user_agent=user_agent,
                    country=country,
                    amr=spent.amr or BY_MAIL,
                )
                return opened, spent.redirect_url
            way: Way = {"redirect_url": spent.redirect_url, "organization_id": spent.organization_id}
            factor = pending_sign_ins.begin(scope, app, customer, **way)
    if found is not None:
        raise pending_sign_ins.required(factor)
    if token is None:
        raise _wrong_code()
    with reading(scope):
        raise why_not(scope, token)


def why_not(scope: Scope, token: str) -> Refusal:
    """Return why a token opens nothing, as far as that can be told without keeping tokens."""
    link = opaque.read(opaque.MAGIC_LINK, token)
    parts = link or opaque.read(opaque.ONE_TIME_CODE, token)
    if parts is None or parts.app_id not in {None, scope.app}:
        return TokenInvalid()
    digest = token_digest(token)
    stored = (
        MagicLink.objects.within(scope).filter(token_digest=digest)
        if link
        else OneTimeCode.objects.within(scope).filter(digest=digest)
    )
    if stored.exists():
        return TokenExpired()
    return TokenAlreadyUsed() if SpentToken.unscoped.filter(pk=parts.row_id).exists() else TokenInvalid()


def _redeem(
    scope: Scope, app: KnownApp, token: str | None, email: str | None, code: str | None
) -> tuple[Customer, Spent] | None:
    if token is None:
        spent = _spend_by_code(scope, app, email or "", code or "")
    elif token.startswith(f"{opaque.ONE_TIME_CODE}_"):
        return _spend_one_time_code(scope, app, token)
    else:
        spent = _spend_link(scope, app, token=token)
    return None if spent is None else (_settle_customer(scope, app, spent.email), spent)


def _spend_link(scope: Scope, app: KnownApp, *, token: str | None = None, pk: UUID | None = None) -> Spent | None:
    """Delete a live link and return what it was for; the loser of a race gets None."""
    column = "token_digest" if pk is None else "id"
    statements = {
        "token_digest": "delete from accounts_magiclink where app_id = %s and token_digest = %s and expires_at > %s"
        " returning *",
        "id": "delete from accounts_magiclink where app_id = %s and id = %s and expires_at > %s returning *",
    }
    value = token_digest(token or "") if pk is None else pk
    rows = MagicLink.objects.within(scope).raw(statements[column], [scope.app, value, wall_clock()])
    found = next(iter(rows), None)
    if found is None:
        return None
    if found.redirect_url:
        redirect_target(app, found.redirect_url)
    SpentToken.unscoped.create(id=found.id, expires_at=found.expires_at)
    return Spent(found.email, found.redirect_url, found.organization_id)


def _spend_by_code(scope: Scope, app: KnownApp, email: str, code: str) -> Spent | None:
    """Spend the live link of an address that carries the code; else take a try off each."""
    rows = (
        MagicLink.objects.within(scope)
        .locked()
        .filter(
            email_index=email_index(index_key(scope), email),
            tries_left__gt=0,
            expires_at__gt=wall_clock(),
            code_digest__isnull=False,
        )
    )
    live, peppers = list(rows.order_by("id")), current().keys.secrets("pepper")
    for link in live:
        if opaque.is_code(peppers, link.id, code, bytes(link.code_digest or b"")):
            return _spend_link(scope, app, pk=link.id)
    for link in live:
        link.tries_left -= 1
        link.save(update_fields=["tries_left"])
    return None


def _spend_one_time_code(scope: Scope, app: KnownApp, token: str) -> tuple[Customer, Spent] | None:
    statement = "delete from accounts_onetimecode where app_id = %s and digest = %s and expires_at > %s returning *"
    rows = OneTimeCode.objects.within(scope).raw(statement, [scope.app, token_digest(token), wall_clock()])
    found = next(iter(rows), None)
    if found is None:
        return None
    if found.redirect_url:
        redirect_target(app, found.redirect_url)
    customer = live_customers(scope).filter(pk=found.customer_id).first()
    if customer is None:
        return None
    SpentToken.unscoped.create(id=found.id, expires_at=found.expires_at + CODE_LIVES)
    return customer, Spent(customer.email, found.redirect_url, found.organization_id, found.amr or BY_MAIL)


def _callback(scope: Scope, app: KnownApp, spent: Spent) -> str:
    customer = _settle_customer(scope, app, spent.email)
    return lead_on(scope, app, customer, redirect_url=spent.redirect_url or None, organization_id=spent.organization_id)


def _settle_customer(scope: Scope, app: KnownApp, email: str) -> Customer:
    """Return the customer of an address, made now where the app wants that."""
    if app.settings.auto_create_customer:
        return get_or_create_customer(scope, email=email)[0]
    found = customer_by_email(scope, email)
    if found is None:
        raise TokenInvalid
    return found


def _mail_allowed(scope: Scope, index: bytes, caller: str | None) -> bool:
    """Count a request for mail by address, by caller and by app; the answer is the same when refused."""
    buckets = [(f"mail:{scope.app}:{index.hex()}", PER_ADDRESS_AN_HOUR), (f"mail:{scope.app}", PER_APP_AN_HOUR)]
    if caller is not None:
        buckets.append((f"mail:{scope.app}:{caller}", PER_CALLER_AN_HOUR))
    return limits.take_each(buckets, limits.HOUR)


def _require_organization(scope: Scope, organization_id: UUID) -> None:
    if not Organization.objects.within(scope).filter(pk=organization_id).exists():
        raise NotFound("No such organization.")


def _wrong_code() -> TokenInvalid:
    return TokenInvalid("This code is not valid. It works once, for 15 minutes at most, and for 5 tries.")
