"""Check 28: whatever is sent, the answer is JSON, documented, and never our fault."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from stackbe.kernel.ids import encode, new_id
from tests.cast import Api, Company

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each limit is per credential or address: so many calls, and the next come with fresh ones.
CALLS_PER_KEY = 400
ODD = ("\x00", "4242424242424242", "🦀" * 300, "' or 1=1 --", "../../etc/passwd", "null", "-1", "1e999", "٣", "\ud7ff")


@dataclass
class Judge:
    """Sends generated calls for two companies and notes every answer that the document does not promise."""

    document: dict[str, Any]
    companies: tuple[Company, Company]
    specimens: dict[str, list[str]]
    complaints: dict[str, str] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    keys: dict[int, Api] = field(default_factory=dict)
    calls: int = 0

    def client(self, side: int) -> Api:
        """Return a client of a company, with a fresh key before the old one's limit is reached."""
        if self.calls % CALLS_PER_KEY == 0:
            self.keys.clear()
        if side not in self.keys:
            self.keys[side] = self.companies[side].api("*")
        self.calls += 1
        api = self.keys[side]
        api.headers["X-Forwarded-For"] = f"198.51.{self.calls // 200 % 250}.7"
        return api

    def send(self, case: schemathesis.Case, side: int, draw: Any) -> None:
        """Send a case with a company's key, its ids mixed in, and judge the answer."""
        parts = {name: self._id(name, value, draw) for name, value in (case.path_parameters or {}).items()}
        path = case.operation.path
        for name, value in parts.items():
            path = path.replace(f"{{{name}}}", quoted(value))
        query = urlencode(
            {k: self._id(k, v, draw) for k, v in (case.query or {}).items()}, doseq=True, errors="replace"
        )
        body = self._ids(case.body, draw) if case.body.__class__.__name__ != "NotSet" else None
        api = self.client(side)
        target = f"{path}?{query}" if query else path
        headers = {k: v for k, v in api.headers.items() if k != "X-Forwarded-For"}
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(errors="replace")
        response = api.client.generic(
            case.method, target, sent, "application/json", headers=headers, REMOTE_ADDR=api.headers["X-Forwarded-For"]
        )
        self._judge(case, response, f"{case.method} {target} {sent[:300]!r}")

    def _id(self, name: str, value: Any, draw: Any) -> Any:
        known = self.specimens.get(name)
        if known and draw(st.integers(0, 3)):
            return draw(st.sampled_from(known))
        return draw(st.sampled_from(ODD)) if isinstance(value, str) and not draw(st.integers(0, 9)) else value

    def _ids(self, body: Any, draw: Any) -> Any:
        if isinstance(body, dict):
            return {
                k: self._ids(v, draw) if isinstance(v, dict | list) else self._id(k, v, draw) for k, v in body.items()
            }
        return [self._ids(v, draw) for v in body] if isinstance(body, list) else body

    def _judge(self, case: schemathesis.Case, response: Any, sent: str) -> None:
        status = response.status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        declared = case.operation.definition.raw["responses"].get(str(status))
        label = f"{case.method} {case.operation.path} {status}"
        if status >= 500:  # Stripe is unreachable here, but no app of these is connected to it.
            self.complaints.setdefault(label, f"our fault: {sent} → {response.content[:300]!r}")
        elif declared is None:
            self.complaints.setdefault(label, f"undocumented: {sent} → {response.content[:300]!r}")
        elif status != 204:
            self._judge_body(label, declared, response, sent)

    def _judge_body(self, label: str, declared: dict[str, Any], response: Any, sent: str) -> None:
        content_type = response.headers["Content-Type"].partition(";")[0]
        if content_type != "application/json" and content_type in declared.get("content", {}):
            return  # a file, as documented
        if content_type != "application/json":
            self.complaints.setdefault(label, f"no JSON: {sent} → {response.content[:200]!r}")
            return
        if "$ref" in declared:
            declared = self.document["components"]["responses"][declared["$ref"].rpartition("/")[2]]
        schema = declared.get("content", {}).get("application/json", {}).get("schema", {})
        validator = Draft202012Validator({**schema, "components": self.document["components"]})
        wrong = best_match(validator.iter_errors(response.json()))
        if wrong is not None:
            where = ".".join(map(str, wrong.absolute_path))
            self.complaints.setdefault(f"{label} {where}", f"{wrong.message[:300]} ({sent})")
        if response.status_code >= 400 and response.json()["statusCode"] != response.status_code:
            self.complaints.setdefault(label, f"statusCode differs: {sent}")


def quoted(value: Any) -> str:
    """Return a value as one segment of a path."""
    return quote(str(value), safe="", errors="replace") or "%20"


