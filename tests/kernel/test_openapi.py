"""GET /v1/openapi.json"""

from __future__ import annotations

from jsonschema import Draft202012Validator

from stackbe.urls import ROUTES
from tests.cast import Api


def test_the_document_is_openapi_3_1_and_names_every_route(db):
    response = Api(None).get("/openapi.json")

    body = response.json()
    assert response.status_code == 200
    assert body["openapi"].startswith("3.1")
    listed = {(path, method.upper()) for path, item in body["paths"].items() for method in item}
    assert len(listed) == sum(len(route.methods) for route in ROUTES)
    for name, schema in body["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema), name


def test_every_view_declares_exactly_the_methods_of_its_row():
    for row in ROUTES:
        written = {m for m in ("GET", "POST", "PUT", "PATCH", "DELETE") if hasattr(row.view, m.lower())}
        assert written == set(row.methods), row.name
        for method in written:
            assert hasattr(getattr(row.view, method.lower()), "operation"), (row.name, method)


def test_a_client_made_from_the_document_knows_lists_times_and_what_a_refusal_carries(db):
    schemas = Api(None).get("/openapi.json").json()["components"]["schemas"]

    events = schemas["BatchInputRequest"]["properties"]["events"]
    assert (events["minItems"], events["maxItems"]) == (1, 1000)
    assert schemas["CheckInputRequest"]["properties"]["features"]["minItems"] == 1
    assert schemas["Standing"]["properties"]["resetsAt"] == {"type": ["string", "null"], "format": "date-time"}
    assert schemas["Error"]["properties"]["usage"]["allOf"] == [{"$ref": "#/components/schemas/Refused"}]
    assert schemas["StateOutput"]["properties"]["customer"] == {"$ref": "#/components/schemas/CustomerOutput"}
