"""PATCH /v1/customers/:id."""

from __future__ import annotations

from accounts.models import Customer
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import reading
from tests.refusals import (
    CARD,
    assert_hidden,
    assert_needs_credential,
    assert_needs_scope,
    assert_refuses_each,
    never,
)


def test_what_is_given_changes_and_the_rest_stays(acme_api, joe, events):
    response = acme_api.patch(f"/customers/{joe['id']}", {"name": "Joseph"})

    assert response.status_code == 200
    told = response.json()
    assert told == joe | {"name": "Joseph", "updatedAt": told["updatedAt"]}
    assert told["updatedAt"] > joe["updatedAt"]
    assert events()[-1] == ("customer.updated", {"customer": told})


def test_metadata_keys_merge_and_null_deletes_one(acme_api, joe):
    told = acme_api.patch(f"/customers/{joe['id']}", {"metadata": {"plan": None, "seats": 3}}).json()
    again = acme_api.patch(f"/customers/{joe['id']}", {"metadata": {"x": {"y": [None]}, "gone": None}}).json()

    assert told["metadata"] == {"seats": 3}
    assert again["metadata"] == {"seats": 3, "x": {"y": [None]}}


def test_null_takes_a_name_and_an_external_id_away(acme_api, joe):
    told = acme_api.patch(f"/customers/{joe['id']}", {"name": None, "externalId": None}).json()

    assert (told["name"], told["externalId"]) == (None, None)
    assert acme_api.get("/customers?externalId=u_1").json()["data"] == []


def test_a_new_address_is_found_and_the_old_one_is_free(acme_api, joe):
    acme_api.patch(f"/customers/{joe['id']}", {"email": "new@else.example"})

    assert [c["id"] for c in acme_api.get("/customers?q=else.example").json()["data"]] == [joe["id"]]
    assert acme_api.get("/customers?email=joe@shop.example").json()["data"] == []
    assert acme_api.post("/customers", {"email": "joe@shop.example"}).status_code == 201


def test_an_address_may_change_its_capitals(acme_api, joe):
    assert (
        acme_api.patch(f"/customers/{joe['id']}", {"email": "JOE@shop.example"}).json()["email"] == "JOE@shop.example"
    )


def test_a_taken_address_or_external_id_is_a_conflict(acme_api, joe):
    other = acme_api.post("/customers", {"email": "ann@shop.example", "externalId": "u_2"}).json()

    for body, field in (({"email": "Joe@Shop.example"}, "email"), ({"externalId": "u_1"}, "externalId")):
        response = acme_api.patch(f"/customers/{other['id']}", body)
        assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
        assert field in response.json()["fields"]
    assert acme_api.get(f"/customers/{other['id']}").json() == other


def test_a_change_that_changes_nothing_is_not_announced(acme_api, joe, events, audited):
    before = (events(), audited())

    for body in ({}, {"name": "Joe"}, {"metadata": {"plan": "gold"}}, {"metadata": {"none": None}}):
        assert acme_api.patch(f"/customers/{joe['id']}", body).json() == joe

    assert (events(), audited()) == before


def test_the_audit_tells_before_and_after_sealed(acme, acme_api, joe):
    acme_api.patch(f"/customers/{joe['id']}", {"name": "Joseph"})

    with reading(acme.scope):
        row = AuditEvent.objects.within(acme.scope).get(action="customer.updated")
        assert row.detail["name"] == {"from": "Joe", "to": "Joseph"}
        assert (row.target, row.subject_id) == (joe["id"], Customer.objects.within(acme.scope).get().id)
        raw = AuditEvent.objects.within(acme.scope).values_list("detail", flat=True).get(pk=row.pk)
        assert b"Joseph" not in bytes(raw)


def test_metadata_may_not_outgrow_their_bound_by_merging(acme_api, joe):
    for number in range(2):
        response = acme_api.patch(f"/customers/{joe['id']}", {"metadata": {str(number): "x" * 9000}})

    assert response.status_code == 400
    assert "metadata" in response.json()["fields"]
    assert list(acme_api.get(f"/customers/{joe['id']}").json()["metadata"]) == ["plan", "0"]


def test_it_needs_a_credential_and_customers_write(acme, joe):
    assert_needs_credential("PATCH", f"/customers/{joe['id']}", {"name": "x"})
    weak = acme.api("customers:read")
    assert_needs_scope(weak, "customers:write", "PATCH", f"/customers/{joe['id']}", {"name": "x"})


def test_a_rivals_customer_is_hidden_and_unchanged(acme_api, globex_api, joe):
    body = {"name": "Mine", "email": "mine@globex.example"}

    assert_hidden(globex_api, "PATCH", f"/customers/{joe['id']}", f"/customers/{never('cust')}", body)

    assert acme_api.get(f"/customers/{joe['id']}").json() == joe


def test_bad_input_is_named(acme_api, joe):
    assert_refuses_each(
        acme_api,
        "PATCH",
        f"/customers/{joe['id']}",
        [
            ({"name": 1}, "name"),
            ({"name": "a\0"}, "name"),
            ({"name": CARD}, "name"),
            ({"email": None}, "email"),
            ({"metadata": None}, "metadata"),
            ({"metadata": {"k": "x" * 17_000}}, "metadata"),
            ({"metadata": {"k": "a\0"}}, "metadata"),
            ({"externalId": 4}, "externalId"),
            ({"createdAt": "2020-01-01T00:00:00Z"}, "createdAt"),
            ({"id": "x"}, "id"),
        ],
    )
    path = f"/customers/{joe['id']}"
    assert_refuses_each(acme_api, "PATCH", path, [({"email": "joe"}, "email")], "INVALID_EMAIL")
