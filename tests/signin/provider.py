"""A provider of accounts on loopback: OpenID Connect and GitHub's OAuth, with keys of its own, and as bad as it is told."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import warnings
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_ID, CLIENT_SECRET = "acme-at-the-provider", "s3cret/with+odd&signs"
ADA = {"sub": "ada-1815", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}


@dataclass
class Asked:
    """What a browser was sent to the provider with."""

    query: dict[str, str]
    claims: dict[str, Any]


@dataclass
class Provider:
    """Its state and its faults. Tests change what it says of people; `break_*` take one answer over."""

    person: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    key: Any = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    alg: str = "ES256"
    published: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    forge: Callable[[dict[str, Any]], str] | None = None
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    emails: list[dict[str, Any]] | None = None
    calls: list[str] = field(default_factory=list)
    secret: str = CLIENT_SECRET

    def __enter__(self) -> Self:
        """Start listening."""
        self._codes: dict[str, Asked] = {}
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let slow requests go."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def approve(self, url: str, **instead: Any) -> str:
        """Return where a browser is sent that presses Allow at an authorize URL; `instead` changes the answer."""
        asked = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = Asked(asked, dict(self.person))
        answer = {"code": code, "state": asked["state"], "iss": self.issuer, **instead}
        return f"{asked['redirect_uri']}?{urlencode({k: v for k, v in answer.items() if v is not None})}"

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "scopes_supported": ["openid", "email", "profile"],
            **self.metadata,
        }

    def keys(self) -> dict[str, Any]:
        shown = [self.key, *self.published]
        return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in shown]}

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Redeem a code as RFC 6749 and 7636 say: once, by its client, for its redirect URI and its verifier."""
        if not self._knows(form, authorization):
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if form["redirect_uri"] != asked.query["redirect_uri"] or challenge.decode() != asked.query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(asked)}

    def id_token(self, asked: Asked) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.query.get("nonce"),
            **asked.claims,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.forge is not None:
            return self.forge(claims)
        return signed(claims, self.key, self.alg)

    def _knows(self, form: dict[str, str], authorization: str) -> bool:
        given = (form.get("client_id"), form.get("client_secret"))
        if authorization.startswith("Basic "):
            decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            given = tuple(decoded.split(":", 1))
        return given == (CLIENT_ID, self.secret)

    def _answer(self, method: str, path: str, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        bearer = authorization == "Bearer at"
        if method == "POST":
            status, said = self.token(form, authorization)
            return (200, said | {"id_token": ""}) if path == "/github/token" else (status, said)
        routes: dict[str, Any] = {
            "/.well-known/openid-configuration": self.discovery,
            "/keys": self.keys,
            "/userinfo": lambda: (self.userinfo or self.person) if bearer else None,
            "/github/user": lambda: {"id": 1815, "login": "ada", "name": "Ada"} if bearer else None,
            "/github/emails": lambda: self.emails if bearer else None,
        }
        found = routes[path]() if path in routes else None
        return (404, {"message": "Not Found"}) if found is None else (200, found)

    def _handler(provider: Self) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # the handler has a self too
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.handle_call("GET", {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self.handle_call("POST", {name: values[0] for name, values in parse_qs(body).items()})

            def handle_call(self, method: str, form: dict[str, str]) -> None:
                path = urlsplit(self.path).path
                provider.calls.append(path)
                if path == "/authorize":
                    self.send_response(303)
                    self.send_header("Location", provider.approve(f"{provider.issuer}{self.path}"))
                    self.end_headers()
                    return
                status, said = provider._answer(method, path, form, self.headers.get("Authorization", ""))
                body = json.dumps(said).encode()
                status, body = provider.answers.get(path, (status, body))
                provider._closing.wait(provider.slow.get(path, 0))
                try:
                    self.send_response(status)
                    if status in {301, 302}:
                        self.send_header("Location", f"{provider.issuer}/elsewhere")
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler


def signed(claims: dict[str, Any], key: Any, alg: str, **header: Any) -> str:
    """Return an id token."""
    spoken = {"alg": alg, "kid": key.kid, **header}
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    return serialize_compact(spoken, json.dumps(claims).encode(), key, registry=registry)


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    """Return an id token that nobody signed."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': alg})}.{part(claims)}."


def secret_key(text: str | bytes) -> OctKey:
    """Return a key for HMAC."""
    return OctKey.import_key(text)


def short_rsa_key() -> RSAKey:
    """Return a key that is too short to count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(1024, auto_kid=True)
