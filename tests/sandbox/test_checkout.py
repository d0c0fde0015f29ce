import pytest
import stripe

from billing.stripe.sandbox.pages import money


def paid(shop, session, **form):
    page = shop.press(session, "pay", **form)
    assert page.status == 303, page.text
    return shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "customer", "invoice"]}, shop.at)


def test_paying_makes_an_active_subscription(shop):
    price, customer = shop.price(2900), shop.customer()
    session = shop.session(
        price,
        customer=customer.id,
        client_reference_id="order-1",
        metadata={"a": "1"},
        subscription_data={"metadata": {"app": "x"}},
    )

    page = shop.press(session, "pay")

    assert page.status == 303
    assert page.location == f"{shop.sandbox.receiver.url}/done?session={session.id}"
    done = shop.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription.latest_invoice", "line_items"]}, shop.at
    )
    subscription = done.subscription
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert (done.client_reference_id, done.metadata.to_dict()) == ("order-1", {"a": "1"})
    assert done.line_items.data[0].price.id == price.id
    assert (subscription.status, subscription.customer) == ("active", customer.id)
    assert subscription.metadata.to_dict() == {"app": "x"}
    assert "current_period_end" not in subscription
    assert subscription["items"].data[0].current_period_end > subscription["items"].data[0].current_period_start
    assert subscription.latest_invoice.status == "paid"
    assert subscription.latest_invoice.amount_paid == 2900
    assert subscription.latest_invoice.parent.subscription_details.subscription == subscription.id
    assert "subscription" not in subscription.latest_invoice


def test_paying_tells_everything_that_happened(shop):
    shop.press(shop.session(customer=shop.customer().id), "pay")

    assert shop.events("checkout", "customer.subscription", "invoice.", "payment_intent", "charge") == [
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.created",
        "checkout.session.completed",
    ]


def test_paying_without_a_customer_makes_one(shop):
    done = paid(shop, shop.session(customer_email="new@example.com"))

    assert done.customer.email == "new@example.com"
    assert done.customer_details.email == "new@example.com"


def test_the_page_asks_for_the_address_when_nobody_gave_it(shop):
    session = shop.session()

    assert 'name="email"' in shop.sandbox.browse(session.url).text
    assert shop.press(session, "pay", email="nonsense").status == 400
    assert paid(shop, session, email="typed@example.com").customer.email == "typed@example.com"


def test_the_page_never_asks_for_a_card_and_needs_no_script(shop):
    text = shop.sandbox.browse(shop.session(customer=shop.customer().id).url).text

    assert "29.00 USD" in text
    assert "<script" not in text
    assert all(word not in text.lower() for word in ("card number", "cvc", "expiry", "cc-number"))


def test_declining_leaves_a_failed_attempt_and_an_open_session(shop):
    session = shop.session(customer=shop.customer().id)

    page = shop.press(session, "decline")

    assert page.status == 402
    assert "Your card was declined." in page.text
    assert shop.v1.checkout.sessions.retrieve(session.id, None, shop.at).status == "open"
    assert shop.v1.subscriptions.list({"status": "all"}, shop.at).data == []
    assert shop.events("payment_intent", "charge", "invoice", "customer.sub", "checkout") == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


def test_a_customer_who_was_declined_can_still_pay(shop):
    session = shop.session(customer=shop.customer().id)
    shop.press(session, "decline")

    assert paid(shop, session).subscription.status == "active"


def test_a_customer_whose_payments_fail_is_declined_and_nothing_is_left_behind(shop):
    customer = shop.customer()
    shop.pays(customer.id, "decline")
    session = shop.session(customer=customer.id)

    assert shop.press(session, "pay").status == 402
    assert shop.v1.subscriptions.list({"status": "all"}, shop.at).data == []
    assert shop.v1.invoices.list(None, shop.at).data == []


def test_a_customer_who_must_authenticate_is_asked(shop):
    customer = shop.customer()
    shop.pays(customer.id, "authenticate")
    session = shop.session(customer=customer.id)

    asked = shop.press(session, "pay")
    done = shop.press(session, "authenticated")

    assert "Complete authentication" in asked.text
    assert done.status == 303


def test_cancelling_goes_back_and_leaves_the_session_open(shop):
    session = shop.session(customer=shop.customer().id)

    assert shop.press(session, "cancel").location == f"{shop.sandbox.receiver.url}/back"
    assert shop.v1.checkout.sessions.retrieve(session.id, None, shop.at).status == "open"


def test_paying_twice_makes_one_subscription(shop):
    session = shop.session(customer=shop.customer().id)
    shop.press(session, "pay")

    again = shop.press(session, "pay")

    assert again.status == 303
    assert len(shop.v1.subscriptions.list(None, shop.at).data) == 1


def test_an_expired_session_takes_no_money(shop):
    session = shop.session(customer=shop.customer().id)

    expired = shop.v1.checkout.sessions.expire(session.id, None, shop.at)

    assert (expired.status, expired.url) == ("expired", None)
    assert shop.press(session, "pay").status == 410
    assert shop.events("checkout") == ["checkout.session.expired"]
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        shop.v1.checkout.sessions.expire(session.id, None, shop.at)


