"""Stripe Connect: accounts, and the OAuth by which they let the platform in and out."""

import hashlib
import secrets

from billing.stripe.sandbox.context import Context, merge_metadata, new_id
from billing.stripe.sandbox.errors import OAuthError, foreign_account
from billing.stripe.sandbox.events import emit, record
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.settings import Settings
from billing.stripe.sandbox.store import Json, Store, wall_time

CODE_SECONDS = 300
LINK_SECONDS = 300
PLATFORM_NOTE = "platform"


def shape_account(ctx: Context, account_id: str, given: Json) -> Json:
    """An account in Stripe's form, ready to take payments."""
    profile = given.get("business_profile", {})
    standard = given.get("type", "standard") == "standard"
    return {
        "id": account_id,
        "object": "account",
        "business_profile": {
            "mcc": None,
            "name": profile.get("name"),
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": profile.get("url"),
        },
        "business_type": given.get("business_type"),
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "application", "is_controller": not standard},
        "country": given.get("country", "US"),
        "created": ctx.now,
        "default_currency": given.get("default_currency", "usd"),
        "details_submitted": True,
        "email": given.get("email"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "payouts_enabled": True,
        "requirements": {
            "alternatives": [],
            "current_deadline": None,
            "currently_due": [],
            "disabled_reason": None,
            "errors": [],
            "eventually_due": [],
            "past_due": [],
            "pending_verification": [],
        },
        "type": given.get("type", "standard"),
    }


def open_platform(store: Store, settings: Settings) -> str:
    """The platform's own account, made at the first start and kept."""
    with store.change():
        account: str | None = store.note(PLATFORM_NOTE)
        if account is None:
            account = new_id("acct", 16)
            store.write_note(PLATFORM_NOTE, account)
            ctx = Context.of(store, settings, account)
            ctx.put(shape_account(ctx, account, {"business_profile": {"name": "Sandbox platform"}}))
    return account


def open_account(ctx: Context, given: Json) -> Json:
    """A new connected account."""
    account_id = new_id("acct", 16)
    inside = Context.of(ctx.store, ctx.settings, account_id)
    account = shape_account(inside, account_id, given)
    account["_connected"] = True
    inside.put(account)
    emit(inside, "account.application.authorized", application(ctx))
    return account


def application(ctx: Context) -> Json:
    """The platform as the application that accounts authorize."""
    return {"id": ctx.settings.client_id, "object": "application", "name": "StackBE"}


def connected(store: Store, account_id: str) -> Json | None:
    """A connected account, unless it was disconnected or never was."""
    account = store.find(account_id, "account", account_id)
    return account if account and account.get("_connected") else None


def all_connected(store: Store) -> list[Json]:
    """Every connected account."""
    return [account for account in all_accounts(store) if account.get("_connected")]


def all_accounts(store: Store) -> list[Json]:
    """Every account but the platform's own, those that disconnected too: their owners may connect again."""
    ids = [row["account"] for row in store.rows("SELECT account FROM objects WHERE kind = 'account' ORDER BY seq")]
    own = store.note(PLATFORM_NOTE)
    return [account for each in ids if each != own and (account := store.find(each, "account", each))]


@route("GET", "/v1/account")
def own_account(ctx: Context, given: Json) -> Json:
    """The account that the request acts on."""
    return render(ctx, ctx.fetch("account", ctx.account), given.get("expand"))


@route("GET", "/v1/accounts")
def list_accounts(ctx: Context, given: Json) -> Json:
    """Connected accounts, newest first."""
    accounts = list(reversed(all_connected(ctx.store)))
    page = listing(ctx, "account", "/v1/accounts", {"limit": given.get("limit", 10)}, {"id": ""})
    ids = [account["id"] for account in accounts]
    start = ids.index(given["starting_after"]) + 1 if given.get("starting_after") in ids else 0
    shown = accounts[start : start + given.get("limit", 10)]
    return page | {
        "data": [render(ctx, account) for account in shown],
        "has_more": start + len(shown) < len(accounts),
    }


@route("GET", "/v1/accounts/{account}")
def retrieve_account(ctx: Context, account_id: str, given: Json) -> Json:
    """One account: the platform's own or a connected one."""
    if account_id == ctx.account:
        return own_account(ctx, given)
    account = None if ctx.is_connected else connected(ctx.store, account_id)
    if account is None:
        raise foreign_account(ctx.settings.secret_key, account_id)
    return render(ctx, account, given.get("expand"))


