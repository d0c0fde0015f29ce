"""Check 12: whatever a tenant's URL says and its DNS answers, nothing reaches our own network."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from stackbe.kernel.transactions import change
from tests.cast import found_company
from tests.webhooks.conftest import Desk, dispatching
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.test_deliver import until
from webhooks.addresses import TargetRefused, judge_address, judge_url
from webhooks.sending import Answer, Sender, SendError
from webhooks.services.endpoints import create_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cast import Api

PUBLIC = "93.184.216.34"

# Addresses that are not on the public Internet, one or more of each special-purpose block of IANA
# and each way of writing an IPv4 address inside an IPv6 one.
HOSTILE_ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.0.170", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1",
    "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "100:0:0:1::1",
    "2001::1", "2001:0:53aa:64c::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1",
]  # fmt: skip
# Spellings that some resolver or parser takes for loopback or metadata.
HOSTILE_HOSTS = [
    "localhost", "LOCALHOST", "localhost.", "app.localhost", "ip6-localhost", "localhost.localdomain",
    "metadata", "metadata.google.internal", "printer.local", "router.home.arpa", "instance-data",
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
    "127.0.0.1.", "127.000.000.001", "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "ⓛocalhost",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:7f00:1]", "[::1%25lo]", "[::1%lo]", "0", "0x0", "127.0.0.1%00",
    "127.0.0.1%2f", "1.1.1.1&@127.0.0.1", "1.1.1.1 @127.0.0.1", "1.1.1.1\t@127.0.0.1", "169.254.169.254",
    "0xa9fea9fe", "2852039166", "[fd00:ec2::254]",
]  # fmt: skip


@pytest.fixture
def canary() -> Iterator[Receiver]:
    """A server on loopback that nothing may connect to."""
    with Receiver() as running:
        yield running


def send(url: str, lookup: Any = None, **options: Any) -> Answer:
    async def once() -> Answer:
        async with Sender(lookup=lookup, **options) as sender:
            return await sender.post(url, {"webhook-id": "evt_1"}, b"{}")

    return asyncio.run(once())


def answering(*answers: list[str] | Exception) -> Any:
    """Return a DNS that gives these answers in turn (the last one for ever) and counts."""
    left = list(answers)

    async def lookup(host: str, port: int) -> list[str]:
        lookup.asked += 1  # type: ignore[attr-defined]  # a counter on the function
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    lookup.asked = 0  # type: ignore[attr-defined]  # likewise
    return lookup


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_no_hostile_address_is_judged_public(address: str) -> None:
    with pytest.raises(TargetRefused):
        judge_address(address)


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"],
)
def test_public_addresses_pass(address: str) -> None:
    assert judge_address(address) == address


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_no_hostile_host_is_stored_or_connected_to(host: str, canary: Receiver) -> None:
    for url in (f"http://{host}:{canary.port}/", f"https://{host}/"):
        with pytest.raises(TargetRefused):
            judge_url(url, live=False)
        assert send(url).error is SendError.ADDRESS_REFUSED

    assert canary.connections == 0


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_a_name_that_resolves_to_a_hostile_address_is_not_connected_to(address: str, canary: Receiver) -> None:
    answer = send(f"http://rebind.example.com:{canary.port}/", answering([address]))

    assert answer.error is SendError.ADDRESS_REFUSED
    assert canary.connections == 0


@pytest.mark.parametrize("mixed", [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::ffff:127.0.0.1"]])
def test_one_bad_address_among_good_ones_refuses_all(mixed: list[str], canary: Receiver) -> None:
    answer = send(f"http://mixed.example.com:{canary.port}/", answering(mixed))

    assert answer.error is SendError.ADDRESS_REFUSED
    assert canary.connections == 0


def test_nxdomain_then_private_is_refused_when_it_is_private(canary: Receiver) -> None:
    lookup = answering(socket.gaierror(socket.EAI_NONAME, "no such name"), ["127.0.0.1"])
    url = f"http://late.example.com:{canary.port}/"

    assert send(url, lookup).error is SendError.DNS_FAILED
    assert send(url, lookup).error is SendError.ADDRESS_REFUSED
    assert canary.connections == 0


def test_a_name_is_resolved_once_and_connected_to_where_it_was_judged(canary: Receiver) -> None:
    # The development setting stands in for the public Internet: the first answer may be reached,
    # the second is where a rebinding DNS would like us to go.
    lookup = answering(["127.0.0.1"], ["169.254.169.254"])
    with Receiver() as judged:
        answer = send(f"http://rebind.example.com:{judged.port}/", lookup, allow_local=True)
        again = send(f"http://rebind.example.com:{judged.port}/", lookup, allow_local=True)

        assert answer.delivered
        assert judged.connections == 1
    assert again.error is SendError.ADDRESS_REFUSED
    assert lookup.asked == 2


def test_the_last_door_holds_when_the_resolver_lets_everything_through(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.sending.judge_addresses", lambda found, *, allow_local: found)

    answer = send(f"http://rebind.example.com:{canary.port}/", answering(["127.0.0.1"]))

    assert answer.error is SendError.ADDRESS_REFUSED
    assert canary.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_loopback_goes_nowhere(status: int, canary: Receiver) -> None:
    # Both are on loopback and the setting allows it, so that only the refusal to follow stops it.
    with Receiver(lambda _: Reply(status, headers={"Location": canary.url})) as receiver:
        answer = send(receiver.url, allow_local=True)

    assert answer.error is SendError.REDIRECT_NOT_FOLLOWED
    assert canary.connections == 0


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_the_api_refuses_hostile_urls_by_field(acme_api: Api, host: str, settings: Any) -> None:
    settings.ALLOW_LOCAL_WEBHOOKS = False

    refused = acme_api.post("/webhook-endpoints", {"url": f"https://{host}/"})

    assert refused.status_code == 400
    assert "url" in refused.json()["fields"]


def test_a_stored_hostile_endpoint_is_refused_at_delivery(committed: None, canary: Receiver) -> None:
    desk = Desk(found_company("Acme"))
    urls = [canary.url, f"http://rebind.example.com:{canary.port}/", f"http://localhost:{canary.port}/"]
    with change(desk.scope):
        for url in urls:
            create_endpoint(desk.scope, url=url)
    with dispatching(allow_local=False, lookup=answering(["127.0.0.1"])):
        desk.emit()
        until(lambda: len(desk.deliveries(attempts=1)) == len(urls))

    assert {delivery.error for delivery in desk.deliveries()} == {"ADDRESS_REFUSED"}
    assert canary.connections == 0
