"""POST, GET, PATCH and DELETE of /v1/products."""

from __future__ import annotations

import pytest
from django.db import connection

from stackbe.kernel.transactions import reading
from tests.cast import Api


def test_a_product_is_made_shown_and_listed(acme_api):
    made = acme_api.post("/products", {"name": "Suite", "description": "All of it", "metadata": {"team": "core"}})

    product = made.json()
    assert made.status_code == 201
    assert product == {
        "id": product["id"],
        "name": "Suite",
        "description": "All of it",
        "active": True,
        "metadata": {"team": "core"},
    }
    assert product["id"].startswith("prod_")
    assert acme_api.get(f"/products/{product['id']}").json() == product
    assert acme_api.get("/products").json()["data"] == [product]


def test_metadata_merges_and_null_deletes(acme_api):
    product = acme_api.post("/products", {"name": "Suite", "metadata": {"a": 1, "b": 2}}).json()

    patched = acme_api.patch(f"/products/{product['id']}", {"metadata": {"a": None, "c": 3}})

    assert patched.json()["metadata"] == {"b": 2, "c": 3}


def test_metadata_that_outgrows_its_bound_by_merging_is_refused(acme_api):
    product = acme_api.post("/products", {"name": "Suite", "metadata": {"a": "x" * 15_000}}).json()

    patched = acme_api.patch(f"/products/{product['id']}", {"metadata": {"b": "x" * 15_000}})

    assert (patched.status_code, list(patched.json()["fields"])) == (400, ["metadata"])
    assert list(acme_api.get(f"/products/{product['id']}").json()["metadata"]) == ["a"]


def test_metadata_does_not_lie_in_the_clear(acme_api, acme):
    acme_api.post("/products", {"name": "Suite", "metadata": {"note": "between us"}})

    with reading(acme.scope), connection.cursor() as cursor:
        cursor.execute("select metadata from billing_product")
        assert b"between us" not in bytes(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a" * 121}, "name"),
        ({"name": "a", "metadata": {"x": "y" * 20000}}, "metadata"),
        ({"name": "a", "metadata": {"card": "4242 4242 4242 4242"}}, "metadata"),
        ({"name": "a", "active": "yes"}, "active"),
        ({"name": "a", "price": 1}, "price"),
    ],
)
def test_bad_input_names_its_field(acme_api, body, field):
    response = acme_api.post("/products", body)

    assert response.status_code == 400
    assert field in response.json()["fields"]


def test_a_product_on_sale_is_not_archived(acme_api, make_plan):
    plan = make_plan()

    assert acme_api.delete(f"/products/{plan['productId']}").status_code == 409
    assert acme_api.patch(f"/products/{plan['productId']}", {"active": False}).status_code == 409
    acme_api.delete(f"/plans/{plan['id']}")
    assert acme_api.delete(f"/products/{plan['productId']}").status_code == 204
    assert acme_api.get("/products?active=true").json()["data"] == []


def test_a_rival_finds_nothing(acme_api, globex_api):
    product = acme_api.post("/products", {"name": "Suite"}).json()
    never = "prod_01jd0000000000000000000000"

    for call in ("get", "delete"):
        theirs = getattr(globex_api, call)(f"/products/{product['id']}")
        nobodys = getattr(globex_api, call)(f"/products/{never}")
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.json()["message"] == nobodys.json()["message"]
    assert globex_api.patch(f"/products/{product['id']}", {"name": "Mine"}).status_code == 404


def test_who_may(acme):
    assert Api(None).get("/products").status_code == 401
    assert acme.api("plans:read").post("/products", {"name": "x"}).json()["code"] == "INSUFFICIENT_SCOPE"
    assert acme.api("customers:read").get("/products").status_code == 403
