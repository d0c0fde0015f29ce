"""What a key proves, and what makes it prove nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import App, Tenant
from apikeys.models import ApiKey
from apikeys.services.keys import issue_api_key
from apikeys.text import BASE62, checksum, generate, read
from stackbe.kernel import clock
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import change, reading
from tests.cast import Api


def code(response):
    return response.status_code, response.json()["code"]


@pytest.fixture
def clock_at(monkeypatch):
    """Set the kernel's clock ahead by some seconds."""
    started = wall_clock()

    def move(seconds):
        monkeypatch.setattr(clock.timezone, "now", lambda: started + timedelta(seconds=seconds))

    return move


def key_with(company, **options):
    with change(company.scope):
        return issue_api_key(company.scope, name="x", environment="test", app_id=company.app_id, **options)[1]


def test_every_typo_is_told_without_asking_for_the_key(acme, clock_at):
    for place in (4, 9, 20, 45, len(acme.key) - 1):
        clock_at(place * 60)  # a typo each minute is no attack
        other = "B" if acme.key[place] != "B" else "C"
        typo = acme.key[:place] + other + acme.key[place + 1 :]
        assert read(typo) is None
        with CaptureQueriesContext(connection) as queries:
            assert code(Api(typo).get("/me")) == (401, "UNAUTHORIZED")
        assert not [q for q in queries if "lookup.api_key" in q["sql"]]


def test_a_well_formed_key_that_was_never_issued_is_refused(acme):
    assert code(Api(generate("test").whole).get("/me")) == (401, "UNAUTHORIZED")


def test_the_right_lookup_with_another_secret_is_refused(acme):
    head = acme.key[:17] + acme.key[17:47][::-1]

    assert code(Api(head + checksum(head)).get("/me")) == (401, "UNAUTHORIZED")


def test_a_key_is_spelt_as_published():
    text = generate("live")

    assert text.whole.startswith(f"sbk_live_{text.lookup}")
    assert len(text.whole) == len("sbk_live_") + 44
    assert set(text.whole[9:]) <= set(BASE62)
    assert read(text.whole) == text


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "sbk_test_x", "Bearer sbk_", "Bearer a b", "Bearer \u00e9"],
)
def test_no_odd_header_is_a_credential(db, header):
    status, told = code(Api(None, Authorization=header).get("/me"))

    assert status == 401
    assert told in {"UNAUTHORIZED", "SESSION_INVALID"}


def test_the_scheme_is_read_in_any_case(acme):
    assert Api(None, Authorization=f"bearer {acme.key}").get("/me").status_code == 200


def test_a_key_in_the_query_is_no_credential(acme):
    assert Api(None).get(f"/me?key={acme.key}&authorization=Bearer%20{acme.key}").status_code == 401


def test_an_address_that_fails_too_often_has_to_wait(acme, settings):
    settings.FAILED_CREDENTIALS_PER_MINUTE = 3
    wrong = Api(generate("test").whole)

    answers = [wrong.get("/me").status_code for _ in range(5)]
    limited = wrong.get("/me")

    assert answers == [401, 401, 401, 429, 429]
    assert limited.json()["code"] == "RATE_LIMITED"
    assert 1 <= int(limited.headers["Retry-After"]) <= 63


def test_a_good_key_from_that_address_still_works(acme, settings):
    settings.FAILED_CREDENTIALS_PER_MINUTE = 1
    for _ in range(3):
        Api("sbk_test_wrong").get("/me")

    assert Api(acme.key).get("/me").status_code == 200


