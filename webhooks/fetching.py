"""One GET from an address that a tenant named, behind the same wall as deliveries: judged, pinned, bounded."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import aiohttp
from yarl import URL

from webhooks.addresses import TargetRefused, judge_url
from webhooks.sending import USER_AGENT, Sender

TOTAL_SECONDS = 10.0


class FetchFailed(Exception):
    """Nothing was got. The text says why, in one sentence."""


class Fetcher(Sender):
    """A client that reads; use it as an async context manager."""

    async def get(self, url: str, *, live: bool, most_bytes: int) -> bytes:
        """Return what lies at a URL, or raise `FetchFailed`. Redirects are not followed."""
        if self._session is None:
            raise RuntimeError("use the fetcher inside `async with`")
        try:
            target = judge_url(url, live=live, allow_local=self._allow_local)
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                self._session.get(
                    URL(target.url, encoded=True),
                    headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
                    allow_redirects=False,
                ) as response,
            ):
                if response.status != HTTPStatus.OK:
                    raise FetchFailed(f"The server answered {response.status}.")
                return await _whole(response, most_bytes)
        except TargetRefused as refused:
            raise FetchFailed(str(refused)) from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as failure:
            raise FetchFailed(f"The server could not be asked ({type(failure).__name__}).") from None


async def _whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        read += chunk
        if len(read) > most_bytes:
            raise FetchFailed(f"It is larger than {most_bytes // 1024} KiB.")
    return bytes(read)
