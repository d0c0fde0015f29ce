"""Signatures: what the public libraries accept and what they must not."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError

from webhooks.signing import SECRET_PREFIX, key_of, new_secret, sign

BODY = b'{"id": "evt_1", "name": "\xc3\x84da"}'


def test_a_secret_has_256_random_bits() -> None:
    secret = new_secret()

    assert secret.startswith(SECRET_PREFIX)
    assert len(key_of(secret)) == 32
    assert new_secret() != secret


def test_a_known_vector_signs_as_the_standard_says() -> None:
    # The example of the Standard Webhooks specification.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # published
    headers = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=4096))
def test_both_public_libraries_verify_any_body(text: str) -> None:
    secret, moment = new_secret(), int(time.time())
    headers = sign([secret], "evt_1", moment, text.encode())

    for library in (StandardWebhook(secret), SvixWebhook(secret)):
        # Verified, but perhaps not JSON: they parse what they verified.
        with contextlib.suppress(ValueError):
            library.verify(text, headers)


def test_either_secret_verifies_while_one_rotates() -> None:
    old, new, moment = new_secret(), new_secret(), int(time.time())
    headers = sign([new, old], "evt_1", moment, BODY)

    for secret in (old, new):
        StandardWebhook(secret).verify(BODY, headers)
        SvixWebhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("spoilt", ["body", "secret", "id", "time", "signature", "missing"])
def test_anything_changed_is_refused(spoilt: str) -> None:
    secret, moment, body = new_secret(), int(time.time()), BODY
    headers = sign([secret], "evt_1", moment, body)
    match spoilt:
        case "body":
            body += b" "
        case "secret":
            secret = new_secret()
        case "id":
            headers["webhook-id"] = "evt_2"
        case "time":
            headers["webhook-timestamp"] = str(moment + 1)
        case "signature":
            headers["webhook-signature"] = "v1," + base64.b64encode(bytes(32)).decode()
        case "missing":
            del headers["webhook-signature"]

    with pytest.raises(WebhookVerificationError):
        SvixWebhook(secret).verify(body, headers)
