"""The pages of sign-in providers: set up, tried out, taken away."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.services.social_wire import forget_documents
from accounts.social_models import SocialProvider
from stackbe.kernel.transactions import reading
from tests.dashboard.conftest import seated
from tests.signin.conftest import words
from tests.signin.provider import CLIENT_ID, CLIENT_SECRET, Provider

pytestmark = pytest.mark.django_db


def providers(company):
    with reading(company.scope):
        return {row.slug: (row.client_id, row.enabled) for row in SocialProvider.objects.within(company.scope)}


def test_google_is_set_up_from_the_settings(desk):
    assert "settings/sign-in" in desk.get("settings").content.decode()
    assert "not set up" in words(desk.get("settings/sign-in"))
    page = desk.get("settings/sign-in/google").content.decode()
    assert f"/auth/social/callback/{desk.company.app}/google" in page
    assert 'name="issuer"' not in page

    done = desk.post("settings/sign-in/google", client_id="acme", client_secret="of-acme", enabled="on")

    assert "Saved. Check it now." in words(done)
    assert "of-acme" not in done.content.decode()
    assert f"/auth/social/start?app={desk.company.app}" in done.content.decode()
    assert providers(desk.company) == {"google": ("acme", True)}


def test_the_secret_stays_where_the_field_is_left_empty(desk):
    desk.post("settings/sign-in/google", client_id="acme", client_secret="of-acme", enabled="on")

    done = desk.post("settings/sign-in/google", client_id="acme", client_secret="")
    moved = desk.post("settings/sign-in/google", client_id="another", client_secret="")

    assert done.status_code == 200
    assert moved.status_code == 400
    assert "Give the secret that belongs to this client id" in words(moved)
    assert providers(desk.company) == {"google": ("acme", False)}


@pytest.fixture
def provider():
    """A provider on loopback."""
    forget_documents()
    with Provider() as running:
        yield running


def test_a_provider_of_ones_own_is_added_checked_and_taken_away(desk, provider):
    form = {"provider": "acme-sso", "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    added = desk.post("settings/sign-in", **form, enabled="on")
    assert "Now register the redirect URI" in words(added)
    assert "There is one of this name" in words(desk.post("settings/sign-in", **form))

    assert "answers, and knows your client ID" in words(desk.post("settings/sign-in/acme-sso/check"))
    provider.secret = "another"
    assert "does not know this client id with this secret" in words(desk.post("settings/sign-in/acme-sso/check"))
    assert "has a problem" in words(desk.get("settings/sign-in"))
    assert "Taken away" in words(desk.post("settings/sign-in/acme-sso/delete"))
    assert providers(desk.company) == {}
    assert desk.get("settings/sign-in/acme-sso").status_code == 404


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"provider": "google"}, "are taken"),
        ({"provider": "Acme SSO"}, "a letter first"),
        ({"issuer": "nonsense"}, "absolute http or https URL"),
        ({"client_secret": ""}, "This field is required"),
        ({"scopes": "email"}, "wants the scope openid"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_beside_its_field(desk, form, says):
    entered = {"provider": "sso", "issuer": "https://login.example.com", "client_id": "a", "client_secret": "b"}

    response = desk.post("settings/sign-in", **entered | form)

    assert response.status_code == 400
    assert says in words(response)
    assert providers(desk.company) == {}


def test_members_below_admins_read_and_change_nothing(acme):
    developer = seated(acme, "developer", "dev@example.com")

    assert "Owners and admins can change this" in words(developer.get("settings/sign-in/google"))
    assert "Add an OpenID" not in words(developer.get("settings/sign-in"))
    assert developer.post("settings/sign-in/google", client_id="a", client_secret="b").status_code == 403


def test_a_stale_session_is_asked_for_a_proof_first(desk, monkeypatch):
    monkeypatch.setattr("accounts.pages.proof.FRESH", timedelta(seconds=-1))

    response = desk.post("settings/sign-in/google", client_id="acme", client_secret="of-acme", enabled="on")

    assert response.status_code == 403
    assert providers(desk.company) == {}
