"""A store of objects that speaks S3: put what is new, read, list. Nothing here overwrites or deletes.

Three requests of a protocol that many stores speak are all that is wanted, so this is a page and no SDK. Each is signed
with AWS Signature Version 4. The bucket is named in the path, which every such store understands.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from stackbe.kernel.clock import wall_clock
from stackbe.trust.checks.asking import tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

SECONDS = 20
# How many objects are read at once, and how many wait in memory for whoever reads them.
READERS, WINDOW = 8, 256
NEW_ONLY = {"If-None-Match": "*"}
# A listing is flat, and its keys come percent-encoded: no XML parser is let near what a network sends.
KEY = re.compile(r"<Key>([^<]*)</Key>")
FOLDER = re.compile(r"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>")
MORE = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")
ERROR = re.compile(r"<Code>([^<]*)</Code>")


class StoreFailed(Exception):
    """The store did not do what was asked; the text says what it answered, and holds no secret."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A bucket, and the key pair that it is asked with."""

    endpoint: str
    region: str
    bucket: str
    key_id: str
    secret: str = field(repr=False)

    def put_new(self, name: str, content: bytes) -> None:
        """Store an object under a name that none has yet. Raises `StoreFailed`, also where there is one."""
        # A bucket that locks its objects wants the digest; what is kept here proves itself by signatures.
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        self._ask("PUT", name, {}, content, {**NEW_ONLY, "Content-MD5": digest})

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin so, in their order."""
        return self._listed({"prefix": prefix}, KEY)

    def folders(self, prefix: str) -> list[str]:
        """Return what stands between a prefix and the next slash, slash included, each once and in order."""
        return self._listed({"delimiter": "/", "prefix": prefix}, FOLDER)

    def read(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield the objects' contents, several fetched at a time."""
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(names), WINDOW):
                yield from pool.map(self._get, names[start : start + WINDOW])

    def _get(self, name: str) -> bytes:
        return self._ask("GET", name, {})

    def _listed(self, asked: Mapping[str, str], wanted: re.Pattern[str]) -> list[str]:
        found: list[str] = []
        query = {"encoding-type": "url", "list-type": "2", **asked}
        while True:
            page = self._ask("GET", "", query).decode("utf-8", "replace")
            found += [unquote(each) for each in wanted.findall(page)]
            more = MORE.search(page)
            if more is None:
                return sorted(found)
            query["continuation-token"] = html.unescape(more[1])

    def _ask(
        self,
        method: str,
        name: str,
        query: Mapping[str, str],
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        parts = urlsplit(self.endpoint)
        path = quote("/".join(filter(None, (parts.path.strip("/"), self.bucket, name))))
        path, asked = f"/{path}", spelt(query)
        sent = {"Host": parts.netloc, **(headers or {})}
        sent |= signature(self, method, path, asked, content, sent, wall_clock())
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.netloc, timeout=SECONDS, context=tls())
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=SECONDS)
        try:
            connection.request(method, f"{path}?{asked}" if asked else path, content or None, sent)
            reply = connection.getresponse()
            answer = reply.read()
        except (OSError, http.client.HTTPException) as failure:
            raise StoreFailed(f"{parts.netloc} did not answer ({type(failure).__name__}).") from failure
        finally:
            connection.close()
        if reply.status != HTTPStatus.OK:
            code = ERROR.search(answer.decode("utf-8", "replace"))
            said = f"{reply.status} {code[1] if code else reply.reason}"
            raise StoreFailed(f"{parts.netloc} answered {said} to {method} {self.bucket}/{name}.")
        return answer


def spelt(query: Mapping[str, str]) -> str:
    """Return a query in the one spelling that signatures know: sorted, percent-encoded but for `-_.~`."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))


def signature(
    store: ObjectStore,
    method: str,
    path: str,
    query: str,
    content: bytes,
    headers: Mapping[str, str],
    moment: datetime,
) -> dict[str, str]:
    """Return the headers that sign a request: AWS Signature Version 4 over all headers given and the content."""
    day, digest = f"{moment:%Y%m%d}", hashlib.sha256(content).hexdigest()
    stamps = {"x-amz-content-sha256": digest, "x-amz-date": f"{moment:%Y%m%dT%H%M%SZ}"}
    signed = {name.lower(): value.strip() for name, value in {**headers, **stamps}.items()}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    purpose = f"{day}/{store.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamps['x-amz-date']}\n{purpose}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{store.secret}".encode()
    for part in (*purpose.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = f"AWS4-HMAC-SHA256 Credential={store.key_id}/{purpose}, SignedHeaders={names}, Signature={key.hex()}"
    return {**stamps, "Authorization": proof}