@route("POST", "/v1/accounts")
def create_account(ctx: Context, given: Json) -> Json:
    """A new connected account, without the OAuth dance."""
    return render(ctx, open_account(ctx, given), given.get("expand"))


@route("POST", "/v1/account_links")
def create_account_link(ctx: Context, given: Json) -> Json:
    """A link to the account's onboarding page."""
    if connected(ctx.store, given["account"]) is None:
        raise foreign_account(ctx.settings.secret_key, given["account"])
    token = secrets.token_urlsafe(16)
    link: Json = {
        "object": "account_link",
        "created": ctx.now,
        "expires_at": ctx.now + LINK_SECONDS,
        "url": f"{ctx.settings.public_url}/setup/{given['account']}/{token}",
    }
    ctx.store.write_note(f"link:{token}", {**link, "return_url": given.get("return_url")})
    return link


def digest(secret: str) -> str:
    """What is kept of a code or a token: enough to know it again, not to use it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue_code(store: Store, account_id: str) -> str:
    """A code for the platform to exchange, good once and for five minutes."""
    code = new_id("ac", 32)
    with store.change():
        store.write_note(f"code:{digest(code)}", {"account": account_id, "expires_at": wall_time() + CODE_SECONDS})
    return code


def exchange_code(store: Store, settings: Settings, given: dict[str, str]) -> Json:
    """The account behind a code, and a token for it (RFC 6749, section 4.1.3). A code works once."""
    if given.get("grant_type") != "authorization_code":
        error = "unsupported_grant_type"
        raise OAuthError(error, "Only the authorization_code grant is supported by the sandbox.")
    code = given.get("code", "")
    with store.change():
        held: Json | None = store.note(f"code:{digest(code)}")
        store.write_note(f"code:{digest(code)}", None)
        if not held or held["expires_at"] < wall_time():
            error = "invalid_grant"
            raise OAuthError(error, f"Authorization code does not exist: {code}" if code else "No code was sent.")
        ctx = Context.of(store, settings, held["account"])
        account = ctx.fetch("account", held["account"])
        was_connected = account.get("_connected")
        token = issue_token(store, account["id"])
        ctx.put({**account, "_connected": True})
        if not was_connected:
            emit(ctx, "account.application.authorized", application(ctx))
    return {
        "access_token": token,
        "livemode": False,
        "refresh_token": new_id("rt", 32),
        "scope": "read_write",
        "stripe_publishable_key": new_id("pk_test", 32),
        "stripe_user_id": account["id"],
        "token_type": "bearer",
    }


def issue_token(store: Store, account_id: str) -> str:
    """A secret key of a connected account's own; it opens that account and no other."""
    token = new_id("sk_test", 32)
    with store.change():
        store.write_note(f"token:{digest(token)}", account_id)
    return token


def account_of_token(store: Store, token: str) -> str | None:
    """The connected account that a token was issued for."""
    account: str | None = store.note(f"token:{digest(token)}")
    return account if account and connected(store, account) else None


def disconnect(store: Store, settings: Settings, account_id: str) -> Json:
    """Let go of an account: from either side, every later call for it is refused."""
    with store.change():
        account = connected(store, account_id)
        if account is None:
            error = "invalid_client"
            description = (
                f"This application is not connected to stripe account {account_id}, or that account does not exist."
            )
            raise OAuthError(error, description, status=401)
        ctx = Context.of(store, settings, account_id)
        ctx.put({**account, "_connected": False})
        emit(ctx, "account.application.deauthorized", application(ctx))
    return {"stripe_user_id": account_id}


def set_capabilities(ctx: Context, *, charges_enabled: bool) -> Json:
    """Let Stripe ask for something before the account may charge again, or be content."""
    account = ctx.fetch("account", ctx.account)
    due = [] if charges_enabled else ["external_account"]
    account["charges_enabled"] = account["payouts_enabled"] = charges_enabled
    account["requirements"] = {
        **account["requirements"],
        "currently_due": due,
        "disabled_reason": None if charges_enabled else "requirements.past_due",
        "past_due": due,
    }
    return record(ctx, account, "account.updated")
