"""What does not sign anybody in: answers of another provider, person, browser or time, and providers that misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta

import pytest
from joserfc.jwk import ECKey, RSAKey

from accounts.services import social_protocol, social_wire
from accounts.services.social_identities import connect
from accounts.services.social_protocol import Person
from accounts.social_errors import TakenBySomebody
from accounts.social_models import CustomerIdentity, SocialAttempt
from stackbe.kernel.transactions import change, reading
from tests.cast import LOCAL_CALLBACK
from tests.signin.conftest import Social, words
from tests.signin.people import Browser, from_now
from tests.signin.provider import ADA, CLIENT_ID, CLIENT_SECRET, Provider, secret_key, short_rsa_key, signed, unsigned

pytestmark = pytest.mark.django_db
INVALID = f"{LOCAL_CALLBACK}?error=provider_answer_invalid"


def assert_nobody(social: Social, response, says: str = "") -> None:
    """Assert that nobody was signed in, made or connected."""
    assert response.status_code in {400, 410}, response.content
    assert "token=" not in response.content.decode()
    assert says in words(response)
    assert social.customers() == []
    with reading(social.company.scope):
        assert not CustomerIdentity.objects.within(social.company.scope).exists()


def test_a_state_works_once(social):
    browser = Browser()
    url = social.provider.approve(social.sent(browser))
    social.signed_in(social.back(browser, url))

    again = social.back(browser, url)

    assert again.status_code == 410
    assert "was finished already" in words(again)
    assert social.provider.calls.count("/token") == 1


def test_a_state_of_another_browser_signs_nobody_in_and_stays_good_for_its_own(social):
    own, other = Browser(), Browser()
    url = social.provider.approve(social.sent(own))
    social.sent(other)

    for stranger in (other, Browser()):
        assert_nobody(social, social.back(stranger, url), "begun in another browser")

    assert social.provider.calls.count("/token") == 0
    social.signed_in(social.back(own, url))


def test_a_state_is_good_for_ten_minutes(social, monkeypatch):
    browser = Browser()
    url = social.provider.approve(social.sent(browser))
    with change(social.company.scope):
        rows = SocialAttempt.objects.within(social.company.scope)
        rows.update(expires_at=rows.get().created_at)

    assert_nobody(social, social.back(browser, url), "took longer than ten minutes")


@pytest.mark.parametrize("state", [None, "", "x", "sbs_forged", "\x00", "é"], ids=repr)
def test_a_forged_state_signs_nobody_in(social, state):
    browser = Browser()
    url = social.provider.approve(social.sent(browser), state=state)

    assert_nobody(social, social.back(browser, url))


def test_a_parameter_that_comes_twice_is_not_chosen_from(social):
    browser = Browser()
    url = social.provider.approve(social.sent(browser))

    assert_nobody(social, social.back(browser, f"{url}&code=another"))


def test_a_state_of_one_provider_or_app_is_none_at_another(social, globex):
    social.put("other", issuer=social.provider.issuer)
    browser = Browser()
    url = social.provider.approve(social.sent(browser))

    assert_nobody(social, social.back(browser, url.replace("/sso?", "/other?")))
    theirs = social.provider.approve(social.sent(browser)).replace(social.company.app, globex.app)
    assert_nobody(social, social.back(browser, theirs))


@pytest.mark.parametrize("iss", ["https://evil.example", "", "http://127.0.0.1:1"], ids=repr)
def test_an_answer_that_names_another_issuer_is_never_redeemed(social, iss):
    browser = Browser()
    url = social.provider.approve(social.sent(browser), iss=iss)

    assert_nobody(social, social.back(browser, url))
    assert social.provider.calls.count("/token") == 0


def test_a_provider_that_names_itself_must_do_so(social):
    social.provider.metadata = {"authorization_response_iss_parameter_supported": True}
    browser = Browser()
    url = social.provider.approve(social.sent(browser), iss=None)

    assert_nobody(social, social.back(browser, url))
    social.signed_in(social.go())


def test_without_that_promise_an_answer_need_not_name_anybody(social):
    browser = Browser()

    social.signed_in(social.back(browser, social.provider.approve(social.sent(browser), iss=None)))


OTHER = ECKey.generate_key("P-256", auto_kid=True)
CLAIMS = {
    "another audience": {"aud": "somebody-else"},
    "no audience": {"aud": None},
    "two audiences and no party": {"aud": [CLIENT_ID, "somebody-else"]},
    "another party": {"azp": "somebody-else"},
    "another issuer": {"iss": "https://accounts.google.com"},
    "no issuer": {"iss": None},
    "another nonce": {"nonce": "x" * 43},
    "no nonce": {"nonce": None},
    "an odd nonce": {"nonce": "\ud800"},
    "expired": {"exp": timedelta(seconds=-61)},
    "no end": {"exp": None},
    "from the future": {"iat": timedelta(hours=1)},
    "not yet": {"nbf": timedelta(hours=1)},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is a number": {"sub": 1815},
    "a subject beyond ASCII": {"sub": "ad\ud800a"},
    "a subject without end": {"sub": "a" * 256},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_claims_that_do_not_fit_sign_nobody_in(social, claims):
    social.provider.claims = from_now(claims)

    response = social.go()

    assert_nobody(social, response, "could not be trusted")
    assert INVALID in response.content.decode()
    assert social.problem()


def test_a_minute_of_skew_is_forgiven(social):
    social.provider.claims = from_now({"exp": timedelta(seconds=-20), "iat": timedelta(seconds=20)})

    social.signed_in(social.go())


def public_pem(provider: Provider) -> bytes:
    return provider.key.as_pem(private=False)


def hmac_with_public_key(provider: Provider, claims: dict) -> str:
    """Return what fools verifiers that let the token choose between a key pair and a secret."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head = part(json.dumps({"alg": "HS256", "kid": provider.key.kid}).encode())
    body = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{body}.{part(hmac.digest(public_pem(provider), body.encode(), hashlib.sha256))}"


