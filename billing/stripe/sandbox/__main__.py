"""Start the sandbox: `python -m billing.stripe.sandbox --host 127.0.0.1 --port 8001 --state PATH`."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from billing.stripe.sandbox.server import SandboxServer
from billing.stripe.sandbox.settings import RefusesToStartError, check_loopback, read_settings


def main() -> int:
    """Serve until asked to stop; 2 when the environment or the port does not allow it."""
    parser = argparse.ArgumentParser(prog="python -m billing.stripe.sandbox", description="Stripe without Stripe.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file that holds everything")
    asked = parser.parse_args()
    try:
        host = check_loopback(asked.host)
        settings = read_settings(os.environ, public_url=f"http://{host}:{asked.port}")
        asked.state.parent.mkdir(parents=True, exist_ok=True)
        server = SandboxServer((host, asked.port), settings, asked.state)
    except (RefusesToStartError, OSError) as problem:
        sys.stderr.write(f"sandbox: {problem}\n")
        return 2

    def stop(*_: object) -> None:
        """Leave `serve_forever`, which must be asked from another thread."""
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.stdout.write(f"sandbox: listening on {settings.public_url}\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
