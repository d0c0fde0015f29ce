"""Where an app lets its customers sign in: configured over the API, and tried out."""

from __future__ import annotations

import pytest

from accounts.social_models import SocialProvider
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.signin.people import Browser
from tests.signin.provider import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.django_db
GOOGLE = {"clientId": "acme.apps.googleusercontent.com", "clientSecret": "GOCSPX-of-acme"}


@pytest.fixture
def path(acme):
    return f"/apps/{acme.app}/auth/providers"


def test_google_takes_an_id_and_a_secret_and_shows_no_secret(acme, acme_api, path):
    response = acme_api.put(f"{path}/google", GOOGLE)

    assert response.status_code == 201
    shown = response.json()
    assert (shown["provider"], shown["name"], shown["issuer"]) == ("google", "Google", "https://accounts.google.com")
    assert shown["redirectUri"] == f"http://localhost:8000/auth/social/callback/{acme.app}/google"
    assert shown["scopes"] == ["openid", "email", "profile"]
    assert (shown["enabled"], shown["lastProblem"]) == (True, None)
    again = acme_api.get(f"{path}/google")
    assert again.json() == shown
    assert acme_api.get(path).json()["data"] == [shown]
    for answer in (response, again, acme_api.get(path)):
        assert GOOGLE["clientSecret"] not in answer.content.decode()
    with reading(acme.scope):
        row = SocialProvider.objects.within(acme.scope).get()
        assert GOOGLE["clientSecret"].encode() not in bytes(row.__dict__["client_secret"])
        assert row.client_secret == GOOGLE["clientSecret"]


def test_github_has_scopes_of_its_own(acme_api, path):
    shown = acme_api.put(f"{path}/github", GOOGLE).json()

    assert (shown["name"], shown["scopes"]) == ("GitHub", ["read:user", "user:email"])


def test_the_secret_may_be_left_out_where_nothing_moves(acme_api, path):
    first = acme_api.put(f"{path}/google", GOOGLE).json()

    second = acme_api.put(f"{path}/google", {"clientId": GOOGLE["clientId"], "enabled": False})

    assert second.status_code == 200
    assert second.json()["clientSecretSetAt"] == first["clientSecretSetAt"]
    assert second.json()["enabled"] is False


@pytest.mark.parametrize("moved", [{"issuer": "https://evil.example"}, {"clientId": "another"}], ids=str)
def test_a_secret_is_never_sent_to_where_it_was_not_given_for(acme_api, path, moved):
    own = {"clientId": "acme", "clientSecret": "of-acme", "issuer": "https://login.example.com"}
    acme_api.put(f"{path}/sso", own)
    without = {name: value for name, value in own.items() if name != "clientSecret"}

    response = acme_api.put(f"{path}/sso", without | moved)

    assert response.status_code == 400
    assert list(response.json()["fields"]) == ["clientSecret"]
    assert acme_api.get(f"{path}/sso").json()["issuer"] == own["issuer"]


