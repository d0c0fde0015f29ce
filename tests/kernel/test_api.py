"""What every answer under /v1 has in common."""

from __future__ import annotations

import base64
import gzip

import pytest
from django.db import OperationalError
from django.test import Client
from psycopg import errors

from tests.cast import Api


def shape(response):
    assert response.headers["Content-Type"] == "application/json"
    told = response.json()
    assert {"statusCode", "message", "error", "code", "requestId"} <= set(told)
    assert told["statusCode"] == response.status_code
    assert told["requestId"] == response.headers["X-Request-Id"]
    return told


@pytest.mark.parametrize(
    "path", ["/nope", "/", "/customers/", "/apps//", "/me/x", "/%00", "/../admin", "/customers/x/y/z"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "TRACE"])
def test_an_unknown_url_answers_in_the_apis_shape(db, path, method):
    told = shape(Api(None).request(method, path))

    assert (told["statusCode"], told["code"]) == (404, "NOT_FOUND")


def test_a_method_that_is_not_taken_is_refused_before_anything_else(db):
    for method in ("PUT", "TRACE", "OPTIONS", "BREW"):
        response = Api(None).request(method, "/customers")
        assert response.status_code == 405, method
        assert response.headers["Allow"] == "GET, HEAD, POST"
    assert Api(None).request("HEAD", "/tenants").status_code == 405


def test_head_is_a_get_whose_body_stays_unsent(acme, acme_api, globex_api):
    customer = acme_api.post("/customers", {"email": "joe@shop.example"}).json()["id"]
    paths = ("/me", f"/customers/{customer}", f"/entitlements/check/sso?customerId={customer}", "/customers?limit=x")
    for path in paths:
        got, looked = acme_api.get(path), acme_api.request("HEAD", path)
        assert looked.status_code == got.status_code
        assert looked.content == b""
        unlike = ("X-R", "Rate", "Content-Length", "RateLimit")
        assert {n for n in got.headers if not n.startswith(unlike)} <= set(looked.headers)
        assert "X-RateLimit-Remaining" in looked.headers

    assert globex_api.request("HEAD", f"/customers/{customer}").status_code == 404
    assert Api(None).request("HEAD", f"/customers/{customer}").status_code == 401
    assert acme.api("plans:read").request("HEAD", f"/customers/{customer}").status_code == 403
    assert Api(None).request("HEAD", f"/apps/{acme.app}/.well-known/jwks.json").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"email": "a@b.example", "email": "c@d.example"}', "email"),
        (b'{"email": "a@b.example", "\\u0065mail" : "c@d.example"}', "email"),
        (b'{"email": "a@b.example", "metadata": {"k": 1, "k": 1}}', "k"),
        (b'{"email": "a@b.example", "' + b"x" * 5000 + b'": 1, "' + b"x" * 5000 + b'": 2}', "x" * 100),
    ],
    ids=["plain", "spelt otherwise", "inside", "long"],
)
def test_a_name_that_stands_twice_is_refused_and_told(acme_api, body, field):
    headers = acme_api.headers
    response = acme_api.client.generic("POST", "/v1/customers", body, "application/json", headers=headers)

    assert response.status_code == 400
    assert shape(response)["fields"] == {field: ["Stands twice in one object. Give it once."]}
    assert acme_api.get("/customers").json()["data"] == []


def test_a_value_may_look_like_a_name(acme_api):
    name = 'He said "x": "y", "x":'
    response = acme_api.post("/customers", {"email": "joe@shop.example", "name": name, "metadata": {"x": {"x": '":'}}})

    assert response.status_code == 201
    assert response.json()["name"] == name


def test_the_short_way_refuses_a_name_that_stands_twice_too(acme, acme_api):
    customer = acme_api.post("/customers", {"email": "joe@shop.example"}).json()["id"]
    body = f'{{"customerId":"{customer}","metric":"api_calls","metric":"exports"}}'.encode()
    headers = acme_api.headers

    response = acme_api.client.generic("POST", "/v1/usage/track", body, "application/json", headers=headers)

    assert response.status_code == 400
    assert "metric" in response.json()["fields"]


def test_a_crash_says_nothing_of_itself(acme_api, monkeypatch):
    def crash(*_, **__):
        raise RuntimeError("the secret of the inside")

    monkeypatch.setattr("accounts.services.me.fetch_tenant", crash)
    response = acme_api.get("/me")

    assert shape(response)["code"] == "INTERNAL_ERROR"
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content


