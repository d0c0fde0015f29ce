"""manage.py check_ledger: every payment announced once, every step explained."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import Access, InvoiceReference, Subscription
from stackbe.kernel.transactions import change
from webhooks.outbox import emit


def test_the_books_are_in_order_until_somebody_writes_in_them(shop: Any, capsys: Any):
    subscription = shop.subscribe()
    shop.api.patch(f"/subscriptions/{subscription['id']}", {"quantity": 2})
    shop.api.post(f"/subscriptions/{subscription['id']}/cancel")
    call_command("check_ledger", "--app", shop.company.app)
    assert "The books of 1 apps are in order." in capsys.readouterr().out
    scope, shop.muddled = shop.company.scope, True

    with change(scope):
        InvoiceReference.objects.within(scope).filter(amount_paid_cents=2900).update(status="void")
        row = Subscription.objects.within(scope).get()
        Subscription.objects.within(scope).update(quantity=9, access_until=None)
        Access.objects.within(scope).update(access_until=row.created_at)
        data = {"invoice": {"id": "inv_never"}, "subscription": None, "customer": {}, "plan": None}
        emit(scope, "payment.succeeded", data, subject=row.customer_id)

    with pytest.raises(CommandError, match="faults in the books"):
        call_command("check_ledger")
    told = capsys.readouterr().out
    assert "inv_never was announced as paid and is not." in told
    assert told.count("was announced as paid and is not.") >= 2
    assert f"{row.public_id}: no step explains quantity." in told
    assert f"{row.public_id}: it grants access at other times than its state says." in told
    assert f"has access at other times than {row.public_id} grants it." in told
    with pytest.raises(CommandError, match="No app has this id"):
        call_command("check_ledger", "--app", "app_nobody")
