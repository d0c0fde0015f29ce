"""How providers are spoken to: every call passes the wall that outgoing webhooks pass, and all of them end soon.

A tenant names the issuer, and the issuer's document names the other addresses, so none of them is trusted.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from accounts.social_errors import ProviderUnavailable
from stackbe.kernel.transactions import forbid_transaction
from webhooks.addresses import TargetRefused, judge_url
from webhooks.fetching import Fetcher, FetchFailed, Got

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authlib.oauth2.auth import ClientAuth

SECONDS = 8.0  # for a whole exchange: somebody waits in front of a browser
MOST_BYTES = 256 * 1024
DOCUMENTS_LIVE_SECONDS = 600
MOST_DOCUMENTS = 500

# Discovery documents and key sets by URL, with when they were got. They say the same to every tenant.
_documents: dict[str, tuple[float, dict[str, Any]]] = {}


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """An answer as Authlib reads one. It has no repr, since it may hold tokens."""

    status_code: int
    content: bytes

    def json(self) -> Any:
        """Return the body's JSON; raises ValueError for anything else."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("nested too deep") from None

    def raise_for_status(self) -> None:
        """Raise for what is no success."""
        if self.status_code >= HTTPStatus.BAD_REQUEST:
            raise ProviderUnavailable(f"The provider answered {self.status_code}.")


class Wire:
    """The HTTP session of one exchange with a provider. `live` demands https of every address."""

    def __init__(self, *, live: bool) -> None:
        """Start the clock: all calls together take `SECONDS` at most."""
        self.live = live
        self._until = time.monotonic() + SECONDS

    def post(
        self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth | None = None
    ) -> Reply:
        """Post a form, with the client's credentials where Authlib brings them."""
        sent, body = dict(headers), urlencode(data)
        if auth is not None:
            # Authlib writes the credentials into the headers that it is given: into our copy, never its own.
            url, sent, body = auth.prepare("POST", url, sent, body)
        return self._ask("POST", url, sent, body.encode())

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Get what lies at a URL."""
        return self._ask("GET", url, {"Accept": "application/json", **(headers or {})}, None)

    def document(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        """Return a public JSON object, kept for ten minutes; `fresh` asks again."""
        judged(url, live=self.live)
        got_at, found = _documents.get(url, (0.0, None))
        if found is not None and not fresh and time.monotonic() - got_at < DOCUMENTS_LIVE_SECONDS:
            return found
        document = json_object(self.get(url), url)
        if len(_documents) >= MOST_DOCUMENTS:
            _documents.clear()
        _documents[url] = (time.monotonic(), document)
        return document

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        forbid_transaction("a sign-in provider")

        async def ask() -> Got:
            async with Fetcher(allow_local=settings.ALLOW_LOCAL_WEBHOOKS) as fetcher:
                return await fetcher.ask(
                    method,
                    url,
                    live=self.live,
                    most_bytes=MOST_BYTES,
                    headers=headers,
                    body=body,
                    seconds=max(self._until - time.monotonic(), 0.01),
                )

        try:
            got = asyncio.run(ask())
        except FetchFailed as failure:
            raise ProviderUnavailable(f"{without_query(url)}: {failure}") from None
        return Reply(got.status, got.body)


def json_object(reply: Reply, url: str) -> dict[str, Any]:
    """Return the JSON object of a successful answer, or raise `ProviderUnavailable`."""
    where = without_query(url)
    if reply.status_code != HTTPStatus.OK:
        raise ProviderUnavailable(f"{where} answered {reply.status_code}.")
    try:
        document = reply.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderUnavailable(f"{where} did not answer with a JSON object.")
    return document


def judged(url: Any, *, live: bool) -> str:
    """Return a URL as it stands if we may connect to it, or raise `ProviderUnavailable`."""
    if not isinstance(url, str):
        raise ProviderUnavailable("The provider's configuration names no URL where one belongs.")
    try:
        judge_url(url, live=live, allow_local=settings.ALLOW_LOCAL_WEBHOOKS)
    except TargetRefused as refused:
        raise ProviderUnavailable(f"{without_query(url)}: {refused}") from None
    return url


def wants_https(environment: str) -> bool:
    """Say whether a provider must speak https: always, but for a test app of a development copy."""
    return environment == "live" or not settings.ALLOW_LOCAL_WEBHOOKS


def without_query(url: str) -> str:
    """Return what may be shown of a URL."""
    return url.partition("?")[0][:200]


def forget_documents() -> None:
    """Forget what providers said of themselves."""
    _documents.clear()
