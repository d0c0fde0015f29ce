"""OAuth 2.0 and OpenID Connect with a provider: where to send somebody, and who came back.

Authlib speaks OAuth and joserfc opens the tokens; what is trusted is decided here. Nothing of it touches the
database, so it is called between transactions.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from rest_framework import serializers

from accounts.services.social_wire import Wire, json_object, judged, wants_https
from accounts.social_errors import AnswerInvalid, ProviderRefused, ProviderUnavailable
from accounts.social_models import GITHUB
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import equal
from stackbe.kernel.serializers import Email

GOOGLE_ISSUER = "https://accounts.google.com"
GITHUB_ISSUER = "https://github.com/login/oauth"
WELL_KNOWN = "/.well-known/openid-configuration"
# Signatures alone: `none` and HMAC, which the client's own secret could forge, are not on the list.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEY_TYPES: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
LEAST_RSA_BITS = 2048
LEEWAY_SECONDS = 60
LONGEST_SUBJECT = 255
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider listens. `names_itself`: its answers carry `iss` (RFC 9207)."""

    authorize: str
    token: str
    keys: str = ""
    userinfo: str = ""
    emails: str = ""
    auth_method: str = "client_secret_basic"
    names_itself: bool = False


GITHUB_ENDPOINTS = Endpoints(
    authorize="https://github.com/login/oauth/authorize",
    token="https://github.com/login/oauth/access_token",  # noqa: S106  # an address
    userinfo="https://api.github.com/user",
    emails="https://api.github.com/user/emails",
    auth_method="client_secret_post",
)


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """An app at a provider, as it is carried out of the transaction that read it. It has no repr."""

    slug: str
    name: str
    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    environment: str
    redirect_uri: str

    def wire(self) -> Wire:
        """Return a line to the provider for one exchange."""
        return Wire(live=wants_https(self.environment))


@dataclass(frozen=True, slots=True, repr=False)
class Checks:
    """What an answer must fit: the nonce in the token, and the verifier of the challenge that was sent."""

    nonce: str
    verifier: str

    @classmethod
    def drawn(cls) -> Checks:
        """Return fresh ones."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Who a provider says somebody is. `email` is there only if the provider vouches for it."""

    issuer: str
    subject: str
    email: str | None
    name: str | None


