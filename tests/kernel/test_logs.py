"""One JSON object a line, and no secret in any."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from apikeys.text import generate
from stackbe.kernel.logs import JsonFormatter, masked
from tests.cast import Api

SECRETS = [
    generate("live").whole,
    generate("test").whole,
    generate("pub").whole,
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "sk_live_51HxYzAbCdEfGhIjKlMn",
    "rk_test_51HxYzAbCdEfGhIjKlMn",
    "eyJhbGciOiJFZERTQSJ9" + ".eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "joe.bloggs+tag@shop.example",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:8])
def test_a_secret_is_masked_wherever_it_stands_in_a_line(secret):
    formatter = JsonFormatter()
    try:
        raise ValueError(f"bad {secret}")
    except ValueError:
        failure = sys.exc_info()
    record = logging.LogRecord("x", logging.INFO, "f", 1, "saw %s here", (secret,), failure)
    record.extra_field = {"nested": [secret]}

    line = formatter.format(record)

    assert secret not in line
    assert json.loads(line)["message"] == "saw [masked] here"


def test_an_authorization_header_is_masked():
    assert "abc123" not in masked("Authorization: Bearer abc123")


def test_ordinary_words_are_left_alone():
    text = "customer cust_01h455vb4pex5vsknk084sn02q of app_01h455vb4pex5vsknk084sn02q: 200 in 3.2 ms"

    assert masked(text) == text


def test_what_requests_log_holds_no_key_address_or_body(acme, acme_api, caplog, settings):
    settings.LOG_REQUESTS = True
    caplog.set_level(logging.DEBUG)

    made = acme_api.post(f"/apps/{acme.app}/api-keys", {"name": "canary-name"}).json()
    acme_api.post("/customers", {"email": "canary@shop.example", "metadata": {"k": "canary-value"}})
    acme_api.get("/customers?email=canary@shop.example&q=canary")
    Api(made["key"] + "x").get("/me")

    formatter = JsonFormatter()
    lines = "\n".join(formatter.format(r) for r in caplog.records if not r.name.startswith("django.db"))
    assert '"route"' in lines
    for canary in ("canary", made["key"], acme.key, made["key"][17:]):
        assert canary not in lines