FORGED = {
    "alg none": lambda p, c: unsigned(c),
    "alg None": lambda p, c: unsigned(c, "None"),
    "alg nOnE": lambda p, c: unsigned(c, "nOnE"),
    "HS256 with the client's secret": lambda p, c: signed(c, secret_key(CLIENT_SECRET * 2), "HS256", kid=p.key.kid),
    "HS256 with the public key": hmac_with_public_key,
    "another key with the same name": lambda p, c: signed(c, OTHER, "ES256", kid=p.key.kid),
    "another key": lambda p, c: signed(c, OTHER, "ES256"),
    "a key that it brings along": lambda p, c: signed(c, OTHER, "ES256", jwk=OTHER.as_dict(private=False)),
    "a key set that it names": lambda p, c: signed(c, OTHER, "ES256", jku=f"{p.issuer}/evil"),
    "no JWT": lambda p, c: "nonsense",
    "a body that is no object": lambda p, c: signed(c, p.key, "ES256").split(".")[0] + ".W10.AAAA",
    "nothing": lambda p, c: "",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(social, forge):
    social.provider.forge = lambda claims: forge(social.provider, claims)

    assert_nobody(social, social.go(), "could not be trusted")


def test_rsa_signs_too_but_not_with_a_key_that_is_too_short(social):
    social.provider.key, social.provider.alg = RSAKey.generate_key(2048, auto_kid=True), "RS256"
    social.signed_in(social.go())
    social_wire.forget_documents()
    social.provider.key = short_rsa_key()
    social.provider.forge = lambda claims: unsigned(claims, "RS256")

    assert social.go().status_code == 400


def test_a_secret_among_the_keys_is_no_key(social):
    octets = secret_key(CLIENT_SECRET * 2)
    social.provider.answers["/keys"] = (200, json.dumps({"keys": [{**octets.as_dict(), "kid": "o"}]}).encode())
    social.provider.forge = lambda claims: signed(claims, octets, "HS256", kid="o")

    assert_nobody(social, social.go())


def test_a_new_key_is_looked_up_at_once_and_a_withdrawn_one_ends(social):
    social.signed_in(social.go())
    old, social.provider.key = social.provider.key, OTHER

    social.signed_in(social.go())

    assert social.provider.calls.count("/keys") == 2
    social.provider.key = old
    social.provider.answers["/keys"] = (200, json.dumps({"keys": [OTHER.as_dict(private=False)]}).encode())
    assert social.go().status_code == 400


def test_a_document_that_calls_itself_otherwise_is_not_believed(social):
    social.provider.metadata = {"issuer": "https://accounts.google.com"}

    response = social.start(Browser())

    assert response.status_code == 503
    assert "could not be reached" in words(response)
    assert "letter by letter" in social.problem()


def test_userinfo_of_somebody_else_is_not_taken(social):
    social.provider.person = {"sub": ADA["sub"]}
    social.provider.userinfo = ADA | {"sub": "mallory"}

    assert_nobody(social, social.go())


def test_a_provider_that_is_pointed_elsewhere_knows_nobody_of_the_first(social):
    ada = social.signed_in(social.go())["customerId"]
    with Provider(person={"sub": ADA["sub"], "email": "mallory@example.com", "email_verified": True}) as evil:
        assert social.put(issuer=evil.issuer).status_code == 200
        browser = Browser()
        mallory = social.signed_in(social.back(browser, evil.approve(social.sent(browser))))

    assert mallory["customerId"] != ada


PATHS = ("/.well-known/openid-configuration", "/keys", "/token")
BROKEN = {
    "an error": (500, b"{}"),
    "a redirect": (302, b""),
    "no JSON": (200, b"<html>"),
    "a list": (200, b"[]"),
    "nothing": (200, b""),
    "too much": (200, b'{"a": "' + b"x" * 300_000 + b'"}'),
    "too deep": (200, b"[" * 100_000),
    "odd values": (200, b'{"issuer": 1, "keys": 7, "access_token": [], "id_token": {}}'),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("path", PATHS)
def test_a_provider_that_misbehaves_is_a_page_that_says_so(social, path, answer):
    social.provider.answers[path] = answer
    browser = Browser()
    response = social.start(browser)
    if response.status_code == 303:
        response = social.back(browser, social.provider.approve(response["Location"]))

    assert response.status_code in {400, 503}
    assert "You are not signed in" in words(response)
    assert social.problem()
    assert social.customers() == []


@pytest.mark.parametrize("path", PATHS)
def test_a_slow_provider_is_not_waited_for(social, path, monkeypatch):
    monkeypatch.setattr(social_wire, "SECONDS", 0.3)
    social.provider.slow[path] = 30
    browser = Browser()
    began = time.monotonic()
    response = social.start(browser)
    if response.status_code == 303:
        response = social.back(browser, social.provider.approve(response["Location"]))

    assert time.monotonic() - began < 5
    assert "could not be reached" in words(response)


def test_a_provider_that_is_gone_is_not_found_twice_at_once(social):
    social.provider.__exit__()

    response = social.start(Browser())

    assert response.status_code == 503
    assert "Try again" in words(response)
    assert social.problem()


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "invalid_scope", "x" * 500, "\x00"])
def test_an_error_that_the_provider_answers_goes_back_to_the_app(social, error):
    browser = Browser()
    url = social.provider.approve(social.sent(browser), code=None, error=error)

    response = social.back(browser, url)

    assert response.status_code == 400
    assert f"{LOCAL_CALLBACK}?error=provider_" in response.content.decode()
    assert social.problem()


