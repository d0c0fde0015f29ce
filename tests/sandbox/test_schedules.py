"""Subscription schedules: another price from the next period on."""

import pytest
import stripe


def item_of(subscription):
    return subscription["items"].data[0]


def downgrade(shop, subscription, price, quantity=1):
    """Schedule another price for the next period, as Stripe's guide to downgrades has it."""
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id}, shop.at)
    return shop.v1.subscription_schedules.update(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": item_of(subscription).price.id, "quantity": 1}],
                    "start_date": schedule.phases[0].start_date,
                    "end_date": schedule.phases[0].end_date,
                },
                {
                    "items": [{"price": price.id, "quantity": quantity}],
                    "duration": {"interval": "month"},
                    "proration_behavior": "none",
                },
            ],
        },
        shop.at,
    )


def test_the_next_phase_begins_with_the_renewal(shop):
    subscription = shop.subscription(shop.price(6000))
    downgrade(shop, subscription, shop.price(2900))
    assert item_of(shop.reload(subscription)).price.unit_amount == 6000

    shop.advance("32d")

    assert item_of(shop.reload(subscription)).price.unit_amount == 2900
    assert [invoice.total for invoice in shop.invoices()] == [6000, 2900]
    assert shop.reload(subscription).schedule


def test_after_its_last_phase_the_schedule_lets_go_and_the_subscription_goes_on(shop):
    subscription = shop.subscription(shop.price(6000))
    schedule = downgrade(shop, subscription, shop.price(2900))

    shop.advance("64d")

    assert shop.v1.subscription_schedules.retrieve(schedule.id, None, shop.at).status == "released"
    assert shop.reload(subscription).schedule is None
    assert [invoice.total for invoice in shop.invoices()] == [6000, 2900, 2900]


def test_a_released_schedule_changes_nothing(shop):
    subscription = shop.subscription(shop.price(6000))
    schedule = downgrade(shop, subscription, shop.price(2900))

    shop.v1.subscription_schedules.release(schedule.id, None, shop.at)
    shop.advance("32d")

    assert [invoice.total for invoice in shop.invoices()] == [6000, 6000]


def test_the_end_of_a_scheduled_subscription_is_the_schedules_to_say(shop):
    subscription = shop.subscription(shop.price(6000))
    schedule = downgrade(shop, subscription, shop.price(2900))

    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}, shop.at)

    shop.v1.subscriptions.cancel(subscription.id, None, shop.at)
    assert shop.v1.subscription_schedules.retrieve(schedule.id, None, shop.at).status == "canceled"


def test_the_phase_in_force_is_named_as_it_stands(shop):
    subscription = shop.subscription(shop.price(6000))
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id}, shop.at)
    phase = {"items": [{"price": item_of(subscription).price.id}], "duration": {"interval": "month"}}

    for wrong in ({}, {"start_date": schedule.phases[0].start_date - 60}):
        with pytest.raises(stripe.InvalidRequestError, match="start date"):
            shop.v1.subscription_schedules.update(schedule.id, {"phases": [phase | wrong]}, shop.at)
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        shop.v1.subscription_schedules.create({"from_subscription": subscription.id}, shop.at)


def test_a_second_change_takes_the_place_of_one_that_waits_for_its_payment(shop):
    customer = shop.payer("pm_card_authenticationRequired")
    subscription = shop.subscription(customer=customer, trial_period_days=7)
    shop.pays(customer.id, "succeed")
    shop.v1.subscriptions.update(subscription.id, {"trial_end": "now"}, shop.at)
    subscription = shop.reload(subscription)
    shop.pays(customer.id, "decline")

    asked = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "always_invoice"}
    for amount in (6000, 9000):
        items = [{"id": item_of(subscription).id, "price": shop.price(amount).id}]
        subscription = shop.v1.subscriptions.update(subscription.id, {"items": items, **asked}, shop.at)
        assert subscription.pending_update

    assert [each.status for each in shop.invoices()][-2:] == ["void", "open"]
    shop.v1.invoices.void_invoice(subscription.latest_invoice, None, shop.at)
    assert shop.reload(subscription).pending_update is None
