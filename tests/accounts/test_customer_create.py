"""POST /v1/customers."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections

from accounts.models import Customer
from stackbe.kernel.models import IdempotencyRecord
from stackbe.kernel.transactions import reading
from tests.cast import Api, found_company
from tests.refusals import (
    CARD,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
)

BODY = {"email": "Joe@Shop.example"}


def test_a_customer_is_created_and_announced(acme_api, events, audited):
    response = acme_api.post(
        "/customers", BODY | {"name": "Joe", "externalId": "u_1", "metadata": {"a": [1, {"b": None}]}}
    )

    assert response.status_code == 201
    told = response.json()
    assert told["id"].startswith("cust_")
    assert told["createdAt"].endswith("Z")
    assert told | {"id": 0, "createdAt": 0, "updatedAt": 0} == {
        "id": 0, "createdAt": 0, "updatedAt": 0,
        "email": "Joe@Shop.example", "billingEmail": None, "name": "Joe", "externalId": "u_1", "metadata": {"a": [1, {"b": None}]},
    }  # fmt: skip
    assert events() == [("customer.created", {"customer": told})]
    assert audited()[-1] == "customer.created"


def test_only_an_address_is_needed(acme_api):
    told = acme_api.post("/customers", BODY).json()

    assert (told["name"], told["externalId"], told["metadata"]) == (None, None, {})


def test_an_address_is_one_customer_however_it_is_written(acme_api, joe, events):
    response = acme_api.post("/customers", {"email": "JOE@SHOP.EXAMPLE"})

    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
    assert "email" in response.json()["fields"]
    assert len(events()) == 1


def test_an_external_id_is_one_customer(acme_api, joe):
    response = acme_api.post("/customers", {"email": "other@shop.example", "externalId": "u_1"})

    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
    assert "externalId" in response.json()["fields"]


def test_upsert_answers_the_one_that_exists(acme_api, joe, events):
    response = acme_api.post("/customers?upsert=true", {"email": "joe@shop.example", "name": "Other"})

    assert response.status_code == 200
    assert response.json() == joe
    assert len(events()) == 1


def test_upsert_creates_the_one_that_does_not(acme_api):
    assert acme_api.post("/customers?upsert=true", BODY).status_code == 201


def test_two_apps_may_know_the_same_address(acme_api, globex_api):
    one, two = acme_api.post("/customers", BODY), globex_api.post("/customers", BODY)

    assert one.status_code == two.status_code == 201
    assert one.json()["id"] != two.json()["id"]


def test_equal_addresses_look_different_in_two_apps(acme, acme_api, globex, globex_api):
    acme_api.post("/customers", BODY)
    globex_api.post("/customers", BODY)

    indexes = []
    for company in (acme, globex):
        with reading(company.scope):
            indexes.append(bytes(Customer.objects.within(company.scope).get().email_index))
    assert indexes[0] != indexes[1]


def test_nothing_personal_lies_in_the_clear(acme, acme_api):
    body = {"email": "canary@shop.example", "name": "Canary Name", "metadata": {"note": "canary note"}}
    acme_api.post("/customers", body, **{"Idempotency-Key": "once"})

    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute(
            "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p')"
            " and c.relnamespace = 'public'::regnamespace and has_table_privilege(c.oid, 'select')"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"select t::text from {table} t")
            dump = "".join(text for (text,) in cursor.fetchall()).lower()
            assert "canary" not in dump, table
            assert b"canary".hex() not in dump, table


def test_it_needs_a_credential_and_customers_write(acme):
    assert_needs_credential("POST", "/customers", BODY)
    assert_needs_scope(acme.api("customers:read"), "customers:write", "POST", "/customers", BODY)


def test_a_publishable_key_may_not(acme):
    response = Api(acme.publishable).post("/customers", BODY)

    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


def test_a_repeat_with_its_idempotency_key_has_one_effect(acme, acme_api, events):
    first = acme_api.post("/customers", BODY, **{"Idempotency-Key": "once"})
    again = acme_api.post("/customers", BODY, **{"Idempotency-Key": "once"})
    other = acme_api.post("/customers", BODY | {"name": "x"}, **{"Idempotency-Key": "once"})
    query = acme_api.post("/customers?upsert=true", BODY, **{"Idempotency-Key": "once"})

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert query.status_code == 422
    assert len(events()) == 1


def test_a_stored_reply_is_unreadable_without_the_key_and_tied_to_its_subject(acme, acme_api):
    told = acme_api.post("/customers", BODY, **{"Idempotency-Key": "once"}).json()

    with reading(acme.scope):
        row = IdempotencyRecord.objects.within(acme.scope).get()
        assert b"shop.example" not in bytes(row.reply).lower()
        assert b"once" not in bytes(row.lookup)
        assert Customer.objects.within(acme.scope).get().id == row.subject_id
    acme_api.delete(f"/customers/{told['id']}")


def test_another_credential_may_use_the_same_idempotency_key(acme, acme_api, globex_api):
    acme_api.post("/customers", BODY, **{"Idempotency-Key": "once"})

    assert globex_api.post("/customers", BODY, **{"Idempotency-Key": "once"}).status_code == 201
    other = acme.api("customers:write").post("/customers", {"email": "b@c.example"}, **{"Idempotency-Key": "once"})
    assert other.status_code == 201


def test_a_refused_request_leaves_its_idempotency_key_free(acme_api):
    bad = acme_api.post("/customers", {"email": "joe"}, **{"Idempotency-Key": "once"})
    good = acme_api.post("/customers", BODY, **{"Idempotency-Key": "once"})

    assert (bad.status_code, good.status_code) == (400, 201)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_odd_idempotency_key_is_refused(acme_api, key):
    response = acme_api.post("/customers", BODY, **{"Idempotency-Key": key})

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")


def test_bad_input_is_named(acme_api, events):
    deep: dict = {}
    for _ in range(12):
        deep = {"d": deep}
    assert_refuses_each(
        acme_api,
        "POST",
        "/customers",
        [
            (BODY | {"name": 7}, "name"),
            (BODY | {"name": ["x"]}, "name"),
            (BODY | {"name": "a\0b"}, "name"),
            (BODY | {"name": "x" * 256}, "name"),
            (BODY | {"name": CARD}, "name"),
            (BODY | {"name": "４２４２４２４２４２４２４２４２"}, "name"),
            (BODY | {"externalId": 7}, "externalId"),
            (BODY | {"externalId": ""}, "externalId"),
            (BODY | {"externalId": "u\0"}, "externalId"),
            (BODY | {"externalId": "4242424242424242"}, "externalId"),
            (BODY | {"metadata": []}, "metadata"),
            (BODY | {"metadata": "x"}, "metadata"),
            (BODY | {"metadata": None}, "metadata"),
            (BODY | {"metadata": {"k": "x" * 17_000}}, "metadata"),
            (BODY | {"metadata": {"k": "a\0b"}}, "metadata"),
            (BODY | {"metadata": {"a\0b": 1}}, "metadata"),
            (BODY | {"metadata": {"": 1}}, "metadata"),
            (BODY | {"metadata": {"x" * 129: 1}}, "metadata"),
            (BODY | {"metadata": {"k": [{"n": CARD}]}}, "metadata"),
            (BODY | {"metadata": {CARD: 1}}, "metadata"),
            (BODY | {"metadata": {"k": 4242424242424242}}, "metadata"),
            (BODY | {"metadata": deep}, "metadata"),
            (BODY | {"id": "cust_1"}, "id"),
            (BODY | {"tenantId": "ten_1"}, "tenantId"),
            ({"email": 7}, "email"),
            ({"email": {"$ne": ""}}, "email"),
            ({"email": "a\0@b.example"}, "email"),
            ({"email": None}, "email"),
            (["email"], "nonFieldErrors"),
            ("email", "nonFieldErrors"),
        ],
    )
    long = f"{'x' * 250}@b.example"
    for email in ("joe", "joe@", "@b.example", "a b@c.example", "a@b@c.example"):
        assert_refuses_each(acme_api, "POST", "/customers", [({"email": email}, "email")], "INVALID_EMAIL")
    assert acme_api.post("/customers", {"email": long}).status_code == 400
    assert_refuses_each(acme_api, "POST", "/customers", [({}, "email")], "MISSING_REQUIRED_FIELD")
    assert_refuses_each(acme_api, "POST", "/customers?upsert=maybe", [(BODY, "upsert")])
    assert_refuses_each(acme_api, "POST", "/customers?colour=red", [(BODY, "colour")])
    assert events() == []


def test_several_wrong_fields_are_all_told(acme_api):
    told = acme_api.post("/customers", {"email": 1, "name": 2}).json()

    assert isinstance(told["message"], list)
    assert set(told["fields"]) == {"email", "name"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1,2",
        b'{"email": NaN}',
        b"\xff\xfe",
        b'{"email": "a@b.example",}',
        b'{"email": "\\ud800@b.example"}',
        b"x" * 100,
    ],
)
def test_malformed_json_is_refused(acme, acme_api, body):
    response = acme_api.client.generic("POST", "/v1/customers", body, "application/json", headers=acme_api.headers)

    assert response.status_code == 400
    assert response.json()["code"] == "VALIDATION_ERROR"


def test_a_huge_body_is_refused(acme_api):
    response = acme_api.post("/customers", BODY | {"metadata": {"k": "x" * 300_000}})

    assert (response.status_code, response.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_media_type_is_refused(acme_api, kind):
    response = acme_api.client.generic("POST", "/v1/customers", b"email=a@b.example", kind, headers=acme_api.headers)

    assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_of_racers_for_one_address_one_wins(committed):
    company = found_company("Acme")
    answers: list[int] = []
    start = threading.Barrier(8)

    def race():
        start.wait()
        answers.append(Api(company.key).post("/customers", BODY).status_code)
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [201] + [409] * 7


def test_racing_upserts_all_get_the_one_customer(committed):
    company = found_company("Acme")
    answers: list[tuple[int, str]] = []
    start = threading.Barrier(8)

    def race():
        start.wait()
        response = Api(company.key).post("/customers?upsert=true", BODY)
        answers.append((response.status_code, response.json()["id"]))
        connections.close_all()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({identifier for _, identifier in answers}) == 1
