"""Billing meters and metered prices: charged for what was used, when the period is over."""

import pytest
import stripe


def meter(shop, **given):
    asked = {
        "display_name": "Calls",
        "event_name": "calls",
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    return shop.v1.billing.meters.create(asked | given, shop.at)


def metered(shop, made, amount=2, **given):
    return shop.price(amount, recurring={"interval": "month", "usage_type": "metered", "meter": made.id}, **given)


def use(shop, customer, value, **given):
    asked = {"event_name": "calls", "payload": {"stripe_customer_id": customer, "value": str(value)}}
    return shop.v1.billing.meter_events.create(asked | given, shop.at)


def sold(shop, customer=None, **given):
    """A subscription to something flat, with calls charged beside it."""
    price = metered(shop, meter(shop), **given)
    flat = shop.price(1000)
    return shop.v1.subscriptions.create(
        {"customer": (customer or shop.payer()).id, "items": [{"price": flat.id}, {"price": price.id}]}, shop.at
    )


def test_what_was_used_is_charged_with_the_next_invoice_and_once(shop):
    subscription = sold(shop)
    use(shop, subscription.customer, 30)
    use(shop, subscription.customer, 12)

    shop.advance("32d")
    shop.advance("31d")

    assert [invoice.total for invoice in shop.invoices()] == [1000, 1000 + 84, 1000]


def test_an_identifier_counts_once(shop):
    subscription = sold(shop)
    use(shop, subscription.customer, 30, identifier="a")

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        use(shop, subscription.customer, 30, identifier="a")

    shop.advance("32d")
    assert shop.invoices()[-1].total == 1060


def test_usage_is_priced_in_tiers(shop):
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 5}]
    subscription = sold(shop, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
    use(shop, subscription.customer, 14)

    shop.advance("32d")

    assert shop.invoices()[-1].total == 1020


def test_a_subscription_that_ends_with_its_period_is_charged_for_what_was_used(shop):
    subscription = sold(shop)
    use(shop, subscription.customer, 30)
    shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}, shop.at)

    shop.advance("32d")

    assert shop.reload(subscription).status == "canceled"
    assert [invoice.total for invoice in shop.invoices()] == [1000, 60]


def test_what_cannot_be_counted_is_refused(shop):
    subscription = sold(shop)

    for wrong in (
        {"event_name": "other"},
        {"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}},
        {"payload": {"stripe_customer_id": subscription.customer, "value": "many"}},
        {"timestamp": 1},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            use(shop, subscription.customer, 1, **wrong)
    with pytest.raises(stripe.InvalidRequestError):
        meter(shop)
