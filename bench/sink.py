"""A receiver that costs next to nothing: it answers 200 to every request on kept connections, and counts.

    python3 -m bench.sink PORT

It reads no more of a request than its length, so that what is measured is who sends.
"""

import asyncio
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self):
        self.got = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.got += data
        while True:
            head, found, body = self.got.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            self.got = body[length:]
            self.transport.write(ANSWER)


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
