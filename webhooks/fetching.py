"""Calls to addresses that a tenant named, behind the same wall as deliveries: judged, pinned, bounded."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import pycurl

from webhooks.addresses import TargetRefused, judge_url
from webhooks.sending import NO_EXPECT, USER_AGENT, Caller, LookupFailed, error_of
from webhooks.wire import Request, header_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

TOTAL_SECONDS = 10.0
PICTURES = {"Accept": "image/*"}


class FetchFailed(Exception):
    """Nothing was got. The text says why, in one sentence."""


@dataclass(frozen=True, slots=True, repr=False)
class Got:
    """What a server answered, whatever its status. It has no repr, since a body may hold a token."""

    status: int
    body: bytes


class Fetcher(Caller):
    """A client that reads; use it as an async context manager."""

    async def get(self, url: str, *, live: bool, most_bytes: int) -> bytes:
        """Return the picture that lies at a URL, or raise `FetchFailed`. Redirects are not followed."""
        got = await self.ask("GET", url, live=live, most_bytes=most_bytes, headers=PICTURES)
        if got.status != HTTPStatus.OK:
            raise FetchFailed(f"The server answered {got.status}.")
        return got.body

    async def ask(
        self,
        method: str,
        url: str,
        *,
        live: bool,
        most_bytes: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> Got:
        """Return the answer to one request, or raise `FetchFailed`. Redirects are not followed.

        It takes `seconds` at most, whatever the server does, and an answer above `most_bytes` is dropped.
        """
        try:
            target = judge_url(url, live=live, allow_local=self._allow_local)
            lines = header_lines({"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})})
            reply = await self._call(target, Request(method, [*lines, NO_EXPECT], body, seconds, seconds, most_bytes))
        except TargetRefused as refused:
            raise FetchFailed(str(refused)) from None
        except (LookupFailed, TimeoutError, ValueError) as failure:
            raise FetchFailed(f"The server could not be asked ({type(failure).__name__}).") from None
        if reply.code == pycurl.E_WRITE_ERROR:
            raise FetchFailed(f"It is larger than {most_bytes // 1024} KiB.")
        if reply.refused:
            raise FetchFailed(reply.refused)
        if reply.status is None or not reply.whole:
            raise FetchFailed(f"The server could not be asked ({error_of(reply)}).")
        return Got(reply.status, reply.body)
