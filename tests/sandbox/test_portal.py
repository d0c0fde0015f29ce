import pytest
import stripe


def open_portal(shop, customer):
    asked = {"customer": customer, "return_url": f"{shop.sandbox.receiver.url}/account"}
    return shop.v1.billing_portal.sessions.create(asked, shop.at)


def test_a_customer_cancels_and_keeps_a_subscription(shop):
    subscription = shop.subscription()
    portal = open_portal(shop, subscription.customer)

    assert "Cancel subscription" in shop.sandbox.browse(portal.url).text
    shop.sandbox.browse(portal.url, action=f"cancel:{subscription.id}")
    assert shop.reload(subscription).cancel_at_period_end is True
    assert "Keep subscription" in shop.sandbox.browse(portal.url).text
    shop.sandbox.browse(portal.url, action=f"keep:{subscription.id}")

    assert shop.reload(subscription).cancel_at_period_end is False


def test_a_customer_changes_the_payment_method(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "decline")

    shop.sandbox.browse(open_portal(shop, customer.id).url, action="update_method")
    shop.advance("32d")

    assert shop.reload(subscription).status == "active"


def test_a_customer_switches_to_another_plan_and_pays_the_difference_at_once(shop):
    subscription, more = shop.subscription(), shop.price(9900)
    url = open_portal(shop, subscription.customer).url

    assert "Switch to Pro, 99.00 USD a month" in shop.sandbox.browse(url).text
    shop.sandbox.browse(url, action=f"switch:{subscription.id}:{more.id}")

    held = shop.reload(subscription)
    assert [item.price.id for item in held["items"].data] == [more.id]
    assert [(each.status, each.total) for each in shop.invoices()] == [("paid", 2900), ("paid", 7000)]


def test_what_is_not_offered_cannot_be_switched_to(shop):
    subscription = shop.subscription()
    url = open_portal(shop, subscription.customer).url
    once, gone = shop.price(500, recurring=None), shop.price(700)
    shop.v1.prices.update(gone.id, {"active": False}, shop.at)

    for price in (once.id, gone.id, "price_no", ""):
        assert shop.sandbox.browse(url, action=f"switch:{subscription.id}:{price}").status == 400
    shop.v1.subscription_schedules.create({"from_subscription": subscription.id}, shop.at)
    assert "Switch to" not in shop.sandbox.browse(url).text


def test_another_customers_subscription_cannot_be_cancelled_there(shop):
    subscription, stranger = shop.subscription(), shop.customer()

    page = shop.sandbox.browse(open_portal(shop, stranger.id).url, action=f"cancel:{subscription.id}")

    assert page.status == 400
    assert shop.reload(subscription).cancel_at_period_end is False


def test_the_portal_leads_back(shop):
    portal = open_portal(shop, shop.customer().id)

    assert shop.sandbox.browse(portal.url, action="return").location == f"{shop.sandbox.receiver.url}/account"


def test_a_flow_is_kept(shop):
    subscription = shop.subscription()
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}

    made = shop.v1.billing_portal.sessions.create({"customer": subscription.customer, "flow_data": flow}, shop.at)

    assert made.flow.subscription_cancel.subscription == subscription.id


def test_a_portal_needs_a_customer(shop):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.billing_portal.sessions.create({"customer": "cus_no"}, shop.at)

    assert caught.value.code == "resource_missing"


def test_a_configuration_says_what_the_page_offers(shop):
    subscription, more, other = shop.subscription(), shop.price(9900), shop.price(700)
    update = {"enabled": True, "products": [{"product": more.product, "prices": [more.id]}]}
    made = shop.v1.billing_portal.configurations.create({"features": {"subscription_update": update}}, shop.at)
    asked = {"customer": subscription.customer, "configuration": made.id}
    url = shop.v1.billing_portal.sessions.create(asked, shop.at).url

    assert shop.sandbox.browse(url, action=f"switch:{subscription.id}:{other.id}").status == 400
    shop.sandbox.browse(url, action=f"switch:{subscription.id}:{more.id}")
    assert [item.price.id for item in shop.reload(subscription)["items"].data] == [more.id]

    off = {"active": False, "features": {"invoice_history": {"enabled": True}}}
    changed = shop.v1.billing_portal.configurations.update(made.id, off, shop.at)
    assert changed.features.subscription_update.products[0].prices == [more.id]
    assert shop.v1.billing_portal.configurations.retrieve(made.id, options=shop.at) == changed
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        shop.v1.billing_portal.sessions.create(asked, shop.at)
