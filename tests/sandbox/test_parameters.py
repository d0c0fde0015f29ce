"""The sandbox's allow-lists are part of Stripe's own document, so nothing passes here that Stripe would refuse."""

import pytest

from billing.stripe.sandbox import api
from billing.stripe.sandbox.forms import Between, Clearable, Either, Exact, Metadata, Ranged, Required
from billing.stripe.sandbox.parameters import PARAMETERS
from billing.stripe.sandbox.routes import ROUTES
from tests.sandbox import openapi


def options(schema):
    return schema.get("anyOf", [schema])


def misfits(ours, theirs, at):
    """Where our schema of a parameter lets something through that theirs does not."""
    if isinstance(ours, Required):
        ours = ours.schema
    if isinstance(ours, Clearable):
        takes_empty = any("" in each.get("enum", []) or is_text(each) for each in options(theirs))
        return ([] if takes_empty else [f"{at}: cannot be cleared"]) + misfits(ours.schema, theirs, at)
    if isinstance(ours, Either):
        words = [word for each in options(theirs) for word in each.get("enum", [])]
        return [f"{at}: {word}" for word in ours.words if word not in words] + misfits(ours.schema, theirs, at)
    if ours is Metadata:
        return [] if any("additionalProperties" in each for each in options(theirs)) else [f"{at}: no metadata"]
    if ours is Ranged:
        return [] if any("gte" in each.get("properties", {}) for each in options(theirs)) else [f"{at}: no range"]
    if isinstance(ours, dict):
        known = next((each for each in options(theirs) if "properties" in each), None)
        return [f"{at}: no hash"] if known is None else misfits_of_hash(ours, known, at)
    if isinstance(ours, list):
        inner = next((each["items"] for each in options(theirs) if each.get("type") == "array"), None)
        return [f"{at}: no list"] if inner is None else misfits(ours[0], inner, at)
    if isinstance(ours, tuple):
        words = [word for each in options(theirs) for word in each.get("enum", [])]
        return [f"{at}: {word} is none of {words}" for word in ours if word not in words]
    if isinstance(ours, Between):
        ours = int
    kind = {str: "string", Exact: "string", int: "integer", bool: "boolean", float: "number"}[ours]
    return [] if any(each.get("type") == kind for each in options(theirs)) else [f"{at}: is no {kind}"]


def is_text(schema):
    return schema.get("type") == "string" and "enum" not in schema


def misfits_of_hash(ours, known, at):
    faults = [
        f"{at}[{name}]: must be sent"
        for name in known.get("required", [])
        if name in ours and not isinstance(ours[name], Required)
    ]
    faults += [f"{at}[{name}]: must be sent, and cannot be" for name in known.get("required", []) if name not in ours]
    for name, schema in ours.items():
        theirs = known["properties"].get(name)
        faults += [f"{at}[{name}]: unknown to Stripe"] if theirs is None else misfits(schema, theirs, f"{at}[{name}]")
    return faults


@pytest.mark.parametrize("route", PARAMETERS)
def test_a_route_takes_only_parameters_that_stripe_takes(route):
    method, path = route.split(" ")
    content = openapi.PATHS[path][method.lower()].get("requestBody", {}).get("content", {})
    required = [name for each in content.values() for name in each["schema"].get("required", [])]

    known = {"properties": openapi.parameters(method, path), "required": required}

    assert misfits_of_hash(PARAMETERS[route], known, route) == []


def test_every_list_of_parameters_has_its_route():
    assert api.call

    assert {f"{each.method} {each.path}" for each in ROUTES} == set(PARAMETERS)