def test_a_session_expires_by_itself(shop):
    session = shop.session(customer=shop.customer().id)

    shop.advance("25h")

    assert shop.v1.checkout.sessions.retrieve(session.id, None, shop.at).status == "expired"


def test_a_trial_starts_without_a_charge(shop):
    session = shop.session(customer=shop.customer().id, subscription_data={"trial_period_days": 14})

    subscription = paid(shop, session).subscription

    assert session.amount_total == 0
    assert subscription.status == "trialing"
    assert subscription.trial_end - subscription.trial_start == 14 * 86400
    assert subscription["items"].data[0].current_period_end == subscription.trial_end
    assert shop.invoices()[0].amount_paid == 0
    assert subscription.default_payment_method.startswith("pm_")


def test_a_trial_without_a_payment_method_collects_none(shop):
    session = shop.session(
        customer=shop.customer().id,
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 14},
    )

    assert paid(shop, session).subscription.default_payment_method is None


def test_a_discount_is_taken_off(shop):
    coupon = shop.v1.coupons.create({"percent_off": 25, "duration": "once"}, shop.at)
    session = shop.session(customer=shop.customer().id, discounts=[{"coupon": coupon.id}])

    done = paid(shop, session)

    assert (session.amount_subtotal, session.amount_total) == (2900, 2175)
    assert done.invoice.amount_paid == 2175
    assert done.invoice.total_discount_amounts[0].amount == 725
    assert shop.v1.coupons.retrieve(coupon.id, None, shop.at).times_redeemed == 1


def test_a_promotion_code_is_typed_on_the_page(shop):
    coupon = shop.v1.coupons.create({"amount_off": 500, "currency": "usd", "duration": "forever"}, shop.at)
    shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SAVE5"}, shop.at)
    session = shop.session(customer=shop.customer().id, allow_promotion_codes=True)

    wrong = shop.press(session, "redeem", promotion_code="NOPE")
    right = shop.press(session, "redeem", promotion_code="save5")

    assert "This code is invalid." in wrong.text
    assert "24.00 USD" in right.text
    assert paid(shop, session).invoice.amount_paid == 2400


def test_a_used_up_coupon_is_refused(shop):
    coupon = shop.v1.coupons.create({"percent_off": 10, "max_redemptions": 1}, shop.at)
    paid(shop, shop.session(customer=shop.customer().id, discounts=[{"coupon": coupon.id}]))

    with pytest.raises(stripe.InvalidRequestError, match="used up"):
        shop.session(discounts=[{"coupon": coupon.id}])


def test_a_one_time_price_is_paid_without_a_subscription(shop):
    price = shop.price(5000, recurring=None)
    session = shop.session(price, mode="payment", customer=shop.customer().id)

    done = paid(shop, session)

    assert (done.payment_status, done.subscription) == ("paid", None)
    intent = shop.v1.payment_intents.retrieve(done.payment_intent, {"expand": ["latest_charge"]}, shop.at)
    assert (intent.status, intent.latest_charge.amount) == ("succeeded", 5000)


def test_line_items_are_listed(shop):
    session = shop.session(customer=shop.customer().id)

    assert shop.v1.checkout.sessions.line_items.list(session.id, None, shop.at).data[0].amount_total == 2900


def test_sessions_are_found_by_their_subscription(shop):
    session = shop.session(customer=shop.customer().id)
    subscription = paid(shop, session).subscription

    found = shop.v1.checkout.sessions.list({"subscription": subscription.id}, shop.at).data

    assert [each.id for each in found] == [session.id]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"line_items": []}, "line_items"),
        ({"line_items": [{"price": "price_never", "quantity": 1}]}, "line_items[0][price]"),
        ({"expires_at": 1}, "expires_at"),
        ({"mode": "payment"}, "mode"),
        ({"payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ({"subscription_data": {"trial_period_days": 0}}, "subscription_data[trial_period_days]"),
    ],
)
def test_a_session_that_cannot_be_is_refused(shop, given, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.session(**given)

    assert caught.value.param == param


def test_an_archived_price_cannot_be_sold(shop):
    price = shop.price()
    shop.v1.prices.update(price.id, {"active": False}, shop.at)

    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        shop.session(price)


def test_a_price_of_an_archived_product_cannot_be_sold(shop):
    price = shop.price()
    shop.v1.products.update(price.product, {"active": False}, shop.at)

    with pytest.raises(stripe.InvalidRequestError, match="product is not active"):
        shop.session(price)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(2900, "usd", "29.00 USD"), (500, "jpy", "500 JPY"), (1050, "kwd", "1.050 KWD"), (-5, "eur", "−0.05 EUR")],
)
def test_amounts_are_shown_with_the_currencys_decimals(amount, currency, shown):
    assert money(amount, currency) == shown


def test_an_unknown_page_is_404(sandbox):
    assert sandbox.browse(f"{sandbox.url}/c/pay/cs_test_never").status == 404
