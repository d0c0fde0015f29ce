import urllib.error
from itertools import pairwise

import pytest


def test_a_renewal_comes_with_each_period(shop):
    subscription = shop.subscription()

    shop.advance("100d")

    invoices = shop.invoices()
    assert [(each.billing_reason, each.status) for each in invoices] == [
        ("subscription_create", "paid"),
        ("subscription_cycle", "paid"),
        ("subscription_cycle", "paid"),
        ("subscription_cycle", "paid"),
    ]
    periods = [(each.lines.data[0].period.start, each.lines.data[0].period.end) for each in invoices]
    assert all(one[1] == other[0] for one, other in pairwise(periods))
    item = shop.reload(subscription)["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == periods[-1]


def test_events_carry_the_moment_at_which_they_happened(shop):
    subscription = shop.subscription()
    shop.advance("45d")

    renewal = shop.v1.events.list({"type": "invoice.paid", "limit": 1}, shop.at).data[0]

    assert renewal.created == subscription["items"].data[0].current_period_end
    later = shop.v1.events.list({"created": {"gte": renewal.created}, "types": ["invoice.paid"]}, shop.at).data
    assert [event.id for event in later] == [renewal.id]


def test_a_trial_ends_with_a_warning_and_an_invoice(shop):
    subscription = shop.subscription(trial_period_days=14)

    shop.advance("12d")
    assert shop.events("customer.subscription")[-1] == "customer.subscription.trial_will_end"
    shop.advance("3d")

    assert shop.reload(subscription).status == "active"
    assert [each.amount_paid for each in shop.invoices()] == [0, 2900]


@pytest.mark.parametrize(
    ("wish", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")]
)
def test_a_trial_without_a_payment_method_ends_as_was_wished(shop, wish, status):
    settings = {"end_behavior": {"missing_payment_method": wish}}
    subscription = shop.subscription(customer=shop.customer(), trial_period_days=5, trial_settings=settings)

    shop.advance("6d")

    assert shop.reload(subscription).status == status


def test_a_paused_trial_resumes_once_there_is_a_payment_method(shop):
    customer = shop.customer()
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    subscription = shop.subscription(customer=customer, trial_period_days=5, trial_settings=settings)
    shop.advance("6d")
    method = shop.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}, shop.at)
    default = {"invoice_settings": {"default_payment_method": method.id}}
    shop.v1.customers.update(customer.id, default, shop.at)

    resumed = shop.v1.subscriptions.resume(subscription.id, None, shop.at)

    assert resumed.status == "active"
    assert shop.invoices()[-1].amount_paid == 2900


def test_a_failing_renewal_is_retried_and_ends_the_subscription(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "decline")

    shop.advance("32d")
    assert shop.reload(subscription).status == "past_due"
    assert shop.invoices()[-1].next_payment_attempt is not None
    assert shop.v1.customers.retrieve(customer.id, None, shop.at).delinquent is True
    shop.advance("16d")

    ended = shop.reload(subscription)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert shop.invoices()[-1].attempt_count == 4
    assert shop.events("invoice.payment_failed") == ["invoice.payment_failed"] * 4


def test_a_retry_that_succeeds_makes_it_active_again(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "decline")
    shop.advance("32d")
    shop.pays(customer.id, "succeed")

    shop.advance("4d")

    assert shop.reload(subscription).status == "active"
    assert [each.status for each in shop.invoices()] == ["paid", "paid"]


def test_a_coupon_lasts_as_long_as_it_says(shop):
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 2}, shop.at)
    shop.subscription(shop.price(2000), discounts=[{"coupon": coupon.id}])

    shop.advance("95d")

    assert [each.amount_paid for each in shop.invoices()] == [1000, 1000, 2000, 2000]


def test_one_accounts_clock_is_not_anothers(shop, sandbox, rival):
    shop.advance("10d")

    now = {each["id"]: each["now"] for each in sandbox.control("GET", "accounts")["data"]}

    assert now[shop.account] - now[rival] in range(10 * 86400 - 5, 10 * 86400 + 6)


@pytest.mark.parametrize("given", [{"advance": "soon"}, {"to": 1}, {}, {"advance": "999w"}])
def test_a_clock_that_cannot_go_there_says_so(shop, sandbox, given):
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.control("POST", "clock", account=shop.account, **given)

    with caught.value as answer:
        assert answer.code == 400


def test_a_clock_goes_to_a_moment(shop, sandbox):
    moved = sandbox.control("POST", "clock", account=shop.account, to="2027-06-01T00:00:00+00:00")

    assert moved["now"] == 1811808000
