import signal
import threading

import pytest
import stripe

from tests.sandbox.conftest import Shop


@pytest.fixture
def other_shop(other_sandbox):
    account = other_sandbox.control("POST", "accounts", name="Acme")["id"]
    return Shop(other_sandbox, account, other_sandbox.client())


def test_everything_is_there_after_a_restart(other_shop, other_sandbox):
    subscription = other_shop.subscription()
    other_shop.advance("40d")
    invoices, events = len(other_shop.invoices()), other_shop.events()

    assert other_sandbox.end(signal.SIGTERM) == 0
    other_sandbox.start()

    assert other_shop.reload(subscription).status == "active"
    assert (len(other_shop.invoices()), other_shop.events()) == (invoices, events)
    other_shop.advance("31d")
    assert len(other_shop.invoices()) == invoices + 1


def test_what_was_answered_survives_kill_9_and_nothing_is_doubled(other_shop, other_sandbox):
    made, stopped = [], threading.Event()

    def write():
        while not stopped.is_set():
            key = f"key-{len(made)}"
            try:
                product = other_shop.v1.products.create({"name": key}, {**other_shop.at, "idempotency_key": key})
            except stripe.APIConnectionError:
                return
            made.append(product.id)

    writer = threading.Thread(target=write)
    writer.start()
    while len(made) < 25:
        stopped.wait(0.01)
    other_sandbox.end(signal.SIGKILL)
    writer.join()
    other_sandbox.start()

    # The call that was cut by the kill is asked again with its key, as the product would.
    key = f"key-{len(made)}"
    other_shop.v1.products.create({"name": key}, {**other_shop.at, "idempotency_key": key})
    names = [each.name for each in other_shop.v1.products.list({"limit": 100}, other_shop.at).auto_paging_iter()]
    assert sorted(names) == sorted(f"key-{number}" for number in range(len(made) + 1))
    assert other_shop.events("product.") == ["product.created"] * len(names[:100]) or len(names) > 90


def test_a_webhook_that_was_waiting_is_sent_after_kill_9(other_shop, other_sandbox, receiver):
    other_sandbox.control("POST", "faults", kind="delay", seconds=2, count=1, type="product.")
    other_shop.v1.products.create({"name": "Pro"}, other_shop.at)

    other_sandbox.end(signal.SIGKILL)
    other_sandbox.start()

    assert receiver.of(other_shop.account, "product.created", within=15)


def test_no_signing_secret_or_platform_key_is_in_the_state(other_shop, other_sandbox):
    other_shop.subscription()
    environment = other_sandbox.environment
    other_sandbox.end()

    stored = b"".join(path.read_bytes() for path in other_sandbox.state.parent.glob("state.sqlite*"))
    for name in ("STRIPE_SECRET_KEY", "STRIPE_CONNECT_WEBHOOK_SECRETS"):
        assert environment[name].encode() not in stored
