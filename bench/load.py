"""A closed loop of HTTP/1.1 requests from one process without threads; with a `rate`, an open one.

Sync workers close every connection, so each request pays for its own, and asks every server to close it. A
server that can keep connections is measured a second time with them kept. The loop costs the client some
60 µs a request.

A plan with a `rate` asks for so many requests a second: each connection has its next request's moment, and a
request's time runs from that moment, so that an answer which kept the next one waiting counts against both.
"""

import errno
import heapq
import json
import re
import resource
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from bench import asking

LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


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

    def __init__(self, sock, payload, began=None):
        self.began = time.perf_counter() if began is None else began
        self.sock = sock
        self.left = payload
        self.got = b""

    def whole(self):
        """Say whether all of the answer has come, on a connection that stays open."""
        head, parted, body = self.got.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        if found is None and b"chunked" in head.lower():
            return body.endswith(b"0\r\n\r\n")
        return bool(parted and found) and len(body) >= int(found[1])


class Loop:
    """So many connections, each with one request under way until there is no more to ask."""

    def __init__(self, plan):
        self.plan, self.payloads = plan, asking.every(plan)
        self.result = Result()
        self.selector = selectors.DefaultSelector()
        self.running = 0
        # Seconds between two requests of a connection, and the connections that wait for the moment of theirs.
        self.apart = plan["connections"] / plan["rate"] if plan.get("rate") else 0.0
        self.waiting = []

    def run(self):
        """Send requests until the time is up and at least so many are done."""
        began = time.perf_counter()
        self.until = began + self.plan["seconds"]
        for _ in range(self.plan["connections"]):
            self.connect()
        while self.running:
            for event, _ in self.selector.select(self.wait()):
                if event.data.left:
                    self.send(event.data)
                else:
                    self.receive(event.data)
        self.result.seconds = time.perf_counter() - began
        self.selector.close()
        return self.result

    def wait(self):
        """Begin what is due; return for how many seconds there is nothing to begin."""
        while self.waiting:
            moment, _, sock = self.waiting[0]
            left = moment - time.perf_counter()
            if left > 0:
                return left
            heapq.heappop(self.waiting)
            self.selector.register(sock, selectors.EVENT_WRITE, Call(sock, next(self.payloads), moment))
        return 5

    def connect(self):
        """Begin a request on a connection of its own."""
        sock = socket.socket()
        sock.setblocking(False)
        call = Call(sock, next(self.payloads))
        code = sock.connect_ex(("127.0.0.1", self.plan["port"]))
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, "connect")
        self.selector.register(sock, selectors.EVENT_WRITE, call)
        self.running += 1

    def send(self, call):
        """Send what the socket takes; what comes next is the answer."""
        sent = call.sock.send(call.left)
        call.left = call.left[sent:]
        if not call.left:
            self.selector.modify(call.sock, selectors.EVENT_READ, call)

    def receive(self, call):
        """Take what has come; after a whole answer, ask again."""
        try:
            data = call.sock.recv(65536)
        except ConnectionError:
            data = b""
        call.got += data
        if data and not (self.plan["kept"] and call.whole()):
            return
        note(self.result, call)
        more = time.perf_counter() < self.until or len(self.result.late_ms) < self.plan["least"]
        if data and more and self.apart:
            self.selector.unregister(call.sock)
            heapq.heappush(self.waiting, (call.began + self.apart, id(call.sock), call.sock))
            return
        if data and more:
            self.selector.modify(call.sock, selectors.EVENT_WRITE, Call(call.sock, next(self.payloads)))
            return
        self.selector.unregister(call.sock)
        call.sock.close()
        self.running -= 1
        if more:
            self.connect()


def note(result, call):
    """Write an answer down."""
    status = call.got[9:12].decode() or "none"
    result.statuses[status] = result.statuses.get(status, 0) + 1
    result.late_ms.append(round((time.perf_counter() - call.began) * 1000, 2))
    if not result.sample or (status != "200" and " 200 " in result.sample[:16]):
        result.sample = call.got.decode(errors="replace")


def main():
    """Run one plan from standard input and print what it came to."""
    # A crowd needs a socket for each; shells give 1,024 of what a process may have.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = json.load(sys.stdin)
    result = Loop(plan).run()
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
