"""Every forged, re-encoded or misdirected session token is refused (security check 11)."""

from __future__ import annotations

import base64
import hmac
import json
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from accounts.models import SigningKey
from accounts.services.tokens import _parts
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.signin.people import from_now

pytestmark = pytest.mark.django_db


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def own_key(company) -> tuple[str, ed25519.Ed25519PrivateKey]:
    with reading(company.scope):
        row = SigningKey.objects.within(company.scope).get(retired_at__isnull=True)
        return row.public_id, ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(row.private))


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def status_of(front, token: str) -> int:
    return front.session(token).status_code


@pytest.fixture
def token(front) -> str:
    return front.sign_in()["sessionToken"]


def test_the_token_itself_is_good(front, token):
    assert status_of(front, token) == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_alg_none_is_refused(front, token, algorithm):
    kid = jwt.get_unverified_header(token)["kid"]
    unsigned = f"{b64({'alg': algorithm, 'typ': 'JWT', 'kid': kid})}.{token.split('.')[1]}."

    assert status_of(front, unsigned) == 401
    assert status_of(front, unsigned + "AA") == 401


@pytest.mark.parametrize("form", [PublicFormat.Raw, PublicFormat.SubjectPublicKeyInfo, "x"])
def test_the_public_key_as_an_hmac_secret_is_refused(front, acme, token, form):
    kid, private = own_key(acme)
    public = private.public_key()
    if form == "x":
        secret = b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).encode()
    else:
        secret = public.public_bytes(Encoding.Raw if form == PublicFormat.Raw else Encoding.DER, form)
    for algorithm in ("HS256", "HS384", "HS512"):
        header, claims = {"alg": algorithm, "typ": "JWT", "kid": kid}, claims_of(token)
        digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[algorithm]
        signed = f"{b64(header)}.{b64(claims)}"
        signature = hmac.digest(secret, signed.encode(), digest)
        assert status_of(front, f"{signed}.{b64(signature)}") == 401


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_token_signed_by_another_key_is_refused(front, token, algorithm):
    keys = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    kid = jwt.get_unverified_header(token)["kid"]

    assert status_of(front, jwt.encode(claims_of(token), keys[algorithm], algorithm, {"kid": kid})) == 401


@pytest.mark.parametrize("extra", ["jwk", "jku", "x5u", "x5c", "crit", "b64"])
def test_a_header_that_brings_its_own_key_is_refused_even_when_rightly_signed(front, acme, token, extra):
    kid, private = own_key(acme)
    mallory = ed25519.Ed25519PrivateKey.generate()
    x = b64(mallory.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    values = {
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x},
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert",
        "x5c": ["AAAA"],
        "crit": ["exp"],
        "b64": True,
    }
    header = {"alg": "EdDSA", "typ": "JWT", "kid": kid, extra: values[extra]}
    signed = f"{b64(header)}.{b64(claims_of(token))}"

    for key in (mallory, private):
        assert status_of(front, f"{signed}.{b64(key.sign(signed.encode()))}") == 401


def rightly_signed(acme, token: str, **changes: object) -> str:
    """Sign other claims: `...` leaves one out, a `timedelta` is that far from now."""
    kid, private = own_key(acme)
    claims = from_now({k: v for k, v in (claims_of(token) | changes).items() if v is not Ellipsis})
    return jwt.encode(claims, private, "EdDSA", {"kid": kid})


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "app_00000000000000000000000000"},
        {"aud": ...},
        {"iss": "https://evil.example"},
        {"iss": ...},
        {"exp": ...},
        {"exp": timedelta(seconds=-1)},
        {"sub": ...},
        {"sid": ...},
        {"sid": "sess_00000000000000000000000000"},
        {"sid": ["x"]},
        {"token_type": "refresh"},
        {"token_type": ...},
        {"jti": ...},
        {"nbf": timedelta(minutes=10)},
        {"iat": timedelta(minutes=10)},
    ],
    ids="-".join,
)
def test_wrong_claims_are_refused_even_when_rightly_signed(front, acme, token, changes):
    assert status_of(front, rightly_signed(acme, token)) == 200
    assert status_of(front, rightly_signed(acme, token, **changes)) == 401


def test_an_expired_token_says_so_to_the_second(front, acme, token):
    late = front.session(rightly_signed(acme, token, exp=int(time.time())))

    assert late.status_code == 401
    assert late.json()["code"] == "SESSION_EXPIRED"


