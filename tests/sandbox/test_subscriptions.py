import pytest
import stripe


def item_of(subscription):
    return subscription["items"].data[0]


def change(shop, subscription, price=None, **given):
    asked = {"id": item_of(subscription).id} | ({"price": price.id} if price else {})
    if "quantity" in given:
        asked["quantity"] = given.pop("quantity")
    return shop.v1.subscriptions.update(subscription.id, {"items": [asked]} | given, shop.at)


def test_a_server_made_subscription_is_paid_with_the_customers_method(shop):
    subscription = shop.subscription(quantity=3)

    assert subscription.status == "active"
    assert shop.invoices()[0].amount_paid == 8700


def test_without_a_payment_method_it_is_refused(shop):
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        shop.subscription(customer=shop.customer())

    assert shop.v1.subscriptions.list({"status": "all"}, shop.at).data == []


def test_a_free_price_needs_no_payment_method(shop):
    assert shop.subscription(shop.price(0), shop.customer()).status == "active"


def test_a_trial_needs_no_payment_method(shop):
    assert shop.subscription(customer=shop.customer(), trial_period_days=7).status == "trialing"


@pytest.mark.parametrize("method", ["pm_card_chargeCustomerFail", "pm_card_authenticationRequired"])
def test_a_first_payment_that_fails_leaves_it_incomplete_and_then_expired(shop, method):
    subscription = shop.subscription(customer=shop.payer(method))
    assert subscription.status == "incomplete"

    shop.advance("24h")

    assert shop.reload(subscription).status == "incomplete_expired"
    assert shop.invoices()[0].status == "void"


def test_default_incomplete_waits_for_the_payment(shop):
    subscription = shop.subscription(
        customer=shop.payer(), payment_behavior="default_incomplete", expand=["latest_invoice.payments"]
    )

    assert subscription.status == "incomplete"
    assert subscription.latest_invoice.payments.data[0].status == "open"
    shop.v1.invoices.pay(subscription.latest_invoice.id, None, shop.at)
    assert shop.reload(subscription).status == "active"