def specimens(acme: Company, api: Api) -> dict[str, list[str]]:
    """Make one of everything, and return ids by the names under which the API takes them."""

    def made(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = api.post(path, body)
        assert response.status_code in {200, 201}, response.content
        return response.json()

    made("/metrics", {"name": "api_calls"})
    made("/features", {"key": "sso", "name": "SSO", "type": "boolean"})
    product = made("/products", {"name": "Orbit"})
    free = {
        "name": "Free",
        "productId": product["id"],
        "priceCents": 0,
        "currency": "usd",
        "interval": "month",
        "entitlements": {"sso": True},
    }
    plan = made("/plans", free)
    customer = made("/customers", {"email": "grace@example.com", "name": "Grace"})
    subscription = made("/subscriptions", {"customerId": customer["id"], "planId": plan["id"]})
    endpoint = made("/webhook-endpoints", {"url": "http://127.0.0.1:8099/hooks", "events": ["*"]})
    delivery = api.post(f"/webhook-endpoints/{endpoint['id']}/test").json()
    session = made(f"/customers/{customer['id']}/sessions")
    # Nobody listens there, so that trying it out ends at once and reaches nobody.
    client = {"clientId": "acme", "clientSecret": "acme-at-the-provider", "issuer": "https://127.0.0.1:9443"}
    assert api.put(f"/apps/{acme.app}/auth/providers/acme-sso", client).status_code == 201
    held = made("/usage/reservations", {"customerId": customer["id"], "metric": "api_calls", "quantity": 1})
    metric = api.get("/metrics").json()["data"][0]["id"]
    return {
        "appId": [acme.app],
        "customerId": [customer["id"]],
        "planId": [plan["id"]],
        "productId": [product["id"]],
        "subscriptionId": [subscription["id"]],
        "endpointId": [endpoint["id"]],
        "deliveryId": [delivery["id"]],
        "eventId": [api.get("/events").json()["data"][0]["id"]],
        "keyId": [encode("key", new_id())],  # a real one would be revoked under the test
        "metricId": [metric],
        "reservationId": [held["id"]],
        "sessionId": [api.get(f"/customers/{customer['id']}/sessions").json()["data"][0]["id"]],
        "featureKey": ["sso"],
        "provider": ["acme-sso"],
        "feature": ["sso"],
        "metric": ["api_calls"],
        "token": [session["sessionToken"]],
        "email": ["grace@example.com"],
    }


@pytest.fixture
def judge(acme: Company, globex: Company, settings: Any) -> Judge:
    """Return the judge, with one of everything at each company and room enough for its calls."""
    settings.ADDRESS_LIMITS = dict.fromkeys(settings.ADDRESS_LIMITS, (100_000, 60))
    settings.FAILED_CREDENTIALS_PER_MINUTE = 100_000
    document = Api(None).get("/openapi.json").json()
    found: dict[str, list[str]] = {}
    for company in (acme, globex):
        for name, ids in specimens(company, Api(company.key)).items():
            found[name] = found.get(name, []) + ids
    return Judge(document, (acme, globex), found)


def operations(document: dict[str, Any]) -> Iterator[Any]:
    """Return every operation of the document: what ends things comes last, an app's end last of all."""
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    yield from sorted(found, key=lambda each: (each.method == "delete", each.path == "/v1/apps/{appId}"))


def play(judge: Judge, each: int) -> None:
    """Send so many generated calls to every operation: half of them valid, half of them not."""
    for operation in operations(judge.document):
        play_one(judge, operation, each)


def play_one(judge: Judge, operation: Any, each: int) -> None:
    right = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @seed(28)
    @settings(
        max_examples=each,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def call(data: Any) -> None:
        case = data.draw(right if data.draw(st.booleans()) else wrong)
        judge.send(case, data.draw(st.integers(0, 1)), data.draw)

    call()


def test_hundreds_of_generated_calls_get_documented_answers(judge):
    play(judge, each=3)

    assert_nothing_to_complain_of(judge)
    assert judge.calls > 300
    assert_mixed(judge)


def assert_nothing_to_complain_of(judge: Judge) -> None:
    """Assert that every answer was as documented; each other one is shown with what was sent."""
    if judge.complaints:
        pytest.fail("\n".join(f"{label}: {text}" for label, text in judge.complaints.items()), pytrace=False)


def assert_mixed(judge: Judge) -> None:
    """Assert that the calls got past the door: refusals of every kind, and a share that worked."""
    assert {200, 201, 204, 400, 404} <= set(judge.statuses), judge.statuses
    assert judge.statuses.get(429, 0) + judge.statuses.get(401, 0) < judge.calls // 4, judge.statuses
    assert judge.statuses[200] > judge.calls // 20, judge.statuses


@pytest.mark.slow
def test_ten_thousand_too(judge):
    # A few operations run out of different calls before the others.
    each = 10_500 // sum(len(item) for item in judge.document["paths"].values()) + 1
    play(judge, each=each)

    assert_nothing_to_complain_of(judge)
    assert judge.calls >= 10_000
    assert_mixed(judge)