def test_a_wrong_secret_is_told_to_the_developers_and_not_to_the_customer(social):
    social.provider.secret = "another"

    response = social.go()

    assert "did not accept the sign-in" in words(response)
    assert "invalid_client" not in words(response)
    assert "invalid_client" in social.problem()


def test_the_next_sign_in_that_works_takes_the_problem_away(social):
    social.provider.secret = "another"
    social.go()
    social.provider.secret = CLIENT_SECRET

    social.signed_in(social.go())

    assert social.problem() == ""


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "file:///etc/passwd", "javascript:alert(1)", None, 7], ids=repr
)
def test_a_document_leads_nowhere_that_we_may_not_go(social, name, url):
    social.provider.metadata = {name: url}

    assert social.start(Browser()).status_code == 503


def test_our_own_network_is_out_of_reach_of_issuers(social, settings):
    settings.ALLOW_LOCAL_WEBHOOKS = False
    before = len(social.provider.calls)

    assert social.start(Browser()).status_code == 503
    assert len(social.provider.calls) == before
    for issuer in (
        social.provider.issuer,
        "https://127.0.0.1",
        "https://metadata.google.internal",
        "http://example.com",
    ):
        assert social.put("inner", issuer=issuer).status_code == 400


def test_one_clients_secret_never_reaches_another_provider(social):
    """Authlib writes credentials into the headers that it is given, and gives its own."""
    from authlib.oauth2.client import DEFAULT_HEADERS  # noqa: PLC0415  # what must stay as it is

    social.provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}
    social.signed_in(social.go())

    assert "Authorization" not in DEFAULT_HEADERS


def test_two_customers_are_never_behind_one_account(social):
    ada = social.signed_in(social.go())
    bob = social.backend.post("/customers", {"email": "bob@example.com"}).json()
    with change(social.company.scope):
        from accounts.services.customers import find_customer  # noqa: PLC0415  # a race that lost

        customer = find_customer(social.company.scope, public_id=bob["id"])
        with pytest.raises(TakenBySomebody):
            connect(social.company.scope, customer, "sso", Person(social.provider.issuer, ADA["sub"], None, None))

    assert len(social.identities(ada["customerId"])) == 1
    assert social.identities(bob["id"]) == []


def test_starts_and_returns_are_limited_by_address(social, settings):
    settings.RATELIMIT_ENABLE = True
    browser = Browser("203.0.113.9")
    statuses = [
        browser.get(f"/auth/social/start?app={social.company.app}&provider=none").status_code for _ in range(31)
    ]

    assert statuses[:30] == [404] * 30
    assert statuses[30] in {403, 429}


def test_no_transaction_is_open_while_the_network_is_asked(social, monkeypatch):
    asked = []
    real = social_protocol.exchange

    def exchange(*given):
        from stackbe.kernel.transactions import in_transaction  # noqa: PLC0415  # to look

        asked.append(in_transaction())
        return real(*given)

    monkeypatch.setattr(social_protocol, "exchange", exchange)
    social.signed_in(social.go())

    assert asked == [False]
