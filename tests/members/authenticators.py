"""An authenticator app and a passkey as a person has them: they know nothing of our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def app_code(secret: str, moment: float) -> str:
    """Return what an authenticator app shows (RFC 6238, written out from RFC 4226)."""
    key = base64.b32decode(secret.replace(" ", ""))
    digest = hmac.digest(key, struct.pack(">Q", int(moment) // 30), hashlib.sha1)
    place = digest[-1] & 0xF
    number = struct.unpack(">I", digest[place : place + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def b64(data: bytes) -> str:
    """Return base64url as WebAuthn spells it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SoftKey:
    """A passkey in memory (WebAuthn level 2, ES256, attestation `none`)."""

    def __init__(self, site: str = "localhost") -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)
        self.site = site
        self.count = 0

    def create(self, options: dict[str, Any], origin: str = ORIGIN) -> str:
        """Answer `navigator.credentials.create`."""
        numbers = self.private.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        key = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cbor2.dumps(cose)
        data = self._data(PRESENT | VERIFIED | ATTESTED) + key
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        told = self._told("webauthn.create", options["challenge"], origin)
        return self._spelt({"clientDataJSON": b64(told), "attestationObject": b64(attestation)})

    def get(self, options: dict[str, Any], origin: str = ORIGIN) -> str:
        """Answer `navigator.credentials.get`."""
        self.count += 1
        data = self._data(PRESENT | VERIFIED)
        told = self._told("webauthn.get", options["challenge"], origin)
        signed = self.private.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(hashes.SHA256()))
        return self._spelt(
            {
                "clientDataJSON": b64(told),
                "authenticatorData": b64(data),
                "signature": b64(signed),
                "userHandle": None,
            }
        )

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.site.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _told(self, kind: str, challenge: str, origin: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()

    def _spelt(self, response: dict[str, Any]) -> str:
        key = b64(self.id)
        return json.dumps(
            {"id": key, "rawId": key, "type": "public-key", "clientExtensionResults": {}, "response": response}
        )
