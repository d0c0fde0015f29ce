"""One POST to a receiver whom nobody trusts."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.webhooks.receiver import Receiver, Reply
from webhooks import sending, wire
from webhooks.sending import Answer, Sender, SendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADERS = {"webhook-id": "evt_1"}


def post(url: str, *, body: bytes = b"{}", secrets: tuple[str, ...] = (), **options: Any) -> Answer:
    """Send once with a sender of its own that may reach this machine."""

    async def send() -> Answer:
        async with Sender(**({"allow_local": True} | options)) as sender:
            return await sender.post(url, HEADERS, body, known_secrets=secrets)

    return asyncio.run(send())


@contextmanager
def raw_server(conversation: Any) -> Iterator[int]:
    """Serve bare sockets: `conversation(connection)` runs for each, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                conversation(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_a_2xx_delivers_and_the_headers_are_ours(receiver: Receiver) -> None:
    answer = post(f"{receiver.url}/../a//{{b}}?a=%41&b=%2F|^", body=b'{"a":1}')

    assert answer.delivered
    assert (answer.status, answer.error, answer.excerpt) == (200, "", "ok")
    [call] = receiver.calls
    assert call.path == "/hooks/../a//{b}?a=%41&b=%2F|^"
    assert call.body == b'{"a":1}'
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"].startswith("StackBE-Webhooks/")
    assert call.headers["accept-encoding"] == "identity"
    assert call.headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("status", "error", "retry_after"),
    [(204, "", None), (301, "REDIRECT_NOT_FOLLOWED", "17"), (404, "BAD_STATUS", "17"), (500, "BAD_STATUS", "17")],
)
def test_the_status_decides(receiver: Receiver, status: int, error: str, retry_after: str | None) -> None:
    receiver.answer = lambda _: Reply(status, b"", {"Retry-After": "17"})

    answer = post(receiver.url)

    assert (answer.status, answer.error, answer.retry_after) == (status, error, retry_after)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.answer = lambda _: Reply(307, headers={"Location": elsewhere.url})

        answer = post(receiver.url)

        assert answer.error is SendError.REDIRECT_NOT_FOLLOWED
        assert elsewhere.connections == 0


def test_proxies_of_the_environment_are_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert post(receiver.url).delivered
        assert proxy.connections == 0


