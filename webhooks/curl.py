"""A delivery's request as a command, to repeat it by hand against a server that is being worked on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from webhooks.sending import BASE_HEADERS
from webhooks.signing import sign

if TYPE_CHECKING:
    from datetime import datetime

    from webhooks.models import Event, WebhookEndpoint


def as_curl(endpoint: WebhookEndpoint, event: Event, at: datetime) -> str:
    """Return a command line that sends an event as we would at that moment, signed: receivers take it for 5 minutes."""
    body: str = event.body
    signed = sign(endpoint.signing_secrets(at), event.public_id, int(at.timestamp()), body.encode())
    headers = {name: BASE_HEADERS[name] for name in ("Content-Type", "User-Agent")} | signed
    lines = [f"curl -i {shlex.quote(endpoint.url)}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    return " \\\n  ".join([*lines, f"--data-raw {shlex.quote(body)}"])
