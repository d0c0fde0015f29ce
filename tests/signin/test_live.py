"""Sign-in on a running copy: real mail jobs, two web processes, no shared memory."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.signin.people import token_of

pytestmark = pytest.mark.xdist_group("live")
PATIENCE = 30.0


class Caller:
    """A bare HTTP client of one app of a running copy."""

    def __init__(self, tenant: dict[str, Any]) -> None:
        self.tenant = tenant
        self.auth = f"/apps/{tenant['appId']}/auth"

    def call(self, method: str, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.tenant['baseUrl']}/v1{path}", method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=20) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"null")

    def mail(self, to: str) -> dict[str, Any]:
        """Return the newest mail with a link to somebody, once the worker has sent it; notices have none."""
        url = f"{self.tenant['inboxUrl']}?{urllib.parse.urlencode({'to': to, 'format': 'json'})}"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with urllib.request.urlopen(url, timeout=20) as reply:
                found = [mail for mail in json.loads(reply.read()) if mail["links"]]
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no mail to {to}")

    def sign_in(self, email: str) -> dict[str, Any]:
        status, _ = self.call("POST", f"{self.auth}/magic-link", self.tenant["apiKey"], {"email": email})
        assert status == 200
        status, answer = self.call("POST", f"{self.auth}/verify", None, {"token": token_of(self.mail(email))})
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def caller(live_stack) -> Caller:
    return Caller(live_stack.new_tenant())


def test_a_customer_signs_in_and_signing_out_bites_on_every_process(caller):
    token = caller.sign_in("ada@example.com")["sessionToken"]
    before = [caller.call("GET", f"{caller.auth}/session", token)[0] for _ in range(20)]
    assert before == [200] * 20

    assert caller.call("POST", f"{caller.auth}/logout", token)[0] == 204

    after = {caller.call("GET", f"{caller.auth}/session", token)[0] for _ in range(20)}
    padded = {caller.call("GET", f"{caller.auth}/session", f"{token}=")[0] for _ in range(4)}
    assert after == padded == {401}


def test_a_refreshed_session_goes_on_and_a_stolen_copy_ends_it_nowhere_early(caller):
    first = caller.sign_in("barbara@example.com")

    _, second = caller.call("POST", f"{caller.auth}/refresh", None, {"refreshToken": first["refreshToken"]})
    _, again = caller.call("POST", f"{caller.auth}/refresh", None, {"refreshToken": first["refreshToken"]})

    assert second["refreshToken"] == again["refreshToken"]
    assert caller.call("GET", f"{caller.auth}/session", second["sessionToken"])[0] == 200


def test_the_logs_of_a_running_copy_name_nobody_and_open_nothing(caller, live_stack):
    answer = caller.sign_in("carol@example.com")
    mail = caller.mail("carol@example.com")

    for name in ("web", "worker"):
        log = live_stack.log(name)
        for secret in ("carol@example.com", token_of(mail), answer["sessionToken"], answer["refreshToken"]):
            assert secret not in log, name


def test_twenty_tabs_on_two_web_processes_refresh_at_once_and_stay_signed_in(caller):
    token = caller.sign_in("dan@example.com")["refreshToken"]
    for _ in range(3):
        answers = at_once(20, lambda token=token: caller.call("POST", f"{caller.auth}/refresh", None, refresh(token)))

        assert {status for status, _ in answers} == {200}, answers
        assert len({answer["refreshToken"] for _, answer in answers}) == 1
        access = [answer["sessionToken"] for _, answer in answers]
        asked = at_once(20, lambda access=access: caller.call("GET", f"{caller.auth}/session", access[-1])[0])
        assert set(asked) == {200}
        token = answers[0][1]["refreshToken"]


def refresh(token: str) -> dict[str, str]:
    return {"refreshToken": token}


def at_once(hands: int, act: Any) -> list[Any]:
    """Run the same call in many threads, released together."""
    barrier = Barrier(hands)

    def one(_: int) -> Any:
        barrier.wait(timeout=PATIENCE)
        return act()

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(one, range(hands)))


def revoke(caller: Caller, answer: dict[str, Any]) -> int:
    key, customer = caller.tenant["apiKey"], answer["customerId"]
    _, found = caller.call("GET", f"/customers/{customer}/sessions", key)
    return caller.call("DELETE", f"/customers/{customer}/sessions/{found['data'][0]['id']}", key)[0]


# The app goes last: nobody signs in to it again.
ENDS = {
    "logout": lambda c, a: c.call("POST", f"{c.auth}/logout", a["sessionToken"])[0],
    "revoked": revoke,
    "signed out everywhere": lambda c, a: c.call(
        "DELETE", f"/customers/{a['customerId']}/sessions", c.tenant["apiKey"]
    )[0],
    "customer erased": lambda c, a: c.call("DELETE", f"/customers/{a['customerId']}", c.tenant["apiKey"])[0],
    "app deleted": lambda c, _: c.call("DELETE", f"/apps/{c.tenant['appId']}", c.tenant["tenantKey"])[0],
}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_of_a_session_bites_on_the_next_request_on_every_process(live_stack, caller, end):
    """Security check 4, in every spelling of the token."""
    if end == "app deleted":
        caller = Caller(live_stack.new_tenant())
    answer = caller.sign_in(f"{end.replace(' ', '.')}@example.com")
    token = answer["sessionToken"]
    assert {caller.call("GET", f"{caller.auth}/session", token)[0] for _ in range(10)} == {200}

    assert ENDS[end](caller, answer) in {202, 204}

    for spelling in (token, f"{token}=", f"{token}=="):
        assert {caller.call("GET", f"{caller.auth}/session", spelling)[0] for _ in range(10)} == {401}
    refused, _ = caller.call("POST", f"{caller.auth}/refresh", None, refresh(answer["refreshToken"]))
    assert refused == (404 if end == "app deleted" else 401)