def test_no_other_spelling_of_a_good_token_passes(front, token):
    header, claims, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes of signature leave four bits of the last character unused.
    neighbour = last[last.index(signature[-1]) ^ 1]
    spellings = [
        f"{token}=",
        f"{token}==",
        f"{header}=.{claims}.{signature}",
        f"{header}.{claims}=.{signature}",
        f"{header}.{claims}.{signature[:-1]}{neighbour}",
        f"{header}.{claims}.{signature}.",
        f".{token}",
        f"{header}.{claims}.{signature}\n",
        f"{header}. {claims}.{signature}",
        f"{header}.{claims}.{signature[:40]}\t{signature[40:]}",
        f"{header}.{claims}",
        f"{header}.{claims}.",
        f"{header}..{signature}",
    ]

    for spelling in spellings:
        assert _parts(spelling) is None or status_of(front, spelling) == 401, spelling
        if not any(c in spelling for c in "\n\t "):
            assert status_of(front, spelling) == 401, spelling


@pytest.mark.parametrize(
    "junk", ["", ".", "..", "a.b.c", "eyJ9.e30.AA", "[" * 3000, "é.é.é", f"{b64([1])}.{b64([1])}.AA"]
)
def test_junk_is_refused_and_never_crashes(front, junk):
    assert _parts(junk) is None
    if junk.isascii():
        assert status_of(front, junk) == 401


def test_deeply_nested_json_is_refused(front):
    deep = b64(("[" * 2000 + "]" * 2000).encode())

    assert status_of(front, f"{deep}.{deep}.AA") == 401


def test_a_key_of_one_app_never_verifies_for_another(front, rival, acme, globex, token):
    theirs = rival.sign_in()["sessionToken"]
    kid, private = own_key(acme)

    for key_id in (kid, jwt.get_unverified_header(theirs)["kid"]):
        assert status_of(rival, jwt.encode(claims_of(theirs), private, "EdDSA", {"kid": key_id})) == 401
    mixed = claims_of(theirs) | {"aud": acme.app}
    assert status_of(front, jwt.encode(mixed, private, "EdDSA", {"kid": kid})) == 401


def test_refresh_tokens_and_codes_are_no_access_tokens(front):
    answer = front.sign_in()

    assert status_of(front, answer["refreshToken"]) == 401
    assert status_of(front, front.link()) == 401


def test_forged_tokens_are_limited_by_address(front, settings):
    settings.FAILED_CREDENTIALS_PER_MINUTE = 5
    statuses = [Api(f"eyJhbGciOiJub25lIn0.e30.{n}").get(f"{front.auth}/session").status_code for n in range(8)]

    assert statuses == [401] * 5 + [429] * 3


def test_an_expired_token_of_ours_is_no_forgery(front, acme, token, settings):
    settings.FAILED_CREDENTIALS_PER_MINUTE = 2
    late = rightly_signed(acme, token, exp=int(time.time()) - 5)

    assert [status_of(front, late) for _ in range(5)] == [401] * 5


def test_a_session_may_call_a_hundred_times_a_minute(front, token):
    answer = front.session(token)

    assert answer.headers["X-RateLimit-Limit"] == "100"


KEY_IDS = [
    None,
    "",
    0,
    ["kid"],
    {"kid": "kid"},
    "../../../../dev/null",
    "/proc/self/environ",
    "' or '1'='1",
    "x'; drop table accounts_signingkey; --",
    "https://evil.example/key",
    "kid_00000000000000000000000000",
    "kid_" + "z" * 26,
    "\u0000",
]


@pytest.mark.parametrize("named", KEY_IDS, ids=repr)
def test_a_key_id_names_a_row_or_nothing(front, acme, token, named):
    _, private = own_key(acme)
    header = {"alg": "EdDSA", "typ": "JWT", "kid": named}
    for key in (private, ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))):
        signed = f"{b64(header)}.{b64(claims_of(token))}"
        assert status_of(front, f"{signed}.{b64(key.sign(signed.encode()))}") == 401
    nameless = f"{b64({'alg': 'EdDSA', 'typ': 'JWT'})}.{b64(claims_of(token))}"
    assert status_of(front, f"{nameless}.{b64(private.sign(nameless.encode()))}") == 401


@pytest.mark.parametrize("respell", [str.upper, lambda kid: f" {kid}", lambda kid: f"{kid} ", lambda kid: kid[4:]])
def test_a_key_has_one_name(front, acme, token, respell):
    kid, private = own_key(acme)

    assert status_of(front, jwt.encode(claims_of(token), private, "EdDSA", {"kid": respell(kid)})) == 401


def test_a_key_named_twice_is_refused(front, acme, token):
    """RFC 7515, section 4: parsers that take the first and parsers that take the last disagree."""
    kid, private = own_key(acme)
    twice = f'{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","kid":"{kid}"}}'
    signed = f"{b64(twice.encode())}.{b64(claims_of(token))}"

    assert status_of(front, f"{signed}.{b64(private.sign(signed.encode()))}") == 401


def test_a_session_of_another_customer_is_not_reached_by_its_id(front, acme, token):
    """`sid` and `sub` must belong together, or a leaked key would be the least of it."""
    other = claims_of(front.sign_in("bob@example.com")["sessionToken"])

    assert status_of(front, rightly_signed(acme, token, sid=other["sid"])) == 401