def test_error_if_incomplete_leaves_nothing_behind(shop):
    customer = shop.payer("pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as caught:
        shop.subscription(customer=customer, payment_behavior="error_if_incomplete")

    assert caught.value.http_status == 402
    assert shop.v1.subscriptions.list({"status": "all"}, shop.at).data == []
    assert shop.v1.invoices.list(None, shop.at).data == []


def test_an_upgrade_is_invoiced_with_prorations(shop):
    subscription = shop.subscription(shop.price(3000))
    shop.advance("15d")

    changed = change(shop, subscription, shop.price(6000), proration_behavior="always_invoice")

    invoice = shop.v1.invoices.retrieve(changed.latest_invoice, None, shop.at)
    begins, ends = item_of(changed).current_period_start, item_of(changed).current_period_end
    left = (ends - invoice.created) / (ends - begins)
    credit, charge = (line.amount for line in invoice.lines.data)
    assert invoice.billing_reason == "subscription_update"
    assert abs(credit + 3000 * left) <= 1
    assert abs(charge - 6000 * left) <= 1
    assert all(line.parent.subscription_item_details.proration for line in invoice.lines.data)
    assert invoice.amount_paid == credit + charge
    assert (begins, ends) == (item_of(subscription).current_period_start, item_of(subscription).current_period_end)


def test_a_preview_shows_the_invoice_that_the_change_makes(shop):
    subscription, price = shop.subscription(shop.price(3000)), shop.price(6000)
    shop.advance("10d")
    moment = shop.v1.events.list({"limit": 1}, shop.at).data[0].created + 10 * 86400
    details = {
        "items": [{"id": item_of(subscription).id, "price": price.id}],
        "proration_behavior": "always_invoice",
        "proration_date": moment,
    }

    preview = shop.v1.invoices.create_preview(
        {"subscription": subscription.id, "subscription_details": details}, shop.at
    )
    changed = change(shop, subscription, price, proration_behavior="always_invoice", proration_date=moment)

    invoice = shop.v1.invoices.retrieve(changed.latest_invoice, None, shop.at)
    assert preview.amount_due == invoice.amount_due > 0
    assert [line.amount for line in preview.lines.data] == [line.amount for line in invoice.lines.data]


def test_a_preview_writes_nothing(shop):
    subscription = shop.subscription()
    events, invoices = shop.events(), len(shop.invoices())

    preview = shop.v1.invoices.create_preview({"subscription": subscription.id}, shop.at)

    assert preview.amount_due == 2900
    assert preview.period_end == item_of(subscription).current_period_end
    assert (shop.events(), len(shop.invoices())) == (events, invoices)


def test_prorations_wait_for_the_renewal(shop):
    subscription = shop.subscription(shop.price(3000))

    change(shop, subscription, quantity=2, proration_behavior="create_prorations")

    assert len(shop.invoices()) == 1
    shop.advance("32d")
    renewal = shop.invoices()[1]
    assert [line.amount for line in renewal.lines.data] == [-3000, 6000, 6000]
    assert renewal.amount_paid == 9000


def test_without_prorations_only_the_renewal_changes(shop):
    subscription = shop.subscription(shop.price(3000))

    change(shop, subscription, shop.price(1000), proration_behavior="none")

    assert len(shop.invoices()) == 1
    shop.advance("32d")
    assert shop.invoices()[1].amount_paid == 1000


def test_a_downgrade_leaves_a_credit_that_the_next_invoice_uses(shop):
    subscription = shop.subscription(shop.price(5000))

    changed = change(shop, subscription, shop.price(2000), proration_behavior="always_invoice")

    assert shop.v1.invoices.retrieve(changed.latest_invoice, None, shop.at).amount_due == 0
    assert shop.v1.customers.retrieve(subscription.customer, None, shop.at).balance == -3000
    shop.advance("32d")
    renewal = shop.invoices()[-1]
    assert (renewal.total, renewal.amount_due, renewal.starting_balance, renewal.ending_balance) == (
        2000,
        0,
        -3000,
        -1000,
    )


def test_another_interval_starts_a_new_period_now(shop):
    subscription = shop.subscription(shop.price(3000))

    yearly = shop.price(30000, recurring={"interval": "year"})
    changed = change(shop, subscription, yearly)

    assert item_of(changed).current_period_end - item_of(changed).current_period_start in (365 * 86400, 366 * 86400)
    assert shop.invoices()[-1].amount_paid == 27000


def test_a_failed_upgrade_with_error_if_incomplete_keeps_the_old_plan(shop):
    old, customer = shop.price(3000), shop.payer()
    subscription = shop.subscription(old, customer)
    shop.pays(customer.id, "decline")

    with pytest.raises(stripe.CardError):
        change(
            shop,
            subscription,
            shop.price(9000),
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )

    kept = shop.reload(subscription)
    assert (kept.status, item_of(kept).price.id) == ("active", old.id)


def test_a_failed_upgrade_with_allow_incomplete_is_past_due(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "decline")

    changed = change(shop, subscription, shop.price(9000), proration_behavior="always_invoice")

    assert changed.status == "past_due"


def test_a_pending_update_is_applied_once_it_is_paid(shop):
    old, new, customer = shop.price(3000), shop.price(9000), shop.payer()
    subscription = shop.subscription(old, customer)
    shop.pays(customer.id, "authenticate")

    waiting = change(
        shop, subscription, new, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete"
    )
    invoice = shop.v1.invoices.retrieve(waiting.latest_invoice, None, shop.at)
    assert (waiting.status, item_of(waiting).price.id) == ("active", old.id)
    assert waiting.pending_update.subscription_items[0].price.id == new.id
    assert "invoice.payment_action_required" in shop.events("invoice.")

    shop.sandbox.browse(invoice.hosted_invoice_url, action="pay")

    done = shop.reload(subscription)
    assert (item_of(done).price.id, done.pending_update) == (new.id, None)


def test_a_pending_update_that_is_not_paid_is_dropped(shop):
    old, customer = shop.price(3000), shop.payer()
    subscription = shop.subscription(old, customer)
    shop.pays(customer.id, "decline")
    waiting = change(
        shop,
        subscription,
        shop.price(9000),
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )

    shop.advance("24h")

    dropped = shop.reload(subscription)
    assert (item_of(dropped).price.id, dropped.pending_update) == (old.id, None)
    assert shop.v1.invoices.retrieve(waiting.latest_invoice, None, shop.at).status == "void"


def test_items_are_added_and_taken_away(shop):
    subscription = shop.subscription(shop.price(3000))
    extra = shop.price(500)

    added = shop.v1.subscriptions.update(subscription.id, {"items": [{"price": extra.id, "quantity": 2}]}, shop.at)
    assert len(added["items"].data) == 2
    gone = shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": added["items"].data[1].id, "deleted": True}]}, shop.at
    )

    assert len(gone["items"].data) == 1


