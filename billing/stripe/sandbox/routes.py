"""The table of routes: method and path to handler, each with its allow-list of parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.parameters import PARAMETERS, Schema
from billing.stripe.sandbox.store import Json

Handler = Callable[..., Json]


@dataclass(frozen=True)
class Route:
    """One operation of Stripe's API."""

    method: str
    path: str
    pattern: re.Pattern[str]
    schema: Schema
    handler: Handler

    def run(self, ctx: Context, ids: dict[str, str], given: Json) -> Json:
        """Call the handler with the ids from the path, in their order."""
        return self.handler(ctx, *ids.values(), given)


ROUTES: list[Route] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register a handler; a route without a list of parameters cannot be imported."""

    def register(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")
        ROUTES.append(Route(method, path, pattern, PARAMETERS[f"{method} {path}"], handler))
        return handler

    return register


def match(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request, fixed paths before those with ids."""
    found = [(each, hit) for each in ROUTES if each.method == method and (hit := each.pattern.match(path))]
    if not found:
        return None
    chosen, hit = min(found, key=lambda pair: len(pair[1].groupdict()))
    return chosen, hit.groupdict()
