"""Bodies of all framings reach the application whole."""

from __future__ import annotations

import http.client
import io
import json
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from stackbe.kernel.bodies import MOST_DISCARDED_BYTES, WholeBodies
from stackbe.kernel.wire import BODY_BYTES


class Endless(io.RawIOBase):
    """A body whose sender never stops; it counts what was read of it."""

    taken = 0

    def read(self, size=-1):
        self.taken += size
        return b"x" * size


def served(environ):
    """Serve one request; return what an application that reads by length saw of it."""
    seen = {}

    def application(environ, _start):
        seen["length"] = environ.get("CONTENT_LENGTH")
        seen["body"] = environ["wsgi.input"].read(min(int(seen["length"] or 0), BODY_BYTES + 1))
        return [b"answer"]

    assert WholeBodies(application)(environ, lambda *_: None) == [b"answer"]
    return seen


def test_a_chunked_body_gets_a_length():
    seen = served({"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input": io.BytesIO(b'{"a":1}')})

    assert seen == {"length": "7", "body": b'{"a":1}'}


def test_a_chunked_body_without_end_is_measured_and_not_kept():
    stream = Endless()
    seen = served({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": stream})

    assert int(seen["length"]) == BODY_BYTES + 1
    assert stream.taken <= BODY_BYTES + 1 + MOST_DISCARDED_BYTES


def test_what_a_refused_body_still_holds_is_read_off():
    stream = io.BytesIO(b"x" * 3 * BODY_BYTES)
    served({"CONTENT_LENGTH": str(3 * BODY_BYTES), "wsgi.input": stream})

    assert stream.read() == b""


def test_a_small_body_is_left_to_the_application():
    stream = io.BytesIO(b"{} and the next request")
    seen = served({"CONTENT_LENGTH": "2", "wsgi.input": stream})

    assert seen["body"] == b"{}"
    assert stream.read() == b" and the next request"


@pytest.mark.xdist_group("live")
def test_a_running_copy_takes_chunks(live_stack):
    copy = live_stack.new_tenant()
    connection = http.client.HTTPConnection(urlsplit(live_stack.base_url).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {copy['apiKey']}", "Content-Type": "application/json"}

    def post(pieces):
        connection.request("POST", "/v1/customers", iter(pieces), headers, encode_chunked=True)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    with closing(connection):
        assert post([b'{"name": "', *[b"x" * 10_000] * 30, b'"}'])[0] == 413
        status, made = post([b'{"email": "chunks', b'@acme.example"}'])

    assert (status, made["email"]) == (201, "chunks@acme.example")
