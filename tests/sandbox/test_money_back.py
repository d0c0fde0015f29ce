import pytest
import stripe


@pytest.fixture
def charge(shop):
    shop.press(shop.session(customer=shop.customer().id), "pay")
    return shop.v1.charges.list(None, shop.at).data[0]


def test_a_refund_is_booked_on_its_charge(shop, receiver, charge):
    refund = shop.v1.refunds.create({"charge": charge.id, "amount": 900}, shop.at)

    assert refund.status == "succeeded"
    assert shop.v1.charges.retrieve(charge.id, None, shop.at).amount_refunded == 900
    event = receiver.of(shop.account, "charge.refunded")[0].event
    assert (event["data"]["object"]["amount_refunded"], event["data"]["object"]["refunded"]) == (900, False)
    assert event["data"]["previous_attributes"] == {"amount_refunded": 0}


def test_the_rest_is_refunded_by_the_payment_intent(shop, charge):
    shop.v1.refunds.create({"charge": charge.id, "amount": 900}, shop.at)

    refund = shop.v1.refunds.create({"payment_intent": charge.payment_intent}, shop.at)

    assert refund.amount == 2000
    assert shop.v1.charges.retrieve(charge.id, None, shop.at).refunded is True
    assert len(shop.v1.refunds.list({"charge": charge.id}, shop.at).data) == 2
    with pytest.raises(stripe.InvalidRequestError) as caught:
        shop.v1.refunds.create({"charge": charge.id}, shop.at)
    assert caught.value.code == "charge_already_refunded"


@pytest.mark.parametrize("amount", [0, -1, 2901])
def test_more_than_was_paid_is_not_refunded(shop, charge, amount):
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.refunds.create({"charge": charge.id, "amount": amount}, shop.at)


def test_a_charge_leads_back_to_its_invoice(shop, charge):
    asked = {"payment": {"type": "payment_intent", "payment_intent": charge.payment_intent}}

    found = shop.v1.invoice_payments.list(asked, shop.at).data

    assert [each.invoice for each in found] == [shop.invoices()[0].id]
    assert found[0].status == "paid"


def test_a_dispute_is_opened_and_lost(shop, sandbox, receiver, charge):
    dispute = sandbox.control("POST", "disputes", account=shop.account, charge=charge.id)

    assert shop.v1.disputes.retrieve(dispute["id"], None, shop.at).status == "needs_response"
    assert shop.v1.charges.retrieve(charge.id, None, shop.at).disputed is True
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        shop.v1.refunds.create({"charge": charge.id}, shop.at)
    assert shop.v1.disputes.close(dispute["id"], None, shop.at).status == "lost"
    receiver.of(shop.account, "charge.dispute.created", "charge.dispute.closed")


def test_a_dispute_is_won(shop, sandbox, charge):
    dispute = sandbox.control("POST", "disputes", account=shop.account, charge=charge.id)

    assert (
        sandbox.control("POST", "disputes", account=shop.account, dispute=dispute["id"], status="won")["status"]
        == "won"
    )


def test_an_open_invoice_is_voided_or_written_off(shop):
    customer = shop.payer()
    for action in ("void_invoice", "mark_uncollectible"):
        subscription = shop.subscription(customer=customer)
        shop.pays(customer.id, "decline")
        shop.advance("32d")
        invoice = shop.v1.invoices.list({"subscription": subscription.id, "status": "open"}, shop.at).data[0]

        closed = getattr(shop.v1.invoices, action)(invoice.id, None, shop.at)

        assert closed.status == {"void_invoice": "void", "mark_uncollectible": "uncollectible"}[action]
        shop.pays(customer.id, "succeed")
    assert shop.events("invoice.voided", "invoice.marked") == ["invoice.voided", "invoice.marked_uncollectible"]


def test_the_page_of_an_open_invoice_takes_the_payment(shop):
    customer = shop.payer()
    subscription = shop.subscription(customer=customer)
    shop.pays(customer.id, "authenticate")
    shop.advance("32d")
    invoice = shop.v1.invoices.list({"status": "open"}, shop.at).data[0]

    assert shop.sandbox.browse(invoice.hosted_invoice_url, action="decline").status == 402
    assert shop.sandbox.browse(invoice.hosted_invoice_url, action="pay").status == 303

    assert shop.reload(subscription).status == "active"
    assert "Status: paid" in shop.sandbox.browse(invoice.hosted_invoice_url).text
