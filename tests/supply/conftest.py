"""A site that answers to one host name, as the web process does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.stack import free_port


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        known = (self.path, self.headers["Host"]) == ("/healthz", "billing.example.com")
        self.send_response(200 if known else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def live_site():
    """Return the port of a site, or one that nobody listens on."""
    server = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield lambda listening: server.server_port if listening else free_port()
    server.shutdown()
    server.server_close()
