"""Coupons: decided here, made at Stripe, recorded here, in three steps of which only the middle one calls."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from billing.errors import CouponExists, CouponNotFound
from billing.models import Coupon
from billing.services.catalogue import lock_catalogue
from billing.services.pricing import CURRENCIES
from billing.stripe.connect import connection_of
from billing.stripe.errors import StripeObjectGone, StripeRefused
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.translate import mark
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

TERMS = (
    "code",
    "percent_off",
    "amount_off_cents",
    "currency",
    "duration",
    "duration_in_months",
    "max_redemptions",
    "expires_at",
)
# What Stripe calls a code that nobody can redeem any more.
SPENT = frozenset({"coupon_expired", "promotion_code_expired"})
SPENT_SENTENCE = "This code has expired, was used up or was archived."


def made_coupons(scope: Scope) -> ScopedQuerySet[Coupon]:
    """Return the app's coupons, archived or not, that Stripe has made."""
    return Coupon.objects.within(scope).exclude(stripe_promotion_id="")


def list_coupons(scope: Scope, code: str | None, *, active: bool | None) -> ScopedQuerySet[Coupon]:
    """Return the coupons of a code, in whatever case, and those that can be redeemed or that cannot."""
    rows = made_coupons(scope)
    if code is not None:
        rows = rows.filter(code__iexact=code)
    if active is None:
        return rows
    over = Q(archived_at__isnull=False) | Q(expires_at__isnull=False, expires_at__lte=now(scope))
    return rows.exclude(over) if active else rows.filter(over)


def redeemable(scope: Scope, coupon: Coupon) -> bool:
    """Say whether a coupon is neither archived nor past its date."""
    return coupon.archived_at is None and (coupon.expires_at is None or coupon.expires_at > now(scope))


def create_coupon(scope: Scope, asked: dict[str, Any]) -> Coupon:
    """Return a coupon that customers can redeem by its code, made on the connected account.

    A call that was cut off is repeated with the same terms, and makes nothing twice. Raises
    `ValidationFailed`, `CouponExists` (here, or as a promotion code that somebody made at Stripe),
    `StripeNotConnected`, `StripeUnavailable` and `StripeRefused`.
    """
    coupon = _decide(scope, asked)
    account = ConnectedAccount(coupon.stripe_account)
    try:
        coupon_id = coupon.stripe_coupon_id or _make(scope, account, coupon, "coupon", _coupon_params(scope, coupon))
        _make(scope, account, coupon, "promotion_code", _promotion_params(scope, coupon, coupon_id))
    except StripeRefused as refused:
        _give_up(scope, account, coupon)
        if refused.param == "code" or refused.stripe_code == "resource_already_exists":
            raise CouponExists("The Stripe account has an active promotion code of this name already.") from None
        raise
    with reading(scope):
        return Coupon.objects.within(scope).get(pk=coupon.pk)


def archive_coupon(scope: Scope, coupon_id: str) -> None:
    """Let nobody redeem a coupon any more. Who has it keeps it. Archiving twice is harmless."""
    with reading(scope):
        coupon = made_coupons(scope).fetch(coupon_id, CouponNotFound)
    if coupon.archived_at is not None:
        return
    _withdraw(scope, ConnectedAccount(coupon.stripe_account), coupon)
    with change(scope):
        coupon = Coupon.objects.within(scope).locked().get(pk=coupon.pk)
        if coupon.archived_at is None:
            coupon.archived_at = now(scope)
            coupon.save(update_fields=["archived_at"])
            audit(scope, "coupon.archived", coupon.public_id, detail={"code": coupon.code})


def discount_of(account: ConnectedAccount, code: str) -> Json:
    """Return the discount that a code stands for at Stripe: a promotion code's, else a coupon's own id.

    Codes that the tenant made at Stripe count as well. Raises `ValidationFailed`, with `couponCode` named.
    """
    known = list(account.list("promotion_code", {"code": code}, most=100))
    for found in known:
        if found.get("active"):
            return {"promotion_code": found["id"]}
    if known:
        raise ValidationFailed(fields={"couponCode": [SPENT_SENTENCE]})
    try:
        return {"coupon": account.fetch("coupon", code)["id"]}
    except StripeRefused:
        raise ValidationFailed(fields={"couponCode": ["No such coupon."]}) from None


def _decide(scope: Scope, asked: dict[str, Any]) -> Coupon:
    """Record the coupon that is to be made, or find the one that a call which was cut off recorded."""
    with change(scope):
        lock_catalogue(scope)
        account_id = connection_of(scope).account_id
        terms = _terms(scope, asked)
        rows = Coupon.objects.within(scope).filter(stripe_account=account_id, archived_at__isnull=True)
        found = rows.filter(code__iexact=terms["code"]).first()
        if found is None:
            found = Coupon(**owned_by(scope), **terms, stripe_account=account_id, created_at=now(scope))
            found.save(force_insert=True)
        elif found.stripe_promotion_id or any(getattr(found, name) != terms[name] for name in TERMS):
            raise CouponExists
        return found