@pytest.mark.parametrize(
    ("slug", "body", "field"),
    [
        ("google", {"clientId": "x"}, "clientSecret"),
        ("google", {"clientSecret": "x"}, "clientId"),
        ("google", GOOGLE | {"issuer": "https://evil.example"}, "issuer"),
        ("google", GOOGLE | {"scopes": ["email"]}, "scopes"),
        ("google", GOOGLE | {"scopes": ["open id"]}, "scopes"),
        ("google", GOOGLE | {"clientSecret": "with a space"}, "clientSecret"),
        ("google", GOOGLE | {"enabled": "yes"}, "enabled"),
        ("google", GOOGLE | {"secret": "x"}, "secret"),
        ("github", GOOGLE | {"scopes": ["repo"]}, "scopes"),
        ("sso", GOOGLE, "issuer"),
        ("sso", GOOGLE | {"issuer": "https://login.example.com?x=1"}, "issuer"),
        ("sso", GOOGLE | {"issuer": "https://login.example.com#x"}, "issuer"),
        ("sso", GOOGLE | {"issuer": "https://user@login.example.com"}, "issuer"),
        ("sso", GOOGLE | {"issuer": "https://169.254.169.254"}, "issuer"),
        ("sso", GOOGLE | {"issuer": "login.example.com"}, "issuer"),
        ("SSO", GOOGLE | {"issuer": "https://login.example.com"}, "provider"),
        ("s", GOOGLE | {"issuer": "https://login.example.com"}, "provider"),
        ("s" * 41, GOOGLE | {"issuer": "https://login.example.com"}, "provider"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_refused_with_its_field(acme_api, path, slug, body, field):
    response = acme_api.put(f"{path}/{slug}", body)

    assert response.status_code == 400, response.content
    assert [name.partition(".")[0] for name in response.json()["fields"]] == [field]
    assert acme_api.get(path).json()["data"] == []


def test_an_app_has_twenty_at_most(acme_api, path):
    own = {"clientId": "acme", "clientSecret": "of-acme", "issuer": "https://login.example.com"}
    statuses = [acme_api.put(f"{path}/sso-{n}", own).status_code for n in range(21)]

    assert statuses == [201] * 20 + [409]
    assert acme_api.put(f"{path}/sso-0", own).status_code == 200


def test_one_that_is_deleted_is_gone_with_its_secret_and_back_with_its_people(social):
    ada = social.signed_in(social.go())

    assert social.backend.delete(f"{social.auth}/providers/sso").status_code == 204
    assert social.backend.delete(f"{social.auth}/providers/sso").status_code == 404
    assert social.start(Browser()).status_code == 404
    social.put()

    assert social.signed_in(social.go())["customerId"] == ada["customerId"]


def test_only_who_may_write_apps_configures(acme, path):
    reader = acme.api("customers:write", "auth:write")

    assert reader.get(path).status_code == 200
    assert reader.put(f"{path}/google", GOOGLE).json()["code"] == "INSUFFICIENT_SCOPE"
    assert Api(None).get(path).status_code == 401
    assert Api(acme.publishable).get(path).status_code == 403
    assert Api(acme.tenant_key).put(f"{path}/google", GOOGLE).status_code == 201


def test_what_was_changed_is_on_record_without_the_secret(acme, acme_api, path):
    acme_api.put(f"{path}/google", GOOGLE)
    acme_api.put(f"{path}/google", GOOGLE | {"enabled": False})
    acme_api.delete(f"{path}/google")

    with reading(acme.scope):
        rows = [row for row in AuditEvent.objects.within(acme.scope) if row.action.startswith("sign_in_provider")]
        assert sorted(row.action.rpartition(".")[2] for row in rows) == ["created", "deleted", "updated"]
        assert not any(GOOGLE["clientSecret"] in str(row.__dict__) + str(row.detail) for row in rows)


def test_a_check_finds_nothing_wrong_where_nothing_is(social):
    assert social.backend.post(f"{social.auth}/providers/sso/check").json() == {"ok": True, "problems": []}


def test_a_check_tells_what_is_wrong(social):
    def problems(**metadata):
        social.provider.metadata = metadata
        found = social.backend.post(f"{social.auth}/providers/sso/check").json()
        assert found["ok"] is not bool(found["problems"])
        return " ".join(found["problems"])

    assert "among" not in problems()
    social.provider.secret = "another"
    assert "does not know this client id with this secret" in problems()
    assert "does not know this client id" in social.problem()
    social.provider.secret = CLIENT_SECRET
    from accounts.services.social_wire import forget_documents  # noqa: PLC0415  # between answers

    for metadata, said in (
        ({"response_types_supported": ["id_token"]}, "authorization code flow"),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, "RS256 or ES256"),
        ({"scopes_supported": ["openid"]}, "scope email, profile"),
        ({"issuer": "https://other.example"}, "letter by letter"),
        ({"jwks_uri": f"{social.provider.issuer}/nothing"}, "answered 404"),
    ):
        forget_documents()
        assert said in problems(**metadata)
    forget_documents()
    assert problems() == ""
    assert social.problem() == ""


def test_a_check_of_none_is_404(acme_api, path):
    assert acme_api.post(f"{path}/google/check").status_code == 404
    assert CLIENT_ID
