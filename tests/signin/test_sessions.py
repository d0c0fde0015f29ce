"""Sessions: verified, refreshed, ended."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest

from accounts.models import App, CustomerSession, Organization, OrganizationMember, RefreshToken
from accounts.services.customers import delete_customer
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import decode
from stackbe.kernel.models import IdempotencyRecord
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import change, reading
from tests.cast import Api

pytestmark = pytest.mark.django_db
ADA = "ada@example.com"


def keys_of(front) -> dict[str, jwt.PyJWK]:
    answer = Api(None).get(f"/apps/{front.company.app}/.well-known/jwks.json")
    return {key["kid"]: jwt.PyJWK(key) for key in answer.json()["keys"]}


def test_a_session_token_is_verified_offline_by_the_published_keys(front, acme):
    token = front.sign_in()["sessionToken"]
    header = jwt.get_unverified_header(token)

    claims = jwt.decode(
        token,
        keys_of(front)[header["kid"]].key,
        algorithms=["EdDSA"],
        audience=acme.app,
        issuer="http://localhost:8000",
    )

    assert header == {"alg": "EdDSA", "kid": header["kid"], "typ": "JWT"}
    assert claims["email"] == ADA
    assert claims["sub"].startswith("cust_")
    assert claims["sid"].startswith("sess_")
    assert claims["org"] is claims["orgRole"] is None
    assert claims["exp"] - claims["iat"] == 15 * 60


def test_the_key_set_holds_public_halves_alone_and_may_be_cached(front, acme):
    front.sign_in()

    answer = Api(None).get(f"/apps/{acme.app}/.well-known/jwks.json")

    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "alg", "use", "kid", "x"}
    assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_an_app_may_choose_shorter_lives(front):
    front.set(access_token_ttl_minutes=1)

    claims = jwt.decode(front.sign_in()["sessionToken"], options={"verify_signature": False})

    assert claims["exp"] - claims["iat"] == 60


def test_the_session_shows_its_customer(front):
    answer = front.sign_in()

    shown = front.session(answer["sessionToken"]).json()

    assert shown["valid"] is True
    assert shown["customer"] == {"id": answer["customerId"], "email": ADA, "name": None, "metadata": {}}
    assert shown["entitlements"] == {"planName": None, "features": {}}
    assert shown["organizationId"] is shown["orgRole"] is None
    assert shown["expiresAt"] == answer["expiresAt"]


def test_a_session_is_of_one_app(front, rival):
    token = front.sign_in()["sessionToken"]

    assert Api(token).get(f"{rival.auth}/session").status_code == 404


def test_a_session_may_not_do_what_a_key_may(front):
    token = front.sign_in()["sessionToken"]

    assert Api(token).get("/customers").status_code == 403
    assert Api(token).post(f"{front.auth}/introspect", {"token": token}).status_code == 403


def test_me_knows_a_session(front):
    assert Api(front.sign_in()["sessionToken"]).get("/me").json()["credential"] == "session"


# The end of a session.


def test_signing_out_bites_on_the_next_request(front):
    answer = front.sign_in()

    assert Api(answer["sessionToken"]).post(f"{front.auth}/logout").status_code == 204

    refused = front.session(answer["sessionToken"])
    assert refused.status_code == 401
    assert refused.json()["code"] == "SESSION_INVALID"
    assert front.refresh(answer["refreshToken"]).json()["code"] == "SESSION_INVALID"


def test_signing_out_leaves_other_sessions_alone(front):
    phone, laptop = front.sign_in(), front.sign_in()

    Api(phone["sessionToken"]).post(f"{front.auth}/logout")

    assert front.session(laptop["sessionToken"]).status_code == 200


def test_a_deleted_customers_session_is_refused(front, acme):
    answer = front.sign_in()

    with change(acme.scope):
        delete_customer(acme.scope, answer["customerId"])

    assert front.session(answer["sessionToken"]).json()["code"] == "SESSION_INVALID"
    assert front.refresh(answer["refreshToken"]).json()["code"] == "SESSION_INVALID"


def test_an_archived_apps_sessions_are_refused(front, acme):
    answer = front.sign_in()

    with change(acme.scope):
        App.objects.within(acme.scope).filter(pk=acme.app_id).update(archived_at=wall_clock())

    assert front.session(answer["sessionToken"]).status_code == 401
    assert front.refresh(answer["refreshToken"]).status_code == 404


def test_a_session_ends_with_its_absolute_limit(front, acme):
    answer = front.sign_in()
    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).update(expires_at=wall_clock())

    assert front.session(answer["sessionToken"]).json()["code"] == "SESSION_EXPIRED"
    assert front.refresh(answer["refreshToken"]).json()["code"] == "SESSION_EXPIRED"


# Refreshing.


def test_a_refresh_gives_a_new_pair(front):
    first = front.sign_in()

    second = front.refresh(first["refreshToken"]).json()

    assert second["refreshToken"] != first["refreshToken"]
    assert front.session(second["sessionToken"]).status_code == 200
    assert front.refresh(second["refreshToken"]).status_code == 200


def test_the_same_refresh_token_within_ten_seconds_gets_the_same_successor(front):
    first = front.sign_in()["refreshToken"]

    answers = [front.refresh(first).json()["refreshToken"] for _ in range(5)]

    assert len(set(answers)) == 1


def used_before(acme, seconds: float) -> None:
    with change(acme.scope):
        rows = RefreshToken.objects.within(acme.scope).filter(used_at__isnull=False)
        rows.update(used_at=wall_clock() - timedelta(seconds=seconds))


def test_the_same_refresh_token_later_ends_the_whole_session(front, acme):
    first = front.sign_in()
    second = front.refresh(first["refreshToken"]).json()
    used_before(acme, 10.5)

    stolen = front.refresh(first["refreshToken"])

    assert stolen.status_code == 401
    assert stolen.json()["code"] == "SESSION_INVALID"
    assert front.refresh(second["refreshToken"]).status_code == 401
    assert front.session(second["sessionToken"]).status_code == 401


def test_just_inside_the_ten_seconds_nothing_ends(front, acme):
    first = front.sign_in()
    second = front.refresh(first["refreshToken"]).json()
    used_before(acme, 8)

    assert front.refresh(first["refreshToken"]).json()["refreshToken"] == second["refreshToken"]


@pytest.mark.parametrize("token", ["", "x", "sbr_", "sbr_" + "0" * 26 + "A" * 43, "sbm_" + "0" * 52 + "A" * 43])
def test_what_is_no_refresh_token_is_refused(front, token):
    answer = front.refresh(token)

    assert answer.status_code in {400, 401}
    assert answer.json()["code"] in {"SESSION_INVALID", "VALIDATION_ERROR"}


def test_a_refresh_token_of_another_app_is_refused(front, rival):
    assert rival.refresh(front.sign_in()["refreshToken"]).json()["code"] == "SESSION_INVALID"


def test_refresh_tokens_are_stored_as_digests(front, acme):
    token = front.refresh(front.sign_in()["refreshToken"]).json()["refreshToken"]

    with reading(acme.scope):
        rows = list(RefreshToken.objects.within(acme.scope))
    stored = b"".join(bytes(row.digest) + bytes(row.successor or b"") for row in rows)
    assert token.encode() not in stored
    assert all(len(bytes(row.digest)) == 32 for row in rows)


# Limits.


def idle_for(acme, **ago: float) -> None:
    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).update(last_seen_at=wall_clock() - timedelta(**ago))


def test_a_session_left_idle_for_too_long_is_over_and_listed_no_more(front, acme):
    front.set(session_idle_minutes=60)
    answer = front.sign_in()
    sessions = f"/customers/{answer['customerId']}/sessions"

    idle_for(acme, minutes=61)

    assert acme.api("auth:write").get(sessions).json()["data"] == []
    assert front.refresh(answer["refreshToken"]).json()["code"] == "SESSION_EXPIRED"


def test_each_refresh_begins_the_idle_time_anew_up_to_the_absolute_limit(front, acme):
    front.set(session_idle_minutes=60)
    token = front.sign_in()["refreshToken"]
    for _ in range(3):
        idle_for(acme, minutes=59)
        token = front.refresh(token).json()["refreshToken"]

    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).update(expires_at=wall_clock())

    assert front.refresh(token).json()["code"] == "SESSION_EXPIRED"


def test_no_access_token_outlives_its_session(front, acme):
    answer = front.sign_in()
    ends_at = (wall_clock() + timedelta(minutes=3)).replace(microsecond=0)
    with change(acme.scope):
        CustomerSession.objects.within(acme.scope).update(expires_at=ends_at)

    fresh = front.refresh(answer["refreshToken"]).json()["sessionToken"]

    assert jwt.decode(fresh, options={"verify_signature": False})["exp"] == int(ends_at.timestamp())


def test_a_token_used_long_ago_still_ends_the_session_when_it_comes_again(front, acme):
    first = front.sign_in()
    second = front.refresh(first["refreshToken"]).json()
    used_before(acme, 10 * 24 * 3600)

    assert front.refresh(first["refreshToken"]).json()["code"] == "SESSION_INVALID"
    assert front.refresh(second["refreshToken"]).status_code == 401


# What the app's backend may do.


def test_introspection_tells_live_tokens_from_dead_ones(front, acme, rival):
    answer = front.sign_in()
    ask = acme.api("auth:write")
    live = ask.post(f"{front.auth}/introspect", {"token": answer["sessionToken"]}).json()
    assert live["active"] is True
    assert live["customerId"] == answer["customerId"]
    assert live["sid"].startswith("sess_")
    assert isinstance(live["exp"], int)

    other = rival.sign_in()["sessionToken"]
    Api(answer["sessionToken"]).post(f"{front.auth}/logout")
    for dead in (answer["sessionToken"], other, "nonsense", answer["refreshToken"]):
        assert ask.post(f"{front.auth}/introspect", {"token": dead}).json() == {"active": False}


def test_a_backend_opens_lists_and_ends_sessions(front, acme, rival):
    customer = front.backend.post("/customers", {"email": ADA}).json()["id"]
    backend = acme.api("auth:write")
    opened = backend.post(f"/customers/{customer}/sessions")
    assert opened.status_code == 201
    assert opened.json()["customerId"] == customer
    assert front.session(opened.json()["sessionToken"]).status_code == 200

    (row,) = backend.get(f"/customers/{customer}/sessions").json()["data"]
    assert set(row) == {"id", "createdAt", "lastSeenAt", "ipCountry", "userAgentFamily", "expiresAt"}
    assert backend.get(f"/customers/{customer}/sessions/{row['id']}").json() == row
    assert rival.backend.get(f"/customers/{customer}/sessions/{row['id']}").status_code == 404
    assert rival.backend.delete(f"/customers/{customer}/sessions").status_code == 404
    assert rival.backend.get(f"/customers/{customer}/sessions").status_code == 404
    assert rival.backend.delete(f"/customers/{customer}/sessions/{row['id']}").status_code == 404
    assert acme.api("customers:read").get(f"/customers/{customer}/sessions").status_code == 403

    assert backend.delete(f"/customers/{customer}/sessions/{row['id']}").status_code == 204
    assert front.session(opened.json()["sessionToken"]).status_code == 401
    assert backend.get(f"/customers/{customer}/sessions").json()["data"] == []


def test_a_session_of_another_customer_is_neither_shown_nor_ended(front, acme):
    ada, bob = front.sign_in(ADA), front.sign_in("bob@example.com")
    backend = acme.api("auth:write")
    (row,) = backend.get(f"/customers/{bob['customerId']}/sessions").json()["data"]
    of_ada = f"/customers/{ada['customerId']}/sessions/{row['id']}"

    assert backend.get(of_ada).status_code == 404
    assert backend.delete(of_ada).status_code == 404
    assert front.session(bob["sessionToken"]).status_code == 200


def test_a_repeated_opening_gives_the_same_session(front, acme):
    customer = front.backend.post("/customers", {"email": ADA}).json()["id"]
    once = [front.backend.post(f"/customers/{customer}/sessions", Idempotency_Key="one") for _ in range(2)]

    assert once[0].content == once[1].content


def test_the_stored_reply_of_an_opening_is_its_customers_and_goes_with_them(front, acme):
    customer = front.backend.post("/customers", {"email": ADA}).json()["id"]

    front.backend.post(f"/customers/{customer}/sessions", Idempotency_Key="one")

    with reading(acme.scope):
        (record,) = IdempotencyRecord.objects.within(acme.scope)
    assert record.subject_id == decode("cust", customer)


def test_a_backend_signs_a_customer_out_everywhere(front, acme):
    answers = [front.sign_in() for _ in range(3)]
    other = front.sign_in("bob@example.com")["sessionToken"]

    done = acme.api("auth:write").delete(f"/customers/{answers[0]['customerId']}/sessions")

    assert done.status_code == 204
    assert {front.session(answer["sessionToken"]).status_code for answer in answers} == {401}
    assert {front.refresh(answer["refreshToken"]).status_code for answer in answers} == {401}
    assert front.session(other).status_code == 200


def kept(acme) -> CustomerSession:
    with reading(acme.scope):
        return CustomerSession.objects.within(acme.scope).get()


@pytest.mark.parametrize(
    ("address", "network"), [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2:3::4", "2001:db8:1::")]
)
def test_of_a_login_the_network_and_the_browsers_family_are_kept(front, acme, address, network):
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    token = front.link()

    headers = {"User-Agent": firefox, "CF-IPCountry": "DE"}
    front.nobody.client.defaults["REMOTE_ADDR"] = address
    front.nobody.post(f"{front.auth}/verify", {"token": token}, **headers)

    row = kept(acme)
    assert (row.address, row.user_agent_family, row.country) == (network, "Firefox", "")


@pytest.mark.parametrize(("told", "shown"), [("de", "DE"), ("XX", None), ("D<", None), ("", None)])
def test_the_country_is_the_one_that_the_proxy_in_front_tells(front, acme, settings, told, shown):
    settings.COUNTRY_HEADER = "CF-IPCountry"
    token = front.link()

    answer = front.nobody.post(f"{front.auth}/verify", {"token": token}, CF_IPCountry=told).json()

    (row,) = acme.api("auth:write").get(f"/customers/{answer['customerId']}/sessions").json()["data"]
    assert row["ipCountry"] == shown


def test_a_session_switches_between_its_customers_organizations(front, acme):
    answer = front.sign_in()
    with change(acme.scope):
        rows = [Organization(**owned_by(acme.scope), name=n, slug=n, metadata={}) for n in ("ours", "theirs")]
        for row in rows:
            row.save(force_insert=True)
        OrganizationMember(
            **owned_by(acme.scope),
            organization=rows[0],
            customer_id=decode("cust", answer["customerId"]),
            role="admin",
        ).save(force_insert=True)
    caller = Api(answer["sessionToken"])

    switched = caller.post(f"{front.auth}/switch-organization", {"organizationId": rows[0].public_id})
    foreign = caller.post(f"{front.auth}/switch-organization", {"organizationId": rows[1].public_id})

    assert switched.json()["orgRole"] == "admin"
    claims = jwt.decode(switched.json()["sessionToken"], options={"verify_signature": False})
    assert (claims["org"], claims["orgRole"]) == (rows[0].public_id, "admin")
    assert front.session(switched.json()["sessionToken"]).json()["organizationId"] == rows[0].public_id
    assert foreign.status_code == 404
    assert caller.post(f"{front.auth}/switch-organization", {"organizationId": None}).json()["orgRole"] is None
