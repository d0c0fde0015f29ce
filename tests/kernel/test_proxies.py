"""Who is believed about whom: forwarding headers count from the proxies of the deployment alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from stackbe.kernel import http, limits, visitors
from stackbe.kernel.proxies import KnownProxies

START = 1_800_000_000
CDN, PROXY, CALLER, FORGED = "203.0.113.7", "10.0.0.2", "198.51.100.9", "192.0.2.66"


@pytest.fixture
def behind(settings):
    """Stand behind so many proxies; of which addresses, where they are not the usual ones."""

    def set_up(proxies, *addresses):
        settings.TRUSTED_PROXIES = proxies
        settings.TRUSTED_PROXY_ADDRESSES = list(addresses)

    return set_up


def address(peer, forwarded=None):
    meta = {"REMOTE_ADDR": peer} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    return http.client_address(SimpleNamespace(META=meta))


def left(peer, **headers):
    """Return what of a request's forwarding headers reaches the application."""
    seen = {}
    KnownProxies(lambda environ, _start: seen.update(environ) or [])({"REMOTE_ADDR": peer, **headers}, None)
    return {name: value for name, value in seen.items() if name.startswith("HTTP_")}


@pytest.mark.parametrize(
    ("proxies", "named", "peer", "forwarded", "found"),
    [
        (0, (), PROXY, FORGED, PROXY),
        (0, (), CALLER, FORGED, CALLER),
        (1, (), CALLER, FORGED, CALLER),  # past the proxy, straight to us
        (1, (), PROXY, CALLER, CALLER),
        (1, (), "", CALLER, CALLER),  # over a unix socket
        (1, (), "::ffff:10.0.0.2", CALLER, CALLER),
        (1, (), PROXY, f"{FORGED}, {CALLER}", CALLER),
        (1, (), PROXY, None, PROXY),
        (1, ("10.0.0.9",), PROXY, FORGED, PROXY),  # a neighbour that is no proxy of ours
        (2, ("10.0.0.0/8", CDN), PROXY, f"{CALLER}, {CDN}", CALLER),
        (2, ("10.0.0.0/8", CDN), PROXY, f"{FORGED}, {CALLER}, {CDN}", CALLER),
        (2, ("10.0.0.0/8", CDN), PROXY, f"{FORGED}, {CALLER}", CALLER),  # past the CDN
        (2, (), PROXY, CALLER, CALLER),
        (2, (), PROXY, f"{FORGED}, {CALLER}, {CDN}", CALLER),  # a CDN that is counted, not named
        (2, (), CALLER, f"{FORGED}, {CDN}", CALLER),
        (1, (), PROXY, "nonsense", "0.0.0.0"),
    ],
)
def test_the_caller_is_whom_the_outermost_of_our_proxies_names(behind, proxies, named, peer, forwarded, found):
    behind(proxies, *named)

    assert address(peer, forwarded) == found


def test_what_others_forward_is_dropped_before_anything_reads_it(behind, settings):
    sent = {
        "HTTP_X_FORWARDED_FOR": FORGED,
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "mallory.example",
        "HTTP_CF_IPCOUNTRY": "US",
        "HTTP_HOST": "localhost",
    }
    settings.COUNTRY_HEADER = "CF-IPCountry"

    behind(1)
    assert left(CALLER, **sent) == {"HTTP_HOST": "localhost"}
    assert left(PROXY, **sent) == sent
    behind(0)
    assert left(PROXY, **sent) == {"HTTP_HOST": "localhost"}


def test_another_host_is_never_taken_from_a_header(client, db, behind):
    behind(1)

    page = client.get("/login", headers={"host": "localhost:8000", "x-forwarded-host": "mallory.example"})

    assert page.status_code == 200
    assert "mallory" not in page.content.decode()


@pytest.mark.parametrize("seed", [1, 2])
def test_in_its_own_memory_a_process_counts_as_the_shared_limiter_does(db, monkeypatch, seed):
    dice, own, moment = random.Random(seed), visitors.OwnLimits(), 0.0
    for _ in range(150):
        moment += dice.choice([0, 0.1, 1, 4, 30, 80])
        at = datetime.fromtimestamp(START + moment, tz=UTC)
        monkeypatch.setattr(limits, "wall_clock", lambda at=at: at)
        monkeypatch.setattr(visitors, "wall_clock", lambda at=at: at)

        assert own.take("b", 5) == limits.take("b", 5)


def test_of_its_own_memory_a_process_takes_only_so_much():
    own = visitors.OwnLimits(most=3)
    for n in range(10):
        own.take(f"b{n}", 1)

    assert [own.take(f"b{n}", 1).ok for n in (9, 0)] == [False, True]
