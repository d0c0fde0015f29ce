"""Session tokens: JWTs signed with a key pair per app, which any backend can verify offline.

simplejwt makes and reads them; the backend here gives it EdDSA keys of the app at hand. A token is
looked at closely before it is decoded: the only header is ours, and each part must be spelt in the
one canonical way, since PyJWT also takes `token=` (RFC 8725 and RFC 7515, section 2).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.tokens import Token

from accounts.models import App, Customer, CustomerSession, SigningKey
from stackbe.kernel import ids
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

ALGORITHM = "EdDSA"
LONGEST_TOKEN = 4096
LONGEST_LIFE = timedelta(minutes=15)
PARTS = 3
# How long a verifier may keep the key set. A new key is published for longer than that before it signs, so
# that nobody meets a token of a key that they cannot know.
KEY_SET_SECONDS = 300
PUBLISHED_AHEAD = timedelta(seconds=KEY_SET_SECONDS + 60)
# An old key verifies until the last token it signed has expired, and a minute for requests under way.
OVERLAP = LONGEST_LIFE + timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says of itself before anything is believed."""

    key_id: UUID
    app_id: UUID
    session_id: UUID


class SessionTokenBackend(TokenBackend):
    """simplejwt's backend with one app's key pair: `aud` is the app, `kid` its key."""

    def __init__(
        self,
        app_id: UUID,
        key_id: UUID,
        *,
        private: Ed25519PrivateKey | None = None,
        public: Ed25519PublicKey | None = None,
    ) -> None:
        """Take the half of the key pair that is needed."""
        super().__init__(
            ALGORITHM,
            signing_key=private,  # type: ignore[arg-type]  # PyJWT takes keys as objects too
            verifying_key=public,  # type: ignore[arg-type]  # likewise
            audience=encode("app", app_id),
            issuer=settings.BASE_URL,
        )
        self.key_id = encode(SigningKey.id_prefix, key_id)

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token."""
        claims = {**payload, "aud": self.audience, "iss": self.issuer}
        return jwt.encode(claims, self.prepared_signing_key, algorithm=ALGORITHM, headers={"kid": self.key_id})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002  # simplejwt's signature
        """Return the claims of a token that is spelt and signed as ours are."""
        parts = _parts(token)
        if parts is None or parts[0] != {"alg": ALGORITHM, "kid": self.key_id, "typ": "JWT"}:
            raise TokenBackendError("Token is invalid")
        claims: dict[str, Any] = super().decode(token, verify)
        return claims


class SessionToken(Token):
    """An access token of a customer's session."""

    token_type = "session"  # noqa: S105  # a kind
    lifetime = LONGEST_LIFE

    def __init__(self, backend: SessionTokenBackend, token: str | None = None) -> None:
        """Start an empty token, or read one; raises simplejwt's `TokenError`."""
        self.backend = backend
        super().__init__(token)  # type: ignore[arg-type]  # simplejwt's own hint is wrong: it takes text

    def get_token_backend(self) -> TokenBackend:
        """Return the app's."""
        return self.backend


def mint_session_token(
    scope: Scope, session: CustomerSession, customer: Customer, organization_role: str | None
) -> tuple[str, datetime]:
    """Return an access token for a session and when it expires: 15 minutes at most, and with the session."""
    key = current_signing_key(scope)
    minutes = App.objects.within(scope).get(pk=scope.app).config.access_token_ttl_minutes
    return signed(
        scope.app, key.id, key.private, session, customer.email, minutes=minutes, organization_role=organization_role
    )


def signed(
    app_id: UUID,
    key_id: UUID,
    private: str,
    session: CustomerSession,
    email: str,
    *,
    minutes: int,
    organization_role: str | None = None,
) -> tuple[str, datetime]:
    """Return an access token that the app's key has signed and when it expires; asks the database nothing."""
    pair = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    token = SessionToken(SessionTokenBackend(app_id, key_id, private=pair))
    moment = wall_clock().replace(microsecond=0)
    expires_at = min(moment + min(timedelta(minutes=minutes), LONGEST_LIFE), session.expires_at.replace(microsecond=0))
    token.payload |= {
        "iat": int(moment.timestamp()),
        "exp": int(expires_at.timestamp()),
        "sub": encode(Customer.id_prefix, session.customer_id),
        "sid": session.public_id,
        "email": email,
        "org": encode("org", session.organization_id) if session.organization_id and organization_role else None,
        "orgRole": organization_role,
        "amr": session.amr.split(),
    }
    return str(token), expires_at