def endpoints_of(client: Client, wire: Wire) -> Endpoints:
    """Return where the provider listens: GitHub's addresses are known, others' are in their own document."""
    if client.slug == GITHUB:
        return GITHUB_ENDPOINTS
    document = wire.document(client.issuer.rstrip("/") + WELL_KNOWN)
    if document.get("issuer") != client.issuer:
        said = str(document.get("issuer"))[:200]
        raise ProviderUnavailable(f"The provider calls itself {said}; the issuer must be that, letter by letter.")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Endpoints(
        authorize=judged(document.get("authorization_endpoint"), live=wire.live),
        token=judged(document.get("token_endpoint"), live=wire.live),
        keys=judged(document.get("jwks_uri"), live=wire.live),
        userinfo=str(document.get("userinfo_endpoint") or ""),
        auth_method="client_secret_post" if "client_secret_post" in methods else "client_secret_basic",
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def address_of(client: Client, checks: Checks, state: str) -> str:
    """Return where to send the browser, or raise `ProviderUnavailable`."""
    wire = client.wire()
    endpoints = endpoints_of(client, wire)
    extra = {} if client.slug == GITHUB else {"nonce": checks.nonce}
    url, _ = _oauth(client, endpoints, wire).create_authorization_url(
        endpoints.authorize, state=state, code_verifier=checks.verifier, **extra
    )
    return str(url)


def identify(client: Client, checks: Checks, *, code: str, iss: str | None) -> Person:
    """Exchange the code that came back and return who it stands for.

    Raises one of the `NotSignedIn` that are the provider's or the configuration's. `iss` is what the answer
    called itself: one that names another provider was meant for that one (mix-up, RFC 9207).
    """
    wire = client.wire()
    endpoints = endpoints_of(client, wire)
    if (iss is None and endpoints.names_itself) or iss not in {None, client.issuer}:
        raise AnswerInvalid("The answer came from another provider than the one that was asked.")
    token = exchange(client, endpoints, wire, code, checks.verifier)
    if client.slug == GITHUB:
        return _github_person(client, endpoints, wire, token)
    return _openid_person(client, endpoints, wire, token, checks.nonce)


def exchange(client: Client, endpoints: Endpoints, wire: Wire, code: str, verifier: str) -> dict[str, Any]:
    """Return what the token endpoint gives for a code; raises `ProviderRefused` with the error that it names."""
    try:
        found = _oauth(client, endpoints, wire).fetch_token(endpoints.token, code=code, code_verifier=verifier)
    except OAuth2Error as refused:
        raise ProviderRefused(f"The token endpoint answered {str(refused.error)[:80]}.") from None
    except ValueError:
        raise ProviderUnavailable("The token endpoint did not answer with a JSON object.") from None
    return dict(found)


def key_set(wire: Wire, url: str, *, fresh: bool = False) -> KeySet:
    """Return the keys that may verify a token: public ones, of a kind and size that count."""
    listed = wire.document(url, fresh=fresh).get("keys")
    keys: list[Key] = []
    for entry in listed if isinstance(listed, list) else []:
        kind = KEY_TYPES.get(str(entry.get("kty"))) if isinstance(entry, dict) else None
        if kind is None or entry.get("use") not in {None, "sig"} or _too_weak(entry):
            continue
        try:
            keys.append(kind.import_key({name: value for name, value in entry.items() if name != "d"}))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(keys)


def _oauth(client: Client, endpoints: Endpoints, wire: Wire) -> OAuth2Client:
    return OAuth2Client(
        wire,
        client_id=client.client_id,
        client_secret=client.client_secret,
        token_endpoint_auth_method=endpoints.auth_method,
        scope=" ".join(client.scopes),
        redirect_uri=client.redirect_uri,
        code_challenge_method="S256",
    )


def _openid_person(client: Client, endpoints: Endpoints, wire: Wire, token: dict[str, Any], nonce: str) -> Person:
    claims = _claims(client, endpoints, wire, token, nonce)
    subject = claims["sub"]
    if not subject.isascii() or not subject.isprintable() or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise AnswerInvalid("The id token names no subject.")
    if "email" not in claims and endpoints.userinfo and isinstance(token.get("access_token"), str):
        told = _userinfo(wire, endpoints.userinfo, token["access_token"])
        if told.get("sub") != subject:
            raise AnswerInvalid("The userinfo endpoint speaks of somebody else than the id token.")
        claims = {**told, **claims}
    # Literally true: a provider that says "true", 1 or nothing vouches for nothing.
    vouched = claims.get("email_verified") is True
    return Person(client.issuer, subject, _email(claims.get("email")) if vouched else None, _name(claims.get("name")))


def _claims(client: Client, endpoints: Endpoints, wire: Wire, token: dict[str, Any], nonce: str) -> dict[str, Any]:
    text = token.get("id_token")
    if not isinstance(text, str):
        raise AnswerInvalid("The token endpoint sent no id token. Is `openid` among the scopes?")
    opened = _opened(text, key_set(wire, endpoints.keys)) or _opened(text, key_set(wire, endpoints.keys, fresh=True))
    if opened is None:
        raise AnswerInvalid("The id token is not signed by a key of the provider, or not in a way that counts.")
    expected = {
        "iss": {"essential": True, "value": client.issuer},
        "aud": {"essential": True, "value": client.client_id},
    }
    asked = {"client_id": client.client_id, "access_token": token.get("access_token")}
    claims = CodeIDToken(opened.claims, opened.header, expected, asked)
    try:
        claims.validate(now=int(wall_clock().timestamp()), leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError) as wrong:
        raise AnswerInvalid(f"The id token does not hold up: {str(wrong)[:160]}") from None
    if not equal(str(claims.get("nonce")).encode(errors="replace"), nonce.encode()):
        raise AnswerInvalid("The id token was made for another sign-in (nonce).")
    return dict(claims)


def _opened(text: str, keys: KeySet) -> jwt.Token | None:
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    try:
        return jwt.decode(text, keys, registry=registry)
    except (JoseError, ValueError, TypeError, RecursionError):
        return None


def _userinfo(wire: Wire, url: str, access_token: str) -> dict[str, Any]:
    judged(url, live=wire.live)
    return json_object(wire.get(url, {"Authorization": f"Bearer {access_token}"}), url)


def _github_person(client: Client, endpoints: Endpoints, wire: Wire, token: dict[str, Any]) -> Person:
    """Ask GitHub's API who the token is for: GitHub speaks OAuth 2.0 and gives no id token."""
    access_token = token.get("access_token")
    if not isinstance(access_token, str):
        raise AnswerInvalid("GitHub sent no access token.")
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/vnd.github+json"}
    user = json_object(wire.get(endpoints.userinfo, headers), endpoints.userinfo)
    number = user.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise AnswerInvalid("GitHub named no user.")
    reply = wire.get(endpoints.emails, headers)
    try:
        listed = reply.json() if reply.status_code == 200 else []  # noqa: PLR2004  # without the scope it is 404
    except ValueError:
        listed = []
    vouched = [
        entry.get("email")
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and entry.get("primary") is True and entry.get("verified") is True
    ]
    return Person(client.issuer, str(number), _email(vouched[0]) if vouched else None, _name(user.get("name")))


def _too_weak(entry: dict[str, Any]) -> bool:
    """Say whether an RSA key is shorter than what NIST SP 800-131A allows."""
    if entry.get("kty") != "RSA":
        return False
    try:
        modulus = base64.urlsafe_b64decode(str(entry.get("n")) + "==").lstrip(b"\0")
    except ValueError:
        return True
    return int.from_bytes(modulus).bit_length() < LEAST_RSA_BITS


def _email(text: Any) -> str | None:
    """Return an address as the API would take it, None for anything else."""
    try:
        return str(Email().run_validation(text))
    except serializers.ValidationError:
        return None


def _name(text: Any) -> str | None:
    name = text.strip() if isinstance(text, str) else ""
    return name if name and name.isprintable() and len(name) <= LONGEST_NAME else None
