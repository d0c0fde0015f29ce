"""The floor in Python: uvloop, httptools and asyncpg, the plain view's statements prepared, and no framework.

It refuses nothing that the benchmark does not send.
"""

import asyncio
import hashlib
import json
import os
import signal
import socket
from urllib.parse import parse_qs

import asyncpg
import httptools
import uvloop

from bench.peers import statements


def numbered(statement):
    """Return a statement with asyncpg's placeholders for psycopg's."""
    first, *others = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))


CHECK, TRACK = numbered(statements.CHECK), numbered(statements.TRACK)


class Connection(asyncio.Protocol):
    """One client; it may keep its connection."""

    pool = None
    running: set[asyncio.Task] = set()  # a task that nothing holds may be collected before it ends

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_begin(self):
        self.url, self.key, self.body = b"", b"", b""

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        if name.lower() == b"authorization":
            self.key = value[7:]

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        task = asyncio.ensure_future(self.answer(self.url, self.key, self.body, kept=self.parser.should_keep_alive()))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def answer(self, url, key, body, *, kept):
        try:
            told = await self.asked(httptools.parse_url(url), hashlib.sha256(key).digest(), body)
            status = b"404 Not Found" if told is None else b"200 OK"
        except Exception as error:  # noqa: BLE001  # the client prints what it was told
            told, status = {"error": repr(error)}, b"500 Internal Server Error"
        sent = json.dumps(told).encode()
        lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(sent)]
        if not kept:
            lines.append(b"Connection: close")
        self.transport.write(b"\r\n".join([*lines, b"", sent]))
        if not kept:
            self.transport.close()

    async def asked(self, url, digest, body):
        if url.path.startswith(b"/v1/entitlements/check/"):
            feature = url.path.rpartition(b"/")[2].decode()
            customer = parse_qs(url.query.decode())["customerId"][0]
            row = await self.pool.fetchrow(CHECK, customer, feature, digest)
            return row and {"hasAccess": True, "value": row[0]}
        told = json.loads(body)
        total = await self.pool.fetchval(
            TRACK, digest, told["customerId"], told["metric"], told.get("quantity", 1), told["idempotencyKey"]
        )
        return None if total is None else {"success": True, "currentUsage": total}


async def serve(listening):
    Connection.pool = await asyncpg.create_pool(
        host=os.environ["PEERS_SOCKETS"], user="postgres", database=os.environ["PEERS_DATABASE"], min_size=4, max_size=8
    )
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with await asyncio.get_running_loop().create_server(Connection, sock=listening):
        await stopped.wait()


def main():
    listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=1024)
    for _ in range(int(os.environ["WORKERS"]) - 1):
        if os.fork() == 0:
            break
    uvloop.run(serve(listening))


main()