def test_a_database_that_is_away_is_no_crash(acme_api, monkeypatch, caplog):
    def away(*_, **__):
        raise OperationalError("connection refused: host=10.0.0.1") from errors.DeadlockDetected()

    caplog.set_level("WARNING")
    monkeypatch.setattr("accounts.services.me.fetch_tenant", away)
    response = acme_api.get("/me")

    assert (response.status_code, shape(response)["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["Retry-After"]) >= 1
    assert b"10.0.0.1" not in response.content
    assert [record.sqlstate for record in caplog.records if record.msg == "database unavailable"] == ["40P01"]


def test_a_sane_request_id_is_kept_and_another_replaced(acme_api):
    for sane in ("order-4711.retry:2", "short", "7", "Root=1-67891233-abcdef012345678912345678", "JKJaXFPrvHcESHA="):
        assert acme_api.get("/me", **{"X-Request-Id": sane}).headers["X-Request-Id"] == sane
    for odd in ("", "a b c d e f g h", "x" * 65, "<script>alert(1)</script>", "ünïcode-id"):
        assert acme_api.get("/me", **{"X-Request-Id": odd}).headers["X-Request-Id"].startswith("req_")


def test_html_is_never_answered(acme_api):
    assert acme_api.get("/me", Accept="text/html,application/xhtml+xml").status_code == 406
    assert shape(acme_api.get("/me", Accept="text/html"))["code"] == "NOT_ACCEPTABLE"
    assert acme_api.get("/me", Accept="text/html, */*;q=0.1").json()["credential"] == "api_key"


def test_nothing_is_kept_by_caches(acme_api):
    for response in (acme_api.get("/me"), acme_api.get("/nope"), Api(None).get("/me")):
        assert response.headers["Cache-Control"] == "no-store"


def test_several_wrong_fields_make_the_message_a_list(acme_api):
    one, two = (
        acme_api.post("/customers", {"email": 1}).json(),
        acme_api.post("/customers", {"email": 1, "name": 2}).json(),
    )

    assert isinstance(one["message"], str)
    assert isinstance(two["message"], list)
    assert len(two["message"]) == 2


def test_a_documented_refusal_has_the_documented_bytes(acme_api):
    response = acme_api.post("/customers", {"email": "joe"}, **{"X-Request-Id": "12345678"})

    assert response.json() == {
        "statusCode": 400,
        "message": "Invalid email format",
        "error": "Bad Request",
        "code": "INVALID_EMAIL",
        "requestId": "12345678",
        "fields": {"email": ["Invalid email format"]},
    }


@pytest.mark.parametrize("cursor", ["", "A", "====", "%ff", base64.b64encode(b"x" * 17).decode(), "../../etc"])
def test_a_cursor_that_is_none_is_named(acme_api, cursor):
    response = acme_api.get(f"/customers?cursor={cursor}")

    assert response.status_code == 400
    assert "cursor" in response.json()["fields"]


def test_a_body_that_claims_to_be_small_is_still_measured(acme):
    client = Client(raise_request_exception=False)
    body = b'{"email":"a@b.example","name":"' + b"x" * 300_000 + b'"}'
    response = client.generic(
        "POST", "/v1/customers", body, "application/json", headers={"Authorization": f"Bearer {acme.key}"}
    )

    assert response.status_code == 413


def test_a_body_in_another_charset_is_refused(acme_api):
    response = acme_api.client.generic(
        "POST",
        "/v1/customers",
        '{"email":"joe@é.example"}'.encode("utf-16"),
        "application/json",
        headers=acme_api.headers,
    )

    assert response.status_code == 400


def test_deeply_nested_json_is_refused_and_crashes_nothing(acme_api):
    for body in (b"[" * 100_000, b'{"metadata":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001):
        response = acme_api.client.generic("POST", "/v1/customers", body, "application/json", headers=acme_api.headers)
        assert response.status_code == 400, response.content


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Request-Id", "Accept", "Origin", "User-Agent", "X-StackBE-App", "Idempotency-Key"]
)
@pytest.mark.parametrize("value", ["\x7f", "x" * 8000, "'; drop table x; --", "{{7*7}}", "%s%n", "é"])
def test_no_header_makes_a_crash(acme, header, value):
    response = Api(acme.key, **{header: value}).post("/customers", {"email": "joe@shop.example"})

    assert response.status_code < 500


LIMIT_HEADERS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit"}


def test_every_refusal_says_how_much_is_left(acme, globex, acme_api):
    reader, stranger, tenant = acme.api("customers:read"), Api(None), Api(acme.tenant_key)
    refusals = [
        (400, acme_api.post("/customers", {})),
        (400, tenant.get("/me", **{"X-StackBE-App": "nonsense"})),
        (401, stranger.get("/me")),
        (401, Api("sbk_test_wrong").get("/me")),
        (401, Api("a.b.c").get(f"/apps/{acme.app}/auth/session")),
        (403, reader.post("/customers", {"email": "joe@acme.example"})),
        (403, acme_api.get("/me", Origin="https://elsewhere.example")),
        (403, acme_api.get("/api-keys")),
        (404, acme_api.get("/nope")),
        (404, acme_api.get(f"/apps/{globex.app}")),
        (404, tenant.get("/me", **{"X-StackBE-App": globex.app})),
        (405, stranger.request("BREW", "/me")),
        (405, acme_api.delete("/me")),
        (406, acme_api.get("/me", Accept="text/html")),
        (413, acme_api.post("/customers", {"email": "joe@acme.example", "name": "x" * 300_000})),
    ]

    for status, response in refusals:
        assert response.status_code == status, response.content
        assert set(response.headers) >= LIMIT_HEADERS, (status, response.content)


def test_calls_that_a_key_may_not_make_count_against_it(acme):
    reader = acme.api("customers:read")
    left = [int(reader.delete("/customers/x").headers["X-RateLimit-Remaining"]) for _ in range(3)]

    assert left == [999, 998, 997]


def test_methods_that_no_route_takes_are_limited_by_address(db, settings):
    settings.ADDRESS_LIMITS = {**settings.ADDRESS_LIMITS, "page": (2, 60)}

    assert [Api(None).delete("/me").status_code for _ in range(4)] == [405, 405, 429, 429]


@pytest.mark.parametrize("path", ["/me?since=x", "/apps?colour=red", "/customers?colour=red"])
def test_a_query_parameter_that_nothing_reads_is_named(acme_api, path):
    response = acme_api.get(path)

    assert response.status_code == 400
    assert list(response.json()["fields"].values()) == [["Unknown field."]]


def test_a_body_that_nothing_reads_is_named(acme_api):
    made = acme_api.post("/webhook-endpoints", {"url": "https://hooks.acme.example/", "events": ["*"]}).json()["id"]

    refused = acme_api.post(f"/webhook-endpoints/{made}/test", {"event": "customer.created"})

    assert (refused.status_code, refused.json()["fields"]) == (400, {"event": ["Unknown field."]})


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"5"])
def test_a_body_that_is_no_object_is_said_to_be_none(acme_api, body):
    response = acme_api.client.generic("POST", "/v1/customers", body, "application/json", headers=acme_api.headers)

    assert response.status_code == 400
    assert response.json()["fields"] == {"nonFieldErrors": ["The body must be an object."]}


def test_a_limit_is_written_in_plain_digits(acme_api):
    for spelt in ("1_0", "%2B5", "%205", "5.0", "1e1", "%D9%A3", "0x5", "9" * 40):
        response = acme_api.get(f"/customers?limit={spelt}")
        assert (response.status_code, list(response.json()["fields"])) == (400, ["limit"]), spelt
    assert acme_api.get("/customers?limit=5").status_code == 200


def test_a_token_of_no_kind_is_answered_by_what_the_route_takes(acme):
    stray = Api("nonsense")

    assert stray.get("/customers").json()["code"] == "UNAUTHORIZED"
    assert stray.get(f"/apps/{acme.app}/auth/session").json()["code"] == "SESSION_INVALID"


def test_a_packed_body_is_refused_as_what_it_is(acme_api):
    packed = gzip.compress(b'{"email": "joe@acme.example"}')
    response = acme_api.client.generic(
        "POST", "/v1/customers", packed, "application/json", headers=acme_api.headers | {"Content-Encoding": "gzip"}
    )

    assert (response.status_code, shape(response)["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    plain = acme_api.post("/customers", {"email": "joe@acme.example"}, **{"Content-Encoding": "identity"})
    assert plain.status_code == 201