def claimed(token: str) -> Claimed | None:
    """Return what a token of our shape names, unverified: enough to look up what verifies it."""
    parts = _parts(token)
    if parts is None or parts[0].get("alg") != ALGORITHM:
        return None
    header, claims = parts
    try:
        return Claimed(
            ids.decode(SigningKey.id_prefix, str(header.get("kid"))),
            ids.decode(App.id_prefix, str(claims.get("aud"))),
            ids.decode(CustomerSession.id_prefix, str(claims.get("sid"))),
        )
    except ids.MalformedId:
        return None


def current_signing_key(scope: Scope) -> SigningKey:
    """Return the key that the app signs with now: the newest that is active, made on first use."""
    require_change()
    moment = wall_clock()
    active = _live_keys(scope, moment).filter(activates_at__lte=moment)
    found = active.order_by("-activates_at", "-id").first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return _new_key(scope, moment)
    except IntegrityError:
        return SigningKey.objects.within(scope).get(retired_at__isnull=True)


def rotate_signing_key(scope: Scope, *, at_once: bool = False) -> SigningKey:
    """Make a new key pair and return it; what the app signs goes over to it without a token being refused.

    It is published now and signs six minutes later, when every verifier's copy of the key set has been
    renewed; the old one verifies for 16 minutes more. `at_once` is for a key that has leaked: the new one
    signs from now on, and everything that any older one signed is refused.
    """
    require_change()
    App.objects.within(scope).locked().get(pk=scope.app)
    moment = wall_clock()
    live = list(_live_keys(scope, moment).order_by("id"))
    activates_at = moment if at_once or not live else moment + PUBLISHED_AHEAD
    for key in live:
        if at_once or key.retired_at is None:
            key.retired_at = moment if at_once else activates_at + OVERLAP
            key.save(update_fields=["retired_at"])
    new = _new_key(scope, activates_at)
    detail = {"before": [key.public_id for key in live], "atOnce": at_once}
    audit(scope, "signing_key.rotated", new.public_id, detail=detail)
    return new


def public_keys(scope: Scope) -> list[dict[str, str]]:
    """Return the app's public keys as a JWK set's members (RFC 8037), newest first.

    A key that will sign within minutes is among them, and one that signs no more until its last token ends.
    """
    return [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": ALGORITHM,
            "use": "sig",
            "kid": key.public_id,
            "x": base64.urlsafe_b64encode(bytes(key.public)).decode().rstrip("="),
        }
        for key in _live_keys(scope, wall_clock()).order_by("-id")
    ]


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token that has been verified."""
    parts = _parts(token)
    if parts is None:
        raise TokenBackendError("Token is invalid")
    return parts[1]


def _live_keys(scope: Scope, moment: datetime) -> ScopedQuerySet[SigningKey]:
    return SigningKey.objects.within(scope).filter(Q(retired_at__isnull=True) | Q(retired_at__gt=moment))


def _new_key(scope: Scope, activates_at: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    row = SigningKey(
        **owned_by(scope),
        activates_at=activates_at,
        private=base64.b64encode(private.private_bytes_raw()).decode(),
        public=private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
    )
    row.save(force_insert=True)
    return row


def _parts(token: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return header and claims of a token whose three parts are spelt canonically, else None."""
    if not isinstance(token, str) or len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    pieces = token.split(".")
    if len(pieces) != PARTS:
        return None
    try:
        raw = [base64.b64decode(p + "=" * (-len(p) % 4), altchars=b"-_", validate=True) for p in pieces]
    except (binascii.Error, ValueError):
        return None
    if any(base64.urlsafe_b64encode(r).decode().rstrip("=") != p for r, p in zip(raw, pieces, strict=True)):
        return None
    try:
        header, claims = (json.loads(part, object_pairs_hook=_named_once) for part in raw[:2])
    except (ValueError, RecursionError):
        return None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object none of whose names comes twice, which parsers disagree about (RFC 7515, section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found