def test_a_forged_forwarding_header_does_not_shed_the_limit(acme, settings):
    settings.FAILED_CREDENTIALS_PER_MINUTE = 2

    answers = [Api("sbk_test_wrong").get("/me", **{"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(4)]

    assert answers == [401, 401, 429, 429]


def test_a_key_works_until_it_expires(acme, clock_at):
    client = Api(key_with(acme, expires_at=wall_clock() + timedelta(minutes=5)))

    assert client.get("/me").status_code == 200
    clock_at(301)
    assert code(client.get("/me")) == (401, "UNAUTHORIZED")


def test_a_key_works_from_its_networks_only(acme):
    client = Api(key_with(acme, allowed_ips=["192.0.2.0/24", "2001:db8::/32"]))

    for address, status in (
        ("192.0.2.200", 200),
        ("2001:db8::7", 200),
        ("::ffff:192.0.2.9", 200),
        ("192.0.3.1", 403),
        ("2001:db9::1", 403),
        ("127.0.0.1", 403),
    ):
        client.client.defaults["REMOTE_ADDR"] = address
        assert client.get("/me").status_code == status, address


def test_last_use_is_written_at_most_once_a_minute(acme, acme_api, clock_at):
    def last_use():
        with reading(acme.scope):
            return ApiKey.objects.within(acme.scope).get(name="app").last_used_at

    assert last_use() is None
    acme_api.get("/me")
    first = last_use()
    acme_api.get("/me")
    assert last_use() == first

    clock_at(61)
    acme_api.get("/me")
    assert last_use() > first


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://evil.example", "null"])
def test_a_secret_key_from_a_browser_is_refused(acme, origin):
    for key in (acme.key, acme.tenant_key):
        response = Api(key, Origin=origin).get("/me")
        assert code(response) == (403, "FORBIDDEN")
        assert "browser" in response.json()["message"]


def test_keys_of_an_archived_app_are_dead(acme, acme_api):
    assert acme_api.delete(f"/apps/{acme.app}").status_code == 204

    assert code(acme_api.get("/me")) == (401, "UNAUTHORIZED")
    assert code(Api(acme.publishable).get("/me")) == (401, "UNAUTHORIZED")
    named = Api(acme.tenant_key, **{"X-StackBE-App": acme.app})
    assert code(named.get("/customers")) == (404, "APP_NOT_FOUND")
    assert Api(acme.tenant_key).get("/me").status_code == 200


def test_keys_of_a_moved_app_are_dead(acme, acme_api, globex):
    assert acme_api.get("/me").status_code == 200

    with change(acme.scope):
        App.objects.within(acme.scope).delete()
    with change(globex.scope):
        App.unscoped.create(id=acme.app_id, tenant_id=globex.tenant_id, name="Moved")

    assert code(acme_api.get("/me")) == (401, "UNAUTHORIZED")
    named = Api(acme.tenant_key, **{"X-StackBE-App": acme.app})
    assert named.get("/customers").status_code == 404


def test_keys_of_a_suspended_app_or_tenant_are_dead(acme, acme_api):
    with change(acme.scope):
        App.objects.within(acme.scope).update(suspended_at=wall_clock())
    assert code(acme_api.get("/me")) == (401, "UNAUTHORIZED")

    with change(acme.scope):
        App.objects.within(acme.scope).update(suspended_at=None)
        Tenant.unscoped.filter(pk=acme.tenant_id).update(suspended_at=wall_clock())
    assert code(acme_api.get("/me")) == (401, "UNAUTHORIZED")
    assert code(Api(acme.tenant_key).get("/me")) == (401, "UNAUTHORIZED")


def test_each_call_says_what_is_left_of_its_limit(acme, acme_api):
    first, second = acme_api.get("/me"), acme_api.get("/me")

    assert first.headers["X-RateLimit-Limit"] == "1000"
    left = [int(r.headers["X-RateLimit-Remaining"]) for r in (first, second)]
    assert left[0] - left[1] == 1
    assert "RateLimit-Policy" in first.headers


def test_past_its_limit_a_key_has_to_wait_and_others_do_not(acme, acme_api):
    with change(acme.scope):
        App.objects.within(acme.scope).update(api_limit_per_minute=2)

    answers = [acme_api.get("/me") for _ in range(3)]

    assert [r.status_code for r in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert answers[2].headers["X-RateLimit-Remaining"] == "0"
    assert acme.api("customers:read").get("/me").status_code == 200