def _terms(scope: Scope, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked with every term, if the terms fit together."""
    terms = {**dict.fromkeys(TERMS), "currency": "", "duration": "once", **asked}
    terms["currency"] = (terms["currency"] or "").lower()
    wrong: dict[str, list[str]] = {}
    if (terms["percent_off"] is None) == (terms["amount_off_cents"] is None):
        wrong["percentOff"] = ["Give either percentOff or amountOffCents."]
    if (terms["amount_off_cents"] is None) != (terms["currency"] == ""):
        wrong["currency"] = ["An amount has a currency, and only an amount has one."]
    elif terms["currency"] and terms["currency"] not in CURRENCIES:
        wrong["currency"] = ["Must be a three-letter ISO 4217 currency that Stripe takes."]
    if (terms["duration"] == Coupon.Duration.REPEATING) != (terms["duration_in_months"] is not None):
        wrong["durationInMonths"] = ["A repeating coupon has a number of months, and only that one has it."]
    if isinstance(terms["expires_at"], datetime):
        terms["expires_at"] = terms["expires_at"].replace(microsecond=0)  # Stripe counts in seconds.
        if terms["expires_at"] <= now(scope):
            wrong["expiresAt"] = ["Must be in the future."]
    if wrong:
        raise ValidationFailed(fields=wrong)
    return terms


def _coupon_params(scope: Scope, coupon: Coupon) -> Json:
    params: Json = {
        "name": coupon.code[:40],
        "duration": str(coupon.duration),
        "metadata": mark(scope, stackbe_coupon=coupon.public_id),
    }
    if coupon.percent_off is not None:
        params["percent_off"] = float(coupon.percent_off)
    else:
        params |= {"amount_off": coupon.amount_off_cents, "currency": coupon.currency}
    if coupon.duration_in_months is not None:
        params["duration_in_months"] = coupon.duration_in_months
    return params


def _promotion_params(scope: Scope, coupon: Coupon, stripe_coupon_id: str) -> Json:
    params: Json = {
        "promotion": {"type": "coupon", "coupon": stripe_coupon_id},
        "code": coupon.code,
        "metadata": mark(scope, stackbe_coupon=coupon.public_id),
    }
    if coupon.max_redemptions is not None:
        params["max_redemptions"] = coupon.max_redemptions
    if coupon.expires_at is not None:
        params["expires_at"] = int(coupon.expires_at.timestamp())
    return params


def _make(scope: Scope, account: ConnectedAccount, coupon: Coupon, kind: str, params: Json) -> str:
    """Have Stripe make one of the two objects, once however often it is asked, and record its id."""
    column = "stripe_coupon_id" if kind == "coupon" else "stripe_promotion_id"
    with change(scope):
        row = Coupon.objects.within(scope).locked().get(pk=coupon.pk)
        if known := getattr(row, column):
            return str(known)  # Another call was faster.
        intent = record_intent(scope, f"{kind}.create", coupon.pk, account.id, once=True)
    made = perform(scope, intent, lambda: account.create(kind, params, intent=intent))
    with change(scope):
        news = Coupon.objects.within(scope).filter(pk=coupon.pk, **{column: ""}).update(**{column: made["id"]})
        settle(scope, intent, made["id"])
        if news and kind == "promotion_code":
            audit(scope, "coupon.created", coupon.public_id, detail={"code": coupon.code})
    return str(made["id"])


def _give_up(scope: Scope, account: ConnectedAccount, coupon: Coupon) -> None:
    """Make room for the code again, here and at Stripe."""
    with reading(scope):
        coupon = Coupon.objects.within(scope).get(pk=coupon.pk)
    if coupon.stripe_promotion_id:
        return
    _withdraw(scope, account, coupon)
    with change(scope):
        rows = Coupon.objects.within(scope).filter(pk=coupon.pk, stripe_promotion_id="")
        rows.update(archived_at=now(scope))


def _withdraw(scope: Scope, account: ConnectedAccount, coupon: Coupon) -> None:
    """Switch the code off at Stripe and delete the coupon there; discounts that were given stay."""
    if coupon.stripe_promotion_id:
        promotion_id = coupon.stripe_promotion_id
        with change(scope):
            intent = record_intent(scope, "promotion_code.retire", promotion_id, account.id)
        try:
            perform(
                scope, intent, lambda: account.update("promotion_code", promotion_id, {"active": False}, intent=intent)
            )
        except StripeObjectGone:
            pass
        else:
            with change(scope):
                settle(scope, intent, promotion_id)
    if coupon.stripe_coupon_id:
        coupon_id = coupon.stripe_coupon_id
        with change(scope):
            intent = record_intent(scope, "coupon.delete", coupon_id, account.id)
        try:
            perform(scope, intent, lambda: account.delete("coupon", coupon_id, {}, intent=intent))
        except StripeObjectGone:
            return
        with change(scope):
            settle(scope, intent, coupon_id)
