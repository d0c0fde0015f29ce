"""dj-stripe as a guarded mirror: what Stripe holds for our tenants, for the eyes of drift view and console.

Nothing decides by it; our own rows are the truth. dj-stripe would fetch on its own, under the platform's
account, store whole payloads and write the platform's key into a table. So all of it goes through here:
- objects come from the gateway, already cut down, and in the order in which they refer to each other;
- dj-stripe itself makes no call: its doors to the network are shut;
- a row can only be saved here, for one of seven models, with an allow-list of keys, for the account that
  is being mirrored, and never over another account's row of the same id (Stripe lets accounts choose ids).
It reaches into private methods, so the version is pinned and tests hold it to its word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import pre_save
from djstripe import models as mirror
from djstripe.exceptions import ImpossibleAPIRequest
from djstripe.models.base import StripeModel

from billing.stripe.errors import StripeObjectGone
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.shapes import keep, reference

log = logging.getLogger("stackbe.stripe")
NO_KEY = "the-mirror-has-no-key"
MODELS: dict[str, type[Any]] = {
    "account": mirror.Account,
    "product": mirror.Product,
    "price": mirror.Price,
    "customer": mirror.Customer,
    "subscription": mirror.Subscription,
    "subscription_item": mirror.SubscriptionItem,
    "invoice": mirror.Invoice,
}
# The page of an invoice shows a name, and why somebody cancelled is theirs to say: neither is kept here.
DROPPED = frozenset({"hosted_invoice_url", "cancellation_details", "url", "items"})
_owner: ContextVar[str | None] = ContextVar("stackbe_mirror_owner", default=None)


class MirrorRefused(RuntimeError):
    """A row that must not be stored, or not by that hand."""


class _CallsNobody(ImpossibleAPIRequest):  # type: ignore[misc]  # dj-stripe ships no types
    """dj-stripe wanted to fetch something: the relation is left empty instead."""


def mirror_object(account: ConnectedAccount, kind: str, body: Json | None, object_id: str) -> None:
    """Bring the mirror to an object as Stripe shows it, with what it refers to; forget it when it is gone.

    Runs with no transaction open, since what it refers to may have to be fetched first. An id that
    another account's row holds is left to that row, and said in the log.
    """
    if kind not in MODELS:
        return
    if body is None:
        MODELS[kind].objects.filter(id=object_id, djstripe_owner_account_id=account.id).delete()
        return
    needed = _referred(account, kind, body)
    try:
        with transaction.atomic(), _mirroring(account.id):
            for each in [*needed, body]:
                _store(each)
    except MirrorRefused as refused:
        log.warning("not mirrored", extra={"kind": kind, "why": str(refused)})


def _referred(account: ConnectedAccount, kind: str, body: Json) -> list[Json]:
    """Return the objects that must be there first: those that the mirror lacks are fetched."""
    wanted: list[tuple[str, str]] = []
    given: list[Json] = []
    if kind == "price":
        wanted.append(("product", reference(body.get("product"))))
    if kind in {"subscription", "invoice"}:
        wanted.append(("customer", reference(body.get("customer"))))
    for item in (body.get("items") or {}).get("data") or []:
        price = item.get("price")
        if isinstance(price, dict):
            wanted.append(("product", reference(price.get("product"))))
            given.append(price)
    found = [] if _known(account, "account", account.id) or kind == "account" else [account.account()]
    for each, object_id in wanted:
        if object_id and not _known(account, each, object_id):
            try:
                found.append(account.fetch(each, object_id))
            except StripeObjectGone:
                continue
    return [*found, *given]


def _known(account: ConnectedAccount, kind: str, object_id: str) -> bool:
    rows = MODELS[kind].objects.filter(id=object_id)
    return bool(rows.exists() if kind == "account" else rows.filter(djstripe_owner_account_id=account.id).exists())


def _store(body: Json) -> None:
    if body.get("deleted"):
        return
    kind = body["object"]
    if kind == "account":
        body = {**body, "livemode": settings.STRIPE_LIVE_MODE}
    MODELS[kind].sync_from_stripe_data(allowed(body), api_key=NO_KEY)
    for item in (body.get("items") or {}).get("data") or []:
        mirror.SubscriptionItem.sync_from_stripe_data(
            allowed({**item, "subscription": body["id"], "price": reference(item.get("price"))}), api_key=NO_KEY
        )


def allowed(body: Json) -> Json:
    """Return the keys of an object that the mirror may hold."""
    return {name: value for name, value in keep(body).items() if name not in DROPPED}


@contextmanager
def _mirroring(account_id: str) -> Iterator[None]:
    token = _owner.set(account_id)
    try:
        yield
    finally:
        _owner.reset(token)


def install() -> None:
    """Shut dj-stripe's doors to the network, and guard every save of its models. Called once, at start."""
    for name in ("api_retrieve", "_api_create", "_api_delete", "_api_update"):
        setattr(StripeModel, name, _calls_nobody)
    for name in ("api_list", "_get_or_retrieve"):
        setattr(StripeModel, name, classmethod(_calls_nobody))
    StripeModel._find_owner_account = classmethod(_owner_row)  # noqa: SLF001  # the guard's purpose
    StripeModel._stripe_object_to_subscription_items = classmethod(_none)  # noqa: SLF001  # as above
    mirror.Product._sync_product_features = _none  # noqa: SLF001  # as above
    pre_save.connect(_guard, dispatch_uid="stackbe-mirror-guard")


def _calls_nobody(*_: Any, **__: Any) -> NoReturn:
    raise _CallsNobody("the mirror makes no calls of its own")


def _none(*_: Any, **__: Any) -> list[Any]:
    return []


def _owner_row(*_: Any, **__: Any) -> Any:
    """Return the account that is being mirrored; it owns itself."""
    return mirror.Account.objects.filter(id=_owner.get()).first()


def _guard(sender: type[Model], instance: Any, **_: Any) -> None:
    """Refuse every save of a dj-stripe model but those that `mirror_object` makes."""
    if sender._meta.app_label != "djstripe":  # Django's own way to a model's app
        return
    owner = _owner.get()
    if sender not in MODELS.values() or owner is None:
        raise MirrorRefused(f"{sender.__name__} is not mirrored")
    if sender is not mirror.Account:
        if instance.djstripe_owner_account_id not in {None, owner}:
            raise MirrorRefused(f"{sender.__name__} belongs to another account")
        instance.djstripe_owner_account_id = owner
        stored = sender.objects.filter(id=instance.id).values_list("djstripe_owner_account_id", flat=True).first()  # type: ignore[attr-defined]  # every model has it
        if stored not in {None, owner}:
            raise MirrorRefused(f"the id of this {sender.__name__} is taken by another account's")
    instance.stripe_data = allowed(instance.stripe_data)
    instance.metadata = instance.stripe_data.get("metadata") or {}
    if sender is mirror.Customer:
        instance.email, instance.subscriber = "", None
