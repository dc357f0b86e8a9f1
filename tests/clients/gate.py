"""A server that goes away and comes back, as clients see it."""

import asyncio
import socket


class Gate:
    """A port that leads to the server while it is open."""

    def __init__(self, server_url):
        self.target = server_url.split(":")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.listener, self.writers, self.opened = None, [], 0

    @property
    def is_open(self):
        return self.listener is not None and self.listener.is_serving()

    async def open(self):
        self.listener = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        self.opened += 1

    def close(self):
        self.listener.close()
        for writer in self.writers:
            writer.transport.abort()

    async def connect(self, reader, writer):
        server_reader, server_writer = await asyncio.open_connection(*self.target)
        self.writers += [writer, server_writer]
        await asyncio.gather(self.pump(reader, server_writer), self.pump(server_reader, writer), return_exceptions=True)

    async def pump(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
