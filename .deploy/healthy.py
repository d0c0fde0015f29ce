"""Whether the web process of this container answers: what its HEALTHCHECK runs."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

SECONDS = 4


def main() -> int:
    """Ask for /healthz on our own port, by the host name that is served."""
    port = int(os.environ.get("PORT", "8000"))
    connection: http.client.HTTPConnection
    if os.environ.get("TLS_CERT_FILE"):
        # The certificate names the public host, and we ask ourselves.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": urlsplit(os.environ["BASE_URL"]).netloc})
        return int(connection.getresponse().status != http.HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
