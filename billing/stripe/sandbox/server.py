"""The HTTP server: one process, one state file, threads that share a lock."""

import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson

from billing.stripe.sandbox.api import Reply, account_for, call
from billing.stripe.sandbox.clock import Ticker
from billing.stripe.sandbox.connect import disconnect, exchange_code, open_platform
from billing.stripe.sandbox.context import new_id
from billing.stripe.sandbox.controls import run_control
from billing.stripe.sandbox.deliveries import Courier
from billing.stripe.sandbox.errors import OAuthError, StripeError
from billing.stripe.sandbox.faults import API_FAULTS, spend
from billing.stripe.sandbox.hosted import Answer, answer_page
from billing.stripe.sandbox.settings import Settings, origin
from billing.stripe.sandbox.store import Json, Store

LARGEST_BODY = 1 << 20
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class CutError(Exception):
    """A fault asks for the connection to end without an answer."""


class SandboxServer(ThreadingHTTPServer):
    """Stripe's API, OAuth and hosted pages, and the sandbox's controls, on one port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], settings: Settings, state: Path | str) -> None:
        """Bind, open the state, and let deliveries and the clock run."""
        self.ending = threading.Event()
        super().__init__(address, Handler)
        self.settings = settings
        self.store = Store(state)
        open_platform(self.store, settings)
        self.courier, self.ticker = Courier(self.store, settings), Ticker(self.store, settings)
        self.courier.start()
        self.ticker.start()

    def server_close(self) -> None:
        """Stop the threads and let go of port and file."""
        self.ending.set()
        super().server_close()
        if hasattr(self, "courier"):
            self.courier.stop()
            self.ticker.stop()
            self.store.close()


class Handler(BaseHTTPRequestHandler):
    """Reads one request and writes one answer."""

    server: SandboxServer
    protocol_version = "HTTP/1.1"
    server_version = "StripeSandbox"
    sys_version = ""
    timeout = 120
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a GET."""
        self.answer()

    do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: request lines hold ids, and the caller has its own log."""

    def answer(self) -> None:
        """Answer whatever was asked, in the shape that its part of the server speaks."""
        parts = urlsplit(self.path)
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self.send(413, StripeError("The request body is too large.").body)
            return
        body = self.rfile.read(int(length)).decode(errors="replace")
        try:
            self.check_host()
            self.dispatch(parts.path, parts.query, body)
        except StripeError as problem:
            self.send(problem.status, problem.body)
        except OAuthError as problem:
            self.send(problem.status, problem.body)
        except CutError:
            self.close_connection = True
        except ConnectionError:
            self.close_connection = True
        except Exception:  # noqa: BLE001 - a fault of the sandbox's own is told in Stripe's shape, and to its log
            traceback.print_exc()
            self.send(500, StripeError("The sandbox failed; its log says where.", kind="api_error").body)
        self.server.courier.wake()

    def check_host(self) -> None:
        """Refuse foreign host names and origins, so that no page on the web can reach in through a browser."""
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        sent_from = self.headers.get("Origin")
        trusted = sent_from in (None, f"http://{host}") or origin(self.server.settings.base_url) == sent_from
        if name not in LOOPBACK_NAMES or not trusted:
            message = "The sandbox answers on loopback only."
            raise StripeError(message, status=403)

    def dispatch(self, path: str, query: str, body: str) -> None:
        """Send a request to the part of the server that it is for."""
        store, settings = self.server.store, self.server.settings
        if path.startswith("/v1/"):
            self.answer_api(path, query, body)
        elif path.startswith("/_sandbox/"):
            given = dict(parse_qsl(query)) | parse_json(body)
            self.send(200, run_control(store, settings, self.command, path, given))
        elif path in ("/oauth/token", "/oauth/deauthorize") and self.command == "POST":
            self.send(200, self.oauth(path, dict(parse_qsl(body))))
        elif self.command in ("GET", "POST"):
            form = dict(parse_qsl(body, keep_blank_values=True)) if self.command == "POST" else None
            self.send_page(answer_page(store, settings, path, dict(parse_qsl(query)), form))
        else:
            self.send(404, StripeError(f"Unrecognized request URL ({self.command}: {path}).").body)

    def answer_api(self, path: str, query: str, body: str) -> None:
        """Answer a call of the API, with the faults in force."""
        store, settings = self.server.store, self.server.settings
        headers = {name.lower(): value for name, value in self.headers.items()}
        account = headers.get("stripe-account") or store.note("platform")
        struck = {fault["kind"]: fault for fault in spend(store, account, API_FAULTS, path)}
        if "api_500" in struck:
            message = "An unknown error occurred"
            raise StripeError(message, status=500, kind="api_error")
        try:
            reply = call(store, settings, self.command, path, query, body, headers)
        except StripeError as problem:
            reply = Reply(problem.status, problem.body)
        reply.headers.setdefault("Request-Id", new_id("req", 14))
        for name in ("Idempotency-Key", "Stripe-Account"):
            if name.lower() in headers:
                reply.headers[name] = headers[name.lower()]
        reply.headers["Stripe-Version"] = headers.get("stripe-version", settings.api_version)
        self.server.courier.wake()
        # Hanging and cutting come after the work is done: the caller cannot know, and must ask again with its key.
        if "api_hang" in struck:
            self.server.ending.wait(struck["api_hang"]["seconds"])
        if "api_cut" in struck:
            raise CutError
        self.send(reply.status, reply.body, reply.headers)

    def oauth(self, path: str, given: dict[str, str]) -> Json:
        """Exchange a code, or let go of an account, for the platform's own key only."""
        store, settings = self.server.store, self.server.settings
        headers = {"authorization": self.headers.get("Authorization", "")}
        if "client_secret" in given:
            headers = {"authorization": f"Bearer {given['client_secret']}"}
        if account_for(store, settings, headers) != store.note("platform"):
            error = "invalid_client"
            raise OAuthError(error, "Use the platform's own secret key.", status=401)
        if path == "/oauth/token":
            return exchange_code(store, settings, given)
        if given.get("client_id") != settings.client_id:
            error = "invalid_client"
            raise OAuthError(error, "No application matches the supplied client identifier.", status=401)
        return disconnect(store, settings, given.get("stripe_user_id", ""))

    def send(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        """Write a JSON answer."""
        written = orjson.dumps(body, option=orjson.OPT_INDENT_2)
        self.write(status, written, {"Content-Type": "application/json", **(headers or {})})

    def send_page(self, answer: Answer) -> None:
        """Write a page, or a redirect."""
        headers = {"Content-Type": "text/html; charset=utf-8", **PAGE_HEADERS}
        if answer.location:
            headers["Location"] = answer.location
        self.write(answer.status, answer.html.encode(), headers)

    def write(self, status: int, payload: bytes, headers: dict[str, str]) -> None:
        """Write an answer in one go."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("\r", "").replace("\n", ""))
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)


def parse_json(body: str) -> Json:
    """The JSON object of a control call; nothing at all is an empty one."""
    if not body.strip():
        return {}
    try:
        parsed = orjson.loads(body)
    except ValueError as problem:
        message = "The body is not valid JSON."
        raise StripeError(message) from problem
    if not isinstance(parsed, dict):
        message = "The body must be a JSON object."
        raise StripeError(message)
    return parsed
