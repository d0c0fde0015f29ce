"""Trying a provider out before customers do: what is wrong with its configuration, in sentences."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from accounts.services.social_protocol import (
    ALGORITHMS,
    GITHUB_ENDPOINTS,
    WELL_KNOWN,
    Checks,
    Client,
    endpoints_of,
    exchange,
    key_set,
)
from accounts.social_errors import NotSignedIn, ProviderRefused
from accounts.social_models import GITHUB

if TYPE_CHECKING:
    from accounts.services.social_wire import Wire

NO_CODE = "not-a-code"
# What a provider says to a code that it never gave, once it has accepted who asks.
CLIENT_ACCEPTED = ("invalid_grant", "bad_verification_code", "invalid_request")
CLIENT_REFUSED = ("invalid_client", "unauthorized_client", "incorrect_client_credentials")
REDIRECT_REFUSED = "redirect_uri_mismatch"


def troubles_with(client: Client) -> list[str]:
    """Return what would keep customers from signing in, as far as that shows without one; empty where all is well.

    The client id and the secret are tried with a code that was never given: a provider that accepts them
    complains of the code, else of the client.
    """
    wire = client.wire()
    try:
        endpoints = endpoints_of(client, wire)
        found = [] if client.slug == GITHUB else _of_document(client, wire)
        if client.slug != GITHUB and not key_set(wire, endpoints.keys, fresh=True).keys:
            found.append(f"{endpoints.keys} lists no key that an id token could be signed with.")
    except NotSignedIn as failure:
        return [failure.detail]
    return found + _of_client(client, wire)


def _of_document(client: Client, wire: Wire) -> list[str]:
    document = wire.document(client.issuer.rstrip("/") + WELL_KNOWN, fresh=True)
    found = []
    if "code" not in _listed(document, "response_types_supported", "code"):
        found.append("The provider does not offer the authorization code flow.")
    if not set(ALGORITHMS) & set(_listed(document, "id_token_signing_alg_values_supported", "RS256")):
        found.append("The provider signs id tokens in no way that counts; choose RS256 or ES256 there.")
    missing = [scope for scope in client.scopes if scope not in _listed(document, "scopes_supported", *client.scopes)]
    if missing:
        found.append(f"The provider does not list the scope {', '.join(missing)}.")
    return found


def _listed(document: dict[str, Any], name: str, *otherwise: str) -> list[Any]:
    values = document.get(name)
    return values if isinstance(values, list) else list(otherwise)


def _of_client(client: Client, wire: Wire) -> list[str]:
    endpoints = GITHUB_ENDPOINTS if client.slug == GITHUB else endpoints_of(client, wire)
    try:
        exchange(client, endpoints, wire, NO_CODE, Checks.drawn().verifier)
    except ProviderRefused as refused:
        if any(word in refused.detail for word in CLIENT_REFUSED):
            return ["The provider does not know this client id with this secret. Paste both anew."]
        if REDIRECT_REFUSED in refused.detail:
            return [f"The provider does not have {client.redirect_uri} among its redirect URIs. Add exactly this."]
        return [] if any(word in refused.detail for word in CLIENT_ACCEPTED) else [refused.detail]
    except NotSignedIn as failure:
        if str(HTTPStatus.UNAUTHORIZED.value) in failure.detail:
            return ["The provider does not know this client id with this secret. Paste both anew."]
        return [failure.detail]
    return ["The provider accepted a code that it never gave. Do not use it."]
