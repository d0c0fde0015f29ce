"""Becoming a Connect platform: what is set, what was pasted where, and what is left to do, in sentences.

Shapes are judged from the settings alone; what Stripe knows of the two endpoints is asked for. No
sentence holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from django.conf import settings

from billing.stripe import gateway
from billing.stripe.errors import StripeNotConnected, StripeRefused, StripeUnavailable
from billing.stripe.event_types import EVENTS
from billing.stripe.gateway import Json

KEYS, CLIENTS, SECRETS, PUBLIC = ("sk_", "rk_"), ("ca_",), ("whsec_",), ("pk_",)
NAMES = {KEYS: "a secret key", CLIENTS: "a client id", SECRETS: "an endpoint's secret", PUBLIC: "a publishable key"}


class Mark(StrEnum):
    """How a step stands."""

    DONE = "done"
    OPEN = "to do"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is about, how it stands, and what to do."""

    about: str
    mark: Mark
    sentence: str


def steps() -> list[Step]:
    """Return all steps, in the order in which to do them. Stripe is asked only once the key looks like one."""
    key = _shape("STRIPE_SECRET_KEY", [settings.STRIPE_SECRET_KEY], KEYS, "Copy it from Stripe, Developers, API keys.")
    client = _shape(
        "STRIPE_CLIENT_ID", [settings.STRIPE_CLIENT_ID], CLIENTS,
        f"Copy it from Stripe, Settings, Connect, OAuth, and register the way back {back_url()} there.",
    )  # fmt: skip
    if client.mark == Mark.DONE:
        client = replace(client, sentence=f"{client.sentence} Have {back_url()} registered there as its way back.")
    found = [key, client, *_secrets(), _version()]
    return [*found, *_endpoints()] if key.mark == Mark.DONE else found


def back_url() -> str:
    """Return where Stripe sends a developer's browser after they connected."""
    return f"{settings.BASE_URL}/connect/stripe/callback"


def endpoint_url(endpoint_id: str) -> str:
    """Return the address of one of our two endpoints."""
    return f"{settings.BASE_URL}/webhooks/stripe/{endpoint_id}"


def _shape(name: str, values: list[str], wanted: tuple[str, ...], how: str) -> Step:
    given = [value for value in values if value]
    if not given:
        return Step(name, Mark.OPEN, f"It is not set. {how}")
    for value in given:
        kind = next((words for starts, words in NAMES.items() if value.startswith(starts)), "none of Stripe's")
        if not value.startswith(wanted):
            return Step(name, Mark.WRONG, f"It holds {kind} where {NAMES[wanted]} belongs. {how}")
    mode = "live" if settings.STRIPE_LIVE_MODE else "test"
    return Step(name, Mark.DONE, f"It holds {NAMES[wanted]}" + (f" of {mode} mode." if wanted == KEYS else "."))


def _secrets() -> list[Step]:
    """Judge the two lists of secrets, each alone and against the other."""
    both = {
        "STRIPE_PLATFORM_WEBHOOK_SECRETS": (settings.STRIPE_PLATFORM_WEBHOOK_SECRETS, "your own account"),
        "STRIPE_CONNECT_WEBHOOK_SECRETS": (settings.STRIPE_CONNECT_WEBHOOK_SECRETS, "connected accounts"),
    }
    found = [
        _shape(name, list(values), SECRETS, f"It is the signing secret of the endpoint that listens to {whose}.")
        for name, (values, whose) in both.items()
    ]
    shared = set(settings.STRIPE_PLATFORM_WEBHOOK_SECRETS) & set(settings.STRIPE_CONNECT_WEBHOOK_SECRETS)
    if shared:
        sentence = "The same secret stands in both lists. Each endpoint has its own; paste it where it belongs."
        found.append(Step("Two secrets", Mark.WRONG, sentence))
    return found


def _version() -> Step:
    return Step("STRIPE_API_VERSION", Mark.DONE, f"{settings.STRIPE_API_VERSION}: give it to both endpoints as well.")


def _endpoints() -> list[Step]:
    """Judge the two endpoints by what Stripe knows of them."""
    try:
        known = {body["url"]: body for body in gateway.platform_endpoints()}
    except (StripeUnavailable, StripeRefused, StripeNotConnected) as failure:
        return [Step("Stripe", Mark.WRONG, f"It could not be asked: {failure}")]
    return [
        _endpoint("The platform's endpoint", settings.STRIPE_PLATFORM_ENDPOINT_ID, known, connect=False),
        _endpoint("The Connect endpoint", settings.STRIPE_CONNECT_ENDPOINT_ID, known, connect=True),
    ]


def _endpoint(about: str, endpoint_id: str, known: dict[str, Json], *, connect: bool) -> Step:
    url = endpoint_url(endpoint_id)
    body = known.get(url)
    whose = "connected accounts" if connect else "your own account"
    if not endpoint_id or body is None:
        return Step(about, Mark.OPEN, f"Make one at Stripe, Developers, Webhooks, for events of {whose}: {url}")
    if body.get("status") != "enabled":
        return Step(about, Mark.WRONG, "It is disabled at Stripe. Enable it there.")
    if body.get("api_version") not in {None, settings.STRIPE_API_VERSION}:
        return Step(about, Mark.WRONG, f"Its API version is {body['api_version']}; make it anew with ours.")
    enabled = set(body.get("enabled_events") or [])
    missing = [] if "*" in enabled or not connect else sorted(set(EVENTS) - enabled)
    if missing:
        return Step(about, Mark.WRONG, f"It does not listen to: {', '.join(missing)}.")
    return Step(about, Mark.DONE, f"Stripe knows it, for events of {whose}.")
