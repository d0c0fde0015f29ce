"""Where services that search public code report keys of ours, in the format of GitHub's secret scanning.

A report is a JSON list of tokens, signed with ECDSA on P-256 over the raw bytes. Nothing is parsed before the signature
holds. The public keys come from SECRET_SCANNING_KEYS, or from SECRET_SCANNING_KEYS_URL and are then kept for an hour.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import urllib.request
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_ratelimit.core import is_ratelimited

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import BadRequest, RateLimited
from stackbe.kernel.failures import plain_error
from stackbe.trust.services.leaks import revoke_leaked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

log = logging.getLogger("stackbe.leaks")
IDENTIFIER, SIGNATURE = "Github-Public-Key-Identifier", "Github-Public-Key-Signature"
MOST_TOKENS = 500
KEPT = timedelta(hours=1)
# Whoever names keys that there are not makes us ask for the list this often and no more.
ASKED_AGAIN = timedelta(minutes=5)
SECONDS, MOST_BYTES = 5, 64 * 1024


class ReportRefused(BadRequest):
    """The report is not signed by whom it says, or is none."""

    code = "REPORT_REFUSED"
    message = "The signature does not fit this body, or the report is not a list of tokens."


class PublicKeys:
    """The keys that reports are signed with, by identifier; fetched when they are not set."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[str, str] = {}
        self._asked_at: datetime | None = None
        self._one_at_a_time = threading.Lock()

    def get(self, identifier: str) -> str | None:
        """Return a key as PEM, None for one that is not among them."""
        if settings.SECRET_SCANNING_KEYS:
            return _read(settings.SECRET_SCANNING_KEYS).get(identifier)
        with self._one_at_a_time:
            age = KEPT if self._asked_at is None else wall_clock() - self._asked_at
            if age >= KEPT or (identifier not in self._known and age >= ASKED_AGAIN):
                self._fetch()
            return self._known.get(identifier)

    def _fetch(self) -> None:
        self._asked_at = wall_clock()
        if not settings.SECRET_SCANNING_KEYS_URL.startswith("https://"):
            return
        try:
            with urllib.request.urlopen(settings.SECRET_SCANNING_KEYS_URL, timeout=SECONDS) as reply:  # noqa: S310  # https
                self._known = _read(reply.read(MOST_BYTES).decode())
        except (OSError, ValueError) as failure:
            log.warning("keys of secret scanning not fetched", extra={"failure": type(failure).__name__})


public_keys = PublicKeys()


@csrf_exempt
@require_POST
def secret_scanning(request: HttpRequest) -> HttpResponse:
    """Take a report: revoke what is a key of ours, and answer which tokens were (`true_positive`) and which not."""
    if is_ratelimited(request, group="secret-scanning", key="ip", rate="60/m", increment=True):
        return plain_error(RateLimited())
    body = request.body
    if not _is_signed(body, request.headers):
        return plain_error(ReportRefused())
    try:
        tokens = _tokens(json.loads(body))
    except (ValueError, RecursionError):
        return plain_error(ReportRefused())
    labels = [
        {
            "token_raw": told["token"],
            "token_type": told["type"],
            "label": "true_positive" if revoke_leaked(told["token"], told) else "false_positive",
        }
        for told in tokens
    ]
    return JsonResponse(labels, safe=False)


def _is_signed(body: bytes, headers: Mapping[str, str]) -> bool:
    identifier, signature = headers.get(IDENTIFIER, ""), headers.get(SIGNATURE, "")
    pem = public_keys.get(identifier) if identifier and signature else None
    if pem is None:
        return False
    try:
        key = load_pem_public_key(pem.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            return False
        key.verify(base64.b64decode(signature, validate=True), body, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _tokens(report: Any) -> list[dict[str, str]]:
    """Return the report's tokens, or raise ValueError."""
    if not isinstance(report, list) or len(report) > MOST_TOKENS:
        raise ValueError("not a list of tokens")
    found = []
    for told in report:
        if not isinstance(told, dict) or not isinstance(told.get("token"), str):
            raise ValueError("not a token")  # noqa: TRY004  # what the caller catches for anything malformed
        found.append({name: str(told.get(name, "")) for name in ("token", "type", "url", "source")})
    return found


def _read(text: str) -> dict[str, str]:
    """Return {identifier: PEM} of a list as GitHub publishes it; raises ValueError."""
    listed = json.loads(text)
    if not isinstance(listed, dict):
        raise ValueError("not a list of keys")  # noqa: TRY004  # as above
    return {str(each["key_identifier"]): str(each["key"]) for each in listed.get("public_keys", [])}
