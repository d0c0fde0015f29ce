"""dj-stripe under guard: what it may store, whose it is, and that it calls nobody."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import pytest
import requests
from django.contrib import admin
from django.urls import get_resolver
from djstripe import models as djstripe

from billing.stripe import mirror
from billing.stripe.connect import connect_sandbox_account
from billing.stripe.gateway import ConnectedAccount


def rows(model: Any) -> list[Any]:
    return list(model.objects.order_by("djstripe_id"))


def test_a_subscription_is_mirrored_with_all_it_refers_to_under_its_own_account(shop: Any):
    shop.subscribe()
    shop.deliver()

    for model in mirror.MODELS.values():
        found = rows(model)
        assert found, model.__name__
        if model is not djstripe.Account:
            assert {row.djstripe_owner_account_id for row in found} == {shop.account_id}, model.__name__
    (subscription,) = rows(djstripe.Subscription)
    (item,) = rows(djstripe.SubscriptionItem)
    assert subscription.stripe_data["status"] == "active"
    assert item.subscription_id == subscription.id
    assert item.price.product.name == "Pro"
    assert subscription.customer.email == ""


def test_the_mirror_keeps_allowed_keys_alone(shop: Any):
    shop.subscribe()
    shop.deliver()

    text = json.dumps([row.stripe_data for model in mirror.MODELS.values() for row in rows(model)])

    for word in (
        "ada@example.com",
        "hosted_invoice_url",
        "default_payment_method",
        "card",
        "last4",
        "address",
        "phone",
    ):
        assert word not in text, word


def test_the_mirror_follows_a_change_and_forgets_what_is_gone(shop: Any):
    subscription = shop.subscribe()
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel", {"immediately": True})
    shop.deliver()
    assert rows(djstripe.Subscription)[0].stripe_data["status"] == "canceled"

    account = ConnectedAccount(shop.account_id)
    mirror.mirror_object(account, "subscription", None, rows(djstripe.Subscription)[0].id)

    assert rows(djstripe.Subscription) == []


def test_another_accounts_row_of_the_same_id_is_never_replaced(shop: Any, globex: Any):
    mine = ConnectedAccount(shop.account_id)
    theirs = ConnectedAccount(connect_sandbox_account(globex.scope).account_id)
    body = {"id": "prod_CUSTOM", "object": "product", "name": "Mine", "active": True, "metadata": {}}

    mirror.mirror_object(mine, "product", body, "prod_CUSTOM")
    mirror.mirror_object(theirs, "product", body | {"name": "Theirs"}, "prod_CUSTOM")
    mirror.mirror_object(theirs, "product", None, "prod_CUSTOM")

    (row,) = rows(djstripe.Product)
    assert (row.name, row.djstripe_owner_account_id) == ("Mine", shop.account_id)


@pytest.mark.parametrize(
    "name", ["APIKey", "Event", "WebhookEventTrigger", "PaymentMethod", "Charge", "Card", "Payout"]
)
def test_what_may_not_be_stored_cannot_be_saved(db: None, name: str):
    with pytest.raises(mirror.MirrorRefused):
        getattr(djstripe, name)().save()


def test_nothing_is_saved_but_through_the_mirror(db: None):
    with pytest.raises(mirror.MirrorRefused):
        djstripe.Product(id="prod_1", name="x").save()


def test_dj_stripe_makes_no_call(db: None, monkeypatch: pytest.MonkeyPatch):
    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("a call left the process")

    monkeypatch.setattr(requests.Session, "send", called)

    for call in (
        lambda: djstripe.Product(id="prod_1").api_retrieve(),
        djstripe.Product.api_list,
        lambda: djstripe.Account._get_or_retrieve("acct_1"),
        lambda: djstripe.Customer._api_create(email="x"),
    ):
        with pytest.raises(mirror._CallsNobody):
            call()


def test_dj_stripes_urls_are_not_mounted_and_its_admin_is_not_registered():
    assert not any("djstripe" in str(pattern) for pattern in get_resolver().url_patterns)
    assert not [model for model in admin.site._registry if model._meta.app_label == "djstripe"]


def test_the_version_that_the_guard_was_written_for_is_the_one_installed():
    assert version("dj-stripe") == "2.11.0"
