import json

import pytest

from tests.sandbox.conftest import Sandbox, Shop

# Short ones count as JSON's own words only: ids are random letters and digits, and may hold any three of them.
TRACES = ("last4", "fingerprint", '"4242"', '"brand"', "exp_month", '"cvc')


def whole_life(shop):
    """Everything that could bring a card to light, and every event that came of it."""
    customer = shop.payer()
    shop.subscription(customer=customer)
    shop.press(shop.session(customer=customer.id), "pay")
    charge = shop.v1.charges.list({"limit": 1}, shop.at).data[0]
    shop.v1.refunds.create({"charge": charge.id, "amount": 100}, shop.at)
    other = shop.v1.charges.list({"limit": 2}, shop.at).data[1]
    shop.sandbox.control("POST", "disputes", account=shop.account, charge=other.id)
    return [event.to_dict() for event in shop.v1.events.list({"limit": 100}, shop.at).data]


def test_nothing_of_a_card_is_stored_or_sent(other_sandbox):
    account = other_sandbox.control("POST", "accounts")["id"]

    events = json.dumps(whole_life(Shop(other_sandbox, account, other_sandbox.client())), default=str)

    other_sandbox.end()
    stored = b"".join(path.read_bytes() for path in other_sandbox.state.parent.glob("state.sqlite*")).decode("latin-1")
    assert [trace for trace in TRACES if trace in events or trace in stored] == []


def test_card_like_data_is_sent_only_when_a_test_asks_for_it(receiver, tmp_path):
    sandbox = Sandbox(tmp_path / "state.sqlite", receiver, extra={"STACKBE_SANDBOX_CARDLIKE": "1"})
    sandbox.start()
    try:
        account = sandbox.control("POST", "accounts")["id"]
        whole_life(Shop(sandbox, account, sandbox.client()))

        refunded, disputed = receiver.of(account, "charge.refunded", "charge.dispute.created")
    finally:
        sandbox.end()

    card = refunded.event["data"]["object"]["payment_method_details"]["card"]
    assert (card["last4"], card["brand"]) == ("4242", "visa")
    assert card["fingerprint"]
    assert disputed.event["type"] == "charge.dispute.created"


@pytest.mark.parametrize("parameter", ["card", "source", "payment_method_data"])
def test_a_card_cannot_be_sent(shop, parameter):
    with pytest.raises(Exception, match="unknown parameter"):
        shop.customer(**{parameter: {"number": "4242424242424242"}})
