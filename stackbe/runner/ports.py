"""Which ports of this machine are free."""

from __future__ import annotations

import contextlib
import errno
import socket

from stackbe.runner.state import RunnerError

LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
LAST_PORT = 65535


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback interface."""
    for family, address in LOOPBACKS:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((address, port))
            except OSError as error:
                if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                    return False
                # Anything else means that the machine lacks this kind of address.
    return True


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback address to serve on."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as attempt:
        attempt.bind(("::1", 0))
        return True
    return False


def require_free(port: int) -> None:
    """Stop with a sentence that names a port which works, unless this one and the next are free."""
    if not 1 <= port < LAST_PORT:
        message = f"There is no port {port}: choose one from 1024 to {LAST_PORT - 1}."
        raise RunnerError(message)
    taken = [each for each in (port, port + 1) if not is_free(each)]
    if not taken:
        return
    better = next((each for each in range(port + 10, LAST_PORT, 10) if is_free(each) and is_free(each + 1)), None)
    who = "this copy's web server" if taken[0] == port else f"the Stripe sandbox beside port {port}"
    advice = f" Free: python3 manage.py up --port {better}" if better else ""
    message = f"Port {taken[0]}, wanted for {who}, is taken by another program.{advice}"
    raise RunnerError(message)
