"""What is no HTTP is refused by the web server itself, in the shape of every other refusal."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.xdist_group("live")
UNREADABLE = {
    "an address without end": b"GET /v1/customers?q=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header without end": b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
    "too many headers": b"GET /v1/me HTTP/1.1\r\n" + b"X-One: 1\r\n" * 200 + b"\r\n",
    "a header without a colon": b"GET /v1/me HTTP/1.1\r\nHost localhost\r\n\r\n",
    "no request line": b"nonsense\r\n\r\n",
    "two lengths": b"POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a broken chunk": (
        b"POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("request_bytes", UNREADABLE.values(), ids=UNREADABLE)
def test_it_is_400_in_the_shape_of_the_api(live_stack, request_bytes):
    with socket.create_connection(("127.0.0.1", urlsplit(live_stack.base_url).port), timeout=20) as server:
        server.sendall(request_bytes)
        answer = b""
        # What it has not read when it closes makes the kernel add a reset after the answer.
        with suppress(ConnectionResetError):
            while piece := server.recv(65536):
                answer += piece

    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Type: application/json" in head
    assert (told["statusCode"], told["error"], told["code"]) == (400, "Bad Request", "VALIDATION_ERROR")
    assert told["requestId"].encode() in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"Content-Security-Policy: default-src 'none'" in head
