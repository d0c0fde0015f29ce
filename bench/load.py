"""A closed loop of HTTP/1.1 requests, one connection each, from one process without threads.

Sync workers close every connection, so each request pays for its own: the same for every server that is
measured. The loop costs the client some 60 µs a request.
"""

import errno
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Result:
    """What one stretch of load came to. `statuses` counts answers, `late_ms` holds each one's time."""

    seconds: float = 0.0
    statuses: dict = field(default_factory=dict)
    late_ms: list = field(default_factory=list)
    sample: str = ""


class Call:
    """One request under way."""

    __slots__ = ("began", "got", "left", "sock")

    def __init__(self, address, payload):
        self.began = time.perf_counter()
        self.left = payload
        self.got = b""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        code = self.sock.connect_ex(address)
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, "connect")


def run(port, payloads, seconds, connections, least):
    """Send requests, `connections` at a time, until the time is up and at least so many are done."""
    result, address = Result(), ("127.0.0.1", port)
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    until, running = began + seconds, 0

    def start():
        call = Call(address, next(payloads))
        selector.register(call.sock, selectors.EVENT_WRITE, call)

    for _ in range(connections):
        start()
        running += 1
    while running:
        for event, _ in selector.select(5):
            call = event.data
            if call.left:
                sent = call.sock.send(call.left)
                call.left = call.left[sent:]
                if not call.left:
                    selector.modify(call.sock, selectors.EVENT_READ, call)
                continue
            try:
                data = call.sock.recv(65536)
            except ConnectionError:
                data = b""
            if data:
                call.got += data
                continue
            selector.unregister(call.sock)
            call.sock.close()
            note(result, call)
            if time.perf_counter() < until or len(result.late_ms) < least:
                start()
            else:
                running -= 1
    result.seconds = time.perf_counter() - began
    selector.close()
    return result


def note(result, call):
    """Write an answer down."""
    status = call.got[9:12].decode() or "none"
    result.statuses[status] = result.statuses.get(status, 0) + 1
    result.late_ms.append(round((time.perf_counter() - call.began) * 1000, 2))
    if not result.sample or (status != "200" and " 200 " in result.sample[:16]):
        result.sample = call.got.decode(errors="replace")


def requests(plan):
    """Yield requests: every tenant and customer in turn, no idempotency key twice."""
    number, run_id = 0, plan["run"]
    asked, extra = plan["asked"], plan["headers"]
    while True:
        tenant = asked[number % len(asked)]
        customer = tenant["customers"][number // len(asked) % len(tenant["customers"])]
        head = f"Host: localhost\r\nAuthorization: Bearer {tenant['key']}\r\nAccept: */*\r\n{extra}"
        if plan["operation"] == "check":
            yield f"GET /v1/entitlements/check/sso?customerId={customer} HTTP/1.1\r\n{head}\r\n".encode()
        else:
            asks = {
                "customerId": customer,
                "metric": "api_calls",
                "quantity": 1,
                "idempotencyKey": f"{run_id}-{number}",
            }
            body = json.dumps(asks)
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            yield f"POST /v1/usage/track HTTP/1.1\r\n{head}\r\n{body}".encode()
        number += 1


def main():
    """Run one plan from standard input and print what it came to."""
    plan = json.load(sys.stdin)
    result = run(plan["port"], requests(plan), plan["seconds"], plan["connections"], plan["least"])
    times = sorted(result.late_ms)
    print(
        json.dumps(
            {
                "seconds": result.seconds,
                "statuses": result.statuses,
                "p50_ms": times[len(times) // 2],
                "p99_ms": times[int(len(times) * 0.99)],
                "sample": result.sample,
            }
        )
    )


if __name__ == "__main__":
    main()