def test_cookies_are_not_kept(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(headers={"Set-Cookie": "a=1"})

    async def twice() -> None:
        async with Sender(allow_local=True) as sender:
            await sender.post(receiver.url, HEADERS, b"{}")
            await sender.post(receiver.url, HEADERS, b"{}")

    asyncio.run(twice())

    assert ["cookie" in call.headers for call in receiver.calls] == [False, False]
    assert receiver.connections == 1


def test_a_kept_connection_serves_its_own_name_alone(receiver: Receiver) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def by_turns() -> None:
        async with Sender(allow_local=True, lookup=here) as sender:
            for name in ("a", "b", "a", "b"):
                assert (await sender.post(f"http://{name}.example.com:{receiver.port}/", HEADERS, b"{}")).delivered

    asyncio.run(by_turns())

    assert receiver.connections == 2
    assert [call.headers["host"][0] for call in receiver.calls] == ["a", "b", "a", "b"]


def test_connections_that_nothing_uses_are_closed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def with_a_pause() -> None:
        async with Sender(allow_local=True) as sender:
            await sender.post(receiver.url, HEADERS, b"{}")
            monkeypatch.setattr(wire, "KEEPALIVE_SECONDS", 0)
            await asyncio.sleep(3 * wire.SWEEP_SECONDS)
            await sender.post(receiver.url, HEADERS, b"{}")

    asyncio.run(with_a_pause())

    assert receiver.connections == 2


def test_a_connection_goes_to_no_address_but_those_of_the_look_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(host: str, port: int) -> list[str]:
        return ["127.0.0.2"]

    def led_astray(*judged: Any) -> wire.Pinned:
        pinned = wire.Pinned(*judged)
        pinned.answers = [f"hooks.example.com:{receiver.port}:127.0.0.1"]
        return pinned

    monkeypatch.setattr(sending, "Pinned", led_astray)

    answer = post(f"http://hooks.example.com:{receiver.port}/", lookup=elsewhere)

    assert answer.error is SendError.ADDRESS_REFUSED
    assert receiver.connections == 0


def test_a_header_cannot_begin_another_line() -> None:
    with pytest.raises(ValueError, match="line break"):
        wire.header_lines({"webhook-id": "evt_1\r\nX-Injected: 1"})


def test_a_receiver_that_hangs_costs_no_more_than_the_limit(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(hang=10)

    started = time.monotonic()
    answer = post(receiver.url, total_seconds=0.3)

    assert (answer.status, answer.error) == (None, SendError.TIMEOUT)
    assert 300 <= answer.duration_ms < 2000
    assert time.monotonic() - started < 2


def test_headers_that_dribble_cost_no_more_than_the_limit() -> None:
    def dribble(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-A: b\r\n")
            time.sleep(0.05)

    with raw_server(dribble) as port:
        answer = post(f"http://127.0.0.1:{port}/", total_seconds=0.4)

    assert answer.status is None
    assert answer.error in {SendError.TIMEOUT, SendError.PROTOCOL_ERROR}
    assert answer.duration_ms < 2000


def test_an_endless_head_is_no_answer() -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sent += connection.send(b"X-A: b\r\n" * 500)

    with raw_server(pour) as port:
        answer = post(f"http://127.0.0.1:{port}/")

    assert (answer.status, answer.error) == (None, SendError.PROTOCOL_ERROR)
    assert sent < 8_000_000


def test_an_endless_body_is_read_to_64_kib() -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sent += connection.send(b"y" * 4096)

    with raw_server(pour) as port:
        answer = post(f"http://127.0.0.1:{port}/")

    assert answer.delivered
    assert answer.excerpt == "y" * 1024
    assert sent < 8_000_000  # What the kernel's buffers hold, of the gigabyte that was promised.


def test_a_body_that_dribbles_does_not_undo_the_acknowledgement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "BODY_SECONDS", 0.2)

    def dribble(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            connection.sendall(b"z")
            time.sleep(0.02)

    with raw_server(dribble) as port:
        answer = post(f"http://127.0.0.1:{port}/")

    assert answer.delivered
    assert answer.duration_ms < 3000
    assert set(answer.excerpt) == {"z"}


def test_a_compressed_answer_is_not_unpacked(receiver: Receiver) -> None:
    bomb = b"\x1f\x8b\x08" + b"0" * 40
    receiver.answer = lambda _: Reply(200, bomb, {"Content-Encoding": "gzip"})

    assert post(receiver.url).delivered


def test_what_is_not_http_is_a_protocol_error() -> None:
    def speak_ssh(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")

    with raw_server(speak_ssh) as port:
        answer = post(f"http://127.0.0.1:{port}/")

    assert (answer.status, answer.error) == (None, SendError.PROTOCOL_ERROR)


def test_a_closed_port_and_a_cut_connection_are_connection_failures() -> None:
    with raw_server(lambda connection: connection.recv(65536)) as port:
        cut = post(f"http://127.0.0.1:{port}/")
    closed = post(f"http://127.0.0.1:{port}/")

    assert cut.error is SendError.CONNECTION_FAILED
    assert closed.error is SendError.CONNECTION_FAILED


def test_a_name_without_an_answer_is_a_dns_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(10)
        return []

    monkeypatch.setattr(sending, "LOOKUP_SECONDS", 0.1)

    assert post("http://nowhere.example.com/", lookup=unknown).error is SendError.DNS_FAILED
    assert post("http://slow.example.com/", lookup=slow).error is SendError.DNS_FAILED


def test_the_system_resolver_is_asked_where_no_other_is_given(receiver: Receiver) -> None:
    assert post(f"http://localhost:{receiver.port}/").delivered


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for hooks.example.com, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example.com")])
    today = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([
                x509.DNSName("hooks.example.com"),
                x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
            ]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_proves_the_name_while_the_connection_goes_to_the_judged_address(
    receiver: Receiver, certificate: Path
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    seen: list[str | None] = []
    server.sni_callback = lambda _, name, __: seen.append(name)
    receiver._server.socket = server.wrap_socket(receiver._server.socket, server_side=True)
    trusting = str(certificate)

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    def send(name: str, ca_file: str | None) -> Answer:
        return post(f"https://{name}:{receiver.port}/x", lookup=here, ca_file=ca_file)

    assert send("hooks.example.com", trusting).delivered
    assert send("other.example.com", trusting).error is SendError.TLS_FAILED
    assert send("hooks.example.com", None).error is SendError.TLS_FAILED
    assert seen[0] == "hooks.example.com"
    assert [call.headers["host"] for call in receiver.calls] == [f"hooks.example.com:{receiver.port}"]
