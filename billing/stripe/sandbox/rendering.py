"""Objects as they leave the sandbox: without its own notes, expanded where asked, in Stripe's lists."""

from collections.abc import Callable
from typing import Any

from billing.stripe.sandbox.context import OWN_NOTE, Context
from billing.stripe.sandbox.errors import StripeError, missing_object
from billing.stripe.sandbox.store import Json

DEFAULT_LIMIT, MAXIMUM_LIMIT = 10, 100
MAXIMUM_DEPTH = 4
NESTED = (dict, list)

Extra = Callable[[Context, Json], Any]
INCLUDABLE: dict[tuple[str, str], Extra] = {}
"""Parts that an object shows only when they are asked for with `expand`, by kind and name."""


def render(ctx: Context, body: Json, expand: list[str] | None = None) -> Json:
    """An object as Stripe would show it."""
    shown: Json = show(ctx, body)
    for path in expand or []:
        steps = path.split(".")
        if len([step for step in steps if step != "data"]) > MAXIMUM_DEPTH:
            message = f"You cannot expand more than {MAXIMUM_DEPTH} levels of a property (you tried: {path})."
            raise StripeError(message, param="expand")
        expand_path(ctx, shown, steps, path)
    stripped: Json = strip(shown)
    return stripped


def show(ctx: Context, body: Any) -> Any:
    """The object with the parts that are kept as references but shown whole: prices in items and lines."""
    if isinstance(body, list):
        return [show(ctx, item) for item in body]
    if not isinstance(body, dict) or body.get("object") == "event":
        return body
    shown = {
        key: show(ctx, value) if isinstance(value, NESTED) and not key.startswith(OWN_NOTE) else value
        for key, value in body.items()
    }
    if shown.get("object") in ("subscription_item", "item") and isinstance(shown.get("price"), str):
        shown["price"] = ctx.fetch("price", shown["price"])
    if shown.get("object") == "checkout.session" and shown["status"] != "open":
        shown["url"] = None
    return shown


def strip(value: Any) -> Any:
    """The value without the sandbox's own notes. An event was rendered when it was made."""
    if isinstance(value, list):
        return [strip(item) for item in value]
    if not isinstance(value, dict) or value.get("object") == "event":
        return value
    return {
        key: strip(item) if isinstance(item, NESTED) else item
        for key, item in value.items()
        if not key.startswith(OWN_NOTE)
    }


def expand_path(ctx: Context, holder: Any, steps: list[str], path: str) -> None:
    """Replace the reference at the end of a path by the object itself."""
    if isinstance(holder, list):
        for item in holder:
            expand_path(ctx, item, steps, path)
        return
    name, rest = steps[0], steps[1:]
    if not isinstance(holder, dict):
        return
    included = INCLUDABLE.get((holder.get("object", ""), name))
    value = holder.get(name)
    if included is not None and value is None:
        holder[name] = value = show(ctx, included(ctx, holder))
    elif isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        holder[name] = value = resolve(ctx, value, path)
    elif name not in holder or (value is not None and not isinstance(value, dict | list)):
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    if rest:
        expand_path(ctx, value, rest, path)


def resolve(ctx: Context, value: str | list[str], path: str) -> Any:
    """The object, or objects, that an id stands for."""
    if isinstance(value, list):
        return [resolve(ctx, item, path) for item in value]
    found = ctx.store.any_kind(ctx.account, value)
    if found is None:
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    return show(ctx, found)


def listing(ctx: Context, kind: str, url: str, given: Json, where: Json | None = None) -> Json:
    """One page of a list, newest first, with Stripe's cursors."""
    limit = given.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAXIMUM_LIMIT:
        message = f"This value must be between 1 and {MAXIMUM_LIMIT}."
        raise StripeError(message, param="limit", code="parameter_invalid_integer")
    if "starting_after" in given and "ending_before" in given:
        message = "You may only specify one of these parameters: ending_before, starting_after."
        raise StripeError(message, param="ending_before")

    page: Json = {"limit": limit + 1}
    for name, bound in (("starting_after", "before"), ("ending_before", "after")):
        if name in given:
            page[bound] = ctx.store.sequence(ctx.account, kind, given[name])
            if page[bound] is None:
                raise missing_object(kind, given[name], name)
    rows = ctx.store.select(ctx.account, kind, {**(where or {}), **created_bounds(given)}, **page)
    shown = rows[:limit]
    if "ending_before" in given:
        shown.reverse()
    expand = [path.removeprefix("data.") for path in given.get("expand", [])]
    return {
        "object": "list",
        "data": [render(ctx, row, expand) for row in shown],
        "has_more": len(rows) > limit,
        "url": url,
    }


def created_bounds(given: Json) -> Json:
    """The `created` filter as comparisons."""
    created = given.get("created")
    if isinstance(created, int):
        return {"created": created}
    signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    return {f"created {signs[name]}": bound for name, bound in (created or {}).items()}


def whole_list(items: list[Json], url: str) -> Json:
    """A list inside an object, never paged here."""
    return {"object": "list", "data": items, "has_more": False, "url": url}