def test_cancelling_at_period_end_and_taking_it_back(shop):
    subscription = shop.subscription()

    ending = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}, shop.at)
    assert ending.cancel_at == item_of(ending).current_period_end
    assert ending.cancellation_details.reason == "cancellation_requested"
    kept = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False}, shop.at)

    assert (kept.cancel_at, kept.canceled_at, kept.cancel_at_period_end) == (None, None, False)
    shop.advance("32d")
    assert shop.reload(subscription).status == "active"


def test_one_cancelled_at_period_end_ends_with_it(shop):
    subscription = shop.subscription()
    shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}, shop.at)

    shop.advance("32d")

    ended = shop.reload(subscription)
    assert (ended.status, ended.ended_at) == ("canceled", item_of(ended).current_period_end)
    assert len(shop.invoices()) == 1
    assert shop.events("customer.subscription")[-1] == "customer.subscription.deleted"


def test_cancelling_now_ends_it_and_it_can_be_read_still(shop):
    subscription = shop.subscription()

    details = {"feedback": "too_expensive", "comment": "Bye"}
    ended = shop.v1.subscriptions.cancel(subscription.id, {"cancellation_details": details}, shop.at)

    assert (ended.status, ended.cancellation_details.feedback) == ("canceled", "too_expensive")
    assert shop.v1.subscriptions.list(None, shop.at).data == []
    assert len(shop.v1.subscriptions.list({"status": "canceled"}, shop.at).data) == 1
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.subscriptions.cancel(subscription.id, None, shop.at)
    assert caught.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError, match="canceled subscription"):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}, shop.at)


def test_cancelling_with_proration_credits_the_rest(shop):
    subscription = shop.subscription(shop.price(3000))

    shop.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True}, shop.at)

    assert shop.v1.customers.retrieve(subscription.customer, None, shop.at).balance == -3000


def test_a_paused_collection_voids_invoices_until_it_resumes(shop):
    subscription = shop.subscription()
    resumes = item_of(subscription).current_period_end + 86400

    paused = shop.v1.subscriptions.update(
        subscription.id, {"pause_collection": {"behavior": "void", "resumes_at": resumes}}, shop.at
    )
    assert (paused.status, paused.pause_collection.resumes_at) == ("active", resumes)
    shop.advance("33d")

    assert [invoice.status for invoice in shop.invoices()] == ["paid", "void"]
    assert shop.reload(subscription).pause_collection is None
    shop.advance("31d")
    assert shop.invoices()[-1].status == "paid"


def test_a_pause_is_lifted_by_hand(shop):
    subscription = shop.subscription()
    shop.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "keep_as_draft"}}, shop.at)

    assert shop.v1.subscriptions.update(subscription.id, {"pause_collection": ""}, shop.at).pause_collection is None


def test_a_trial_can_be_ended_now(shop):
    subscription = shop.subscription(trial_period_days=10)

    ended = shop.v1.subscriptions.update(subscription.id, {"trial_end": "now"}, shop.at)

    assert ended.status == "active"
    assert shop.invoices()[-1].amount_paid == 2900


def test_deleting_a_customer_ends_its_subscriptions(shop):
    subscription = shop.subscription()

    shop.v1.customers.delete(subscription.customer, None, shop.at)

    assert shop.reload(subscription).status == "canceled"
    assert shop.v1.customers.retrieve(subscription.customer, None, shop.at).deleted is True
    assert shop.v1.customers.list(None, shop.at).data == []


def test_subscriptions_are_listed_by_customer_status_and_price(shop):
    price = shop.price()
    subscription = shop.subscription(price)
    shop.subscription()

    found = shop.v1.subscriptions.list(
        {"customer": subscription.customer, "status": "active", "price": price.id}, shop.at
    )

    assert [each.id for each in found.data] == [subscription.id]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"items": []}, "parameter_missing"),
        ({"items": [{"price": "price_no"}]}, "resource_missing"),
        ({"trial_end": 5}, None),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(shop, given, code):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.subscription(**given)

    assert caught.value.code == code


def test_a_customer_that_is_gone_gets_no_subscription(shop):
    customer = shop.payer()
    shop.v1.customers.delete(customer.id, None, shop.at)

    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        shop.subscription(customer=customer)
