"""What the benchmark of Stripe's inbox sends is what the inbox takes."""

from __future__ import annotations

import time
from typing import Any

from django.test import Client

from bench.inbox import signed_event
from billing.models import StripeConnection, StripeEvent
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Company


def test_its_events_are_proven_claimed_and_queued(acme: Company, settings: Any):
    settings.STRIPE_CONNECT_WEBHOOK_SECRETS = ["whsec_bench"]
    with change(acme.scope):
        StripeConnection(**owned_by(acme.scope), account_id="acct_bench").save(force_insert=True)
    body, signature = signed_event("acct_bench", "whsec_bench", at=time.time())

    answer = Client().generic(
        "POST",
        f"/webhooks/stripe/{settings.STRIPE_CONNECT_ENDPOINT_ID}",
        body,
        "application/json",
        headers={"Stripe-Signature": signature},
    )

    assert answer.status_code == 200
    with reading(acme.scope):
        assert StripeEvent.objects.within(acme.scope).get().type == "invoice.updated"
