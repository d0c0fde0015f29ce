"""A key that was found in public is revoked by whoever may report it, and by nobody else."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client

from apikeys.text import generate
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from stackbe.trust import leaks
from tests.cast import Api
from tests.dashboard.conftest import desk  # noqa: F401  # a fixture of theirs

PRIVATE = ec.generate_private_key(ec.SECP256R1())


def published(*keys: tuple[str, ec.EllipticCurvePrivateKey]) -> str:
    listed = [
        {
            "key_identifier": name,
            "key": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "is_current": True,
        }
        for name, key in keys
    ]
    return json.dumps({"public_keys": listed})


@pytest.fixture(autouse=True)
def known(settings):
    other_curve = ec.generate_private_key(ec.SECP384R1())
    settings.SECRET_SCANNING_KEYS = published(("one", PRIVATE), ("curve", other_curve))
    return other_curve


def report(body: bytes, *, key=PRIVATE, identifier="one", signature=None):
    signed = base64.b64encode(key.sign(body, ec.ECDSA(SHA256()))).decode() if signature is None else signature
    headers = {"host": "localhost:8000", leaks.IDENTIFIER: identifier, leaks.SIGNATURE: signed}
    browser = Client(enforce_csrf_checks=True)
    return browser.post("/webhooks/secret-scanning", body, content_type="application/json", headers=headers)


def told(*tokens: str) -> bytes:
    place = "https://github.com/somebody/something/blob/main/.env"
    return json.dumps(
        [{"token": t, "type": "stackbe_api_key", "url": place, "source": "content"} for t in tokens]
    ).encode()


def leaked(company) -> list[str]:
    with reading(company.scope):
        return [row.detail["url"] for row in AuditEvent.objects.within(company.scope).filter(action="api_key.leaked")]


def test_a_leaked_key_is_refused_at_once_and_the_owners_are_told_where(acme, globex, desk, mailbox):  # noqa: F811  # a fixture
    with reading(acme.scope):
        address = desk.user.email
    tokens = [acme.key, generate("test").whole, "sbk_live_nothing", acme.publishable]

    first, again = (report(told(*tokens)).json() for _ in range(2))

    labels = [each["label"] for each in first]
    assert labels == ["true_positive", "false_positive", "false_positive", "false_positive"]
    assert [each["token_raw"] for each in first] == tokens
    assert again == first
    assert Api(acme.key).get("/me").status_code == 401
    assert Api(acme.tenant_key).get("/me").status_code == 200
    assert Api(globex.key).get("/me").status_code == 200
    (mail,) = [mail for mail in mailbox(address) if "found in public" in mail["subject"]]
    assert acme.key[:17] in mail["subject"]
    assert acme.key not in mail["text"]
    assert "github.com/somebody" in mail["text"]
    assert leaked(acme) == ["https://github.com/somebody/something/blob/main/.env"]


def test_whoever_cannot_sign_revokes_nothing(acme, known):
    body = told(acme.key)
    stranger = ec.generate_private_key(ec.SECP256R1())
    good = base64.b64encode(PRIVATE.sign(body, ec.ECDSA(SHA256()))).decode()

    refused = [
        report(body, key=stranger),
        report(body, identifier="two"),
        report(body, identifier=""),
        report(body, signature=""),
        report(body, signature="not base64"),
        report(body + b" ", signature=good),
        report(body, key=known, identifier="curve"),
        report(b'{"token": "x"}'),
        report(b"[1]"),
        report(b"{"),
        report(b"[" * 60_000),
    ]

    assert [(each.status_code, each.json()["code"]) for each in refused] == [(400, "REPORT_REFUSED")] * len(refused)
    assert Api(acme.key).get("/me").status_code == 200
    assert leaked(acme) == []


def test_published_keys_are_fetched_once_an_hour_and_strangers_make_us_ask_no_oftener(settings, monkeypatch):
    settings.SECRET_SCANNING_KEYS, settings.SECRET_SCANNING_KEYS_URL = "", "https://keys.example/list"
    asked = []

    class Reply:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, _most):
            return published(("one", PRIVATE)).encode()

    monkeypatch.setattr(leaks.urllib.request, "urlopen", lambda url, timeout: asked.append(url) or Reply())
    keys = leaks.PublicKeys()

    found = [keys.get("one") is not None, keys.get("one") is not None, keys.get("two"), keys.get("three")]

    assert found == [True, True, None, None]
    assert asked == ["https://keys.example/list"]
