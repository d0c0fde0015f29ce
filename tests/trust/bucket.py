"""An object store on loopback that speaks the S3 of which AUDIT_HEADS makes use, and holds its callers to it.

It proves each signature by a reading of its own of AWS Signature Version 4, and lists two keys a page, so that a caller
who reads one page alone misses most.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

KEY_ID, SECRET = "keyOfTheTests", "secret/of+theTestsAlone"
NAME = "audit"
PAGE = 2
CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(.+), SignedHeaders=(.+), Signature=(.+)")


class Refused(Exception):
    """A status, and S3's code for it."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(lambda name, _: self.put(name, content), content)

    def do_GET(self):
        self.answer(lambda name, query: self.listed(query) if not name else self.server.objects[name], b"")

    def put(self, name, content):
        if base64.b64decode(self.headers["Content-MD5"]) != hashlib.md5(content, usedforsecurity=False).digest():
            raise Refused(400, "BadDigest")
        if self.headers["If-None-Match"] != "*" or name in self.server.objects:
            raise Refused(412, "PreconditionFailed")
        self.server.objects[name] = content
        return b""

    def listed(self, query):
        prefix, after = query["prefix"], query.get("continuation-token", "")
        names = [n for n in sorted(self.server.objects) if n.startswith(prefix)]
        if query.get("delimiter"):
            names = sorted({prefix + n[len(prefix) :].partition("/")[0] + "/" for n in names})
        names = [n for n in names if not after or n > after]
        page, kind = names[:PAGE], "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>"
        rows = "".join(
            (kind if query.get("delimiter") else "<Contents><Key>{}</Key></Contents>").format(quote(n)) for n in page
        )
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if len(names) > PAGE else ""
        return f"<ListBucketResult><Prefix>{prefix}</Prefix>{more}{rows}</ListBucketResult>".encode()

    def answer(self, do, content):
        parts = urlsplit(self.path)
        try:
            self.proven(parts, content)
            status, body = 200, do(parts.path.removeprefix(f"/{NAME}").lstrip("/"), dict(parse_qsl(parts.query)))
        except Refused as refused:
            status, body = refused.args[0], f"<Error><Code>{refused.args[1]}</Code></Error>".encode()
        self.server.asked.append((self.command, parts.path, status))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def proven(self, parts, content):
        match = CREDENTIAL.fullmatch(self.headers["Authorization"])
        key_id, scope, names, signature = match.groups()
        digest = hashlib.sha256(content).hexdigest()
        canonical = [self.command, parts.path, parts.query]
        canonical += [f"{n}:{self.headers[n].strip()}" for n in names.split(";")] + ["", names, digest]
        hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        key = b"AWS4" + SECRET.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashed])
        wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        signed = {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names.split(";"))
        if (key_id, signature, digest) != (KEY_ID, wanted, self.headers["x-amz-content-sha256"]) or not signed:
            raise Refused(403, "SignatureDoesNotMatch")

    def log_message(self, *_):
        pass


def serve(tls=None):
    """Start a store that is empty, over TLS where a server's context is given; it has `objects`, `asked`, `endpoint`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.objects, server.asked = {}, []
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
