"""A proxy that forwards data with a delay to the original destination of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time

# Linux's socket option for the original destination of a redirected connection.
SO_ORIGINAL_DST = 80
CHUNK_BYTES = 64 * 1024
# The bytes in flight in one direction of a connection; above that, the sender waits.
MAX_CHUNKS = 64


class DelayProxy:
    """Delays the client's data by *request_s* and the server's by *response_s*."""

    def __init__(self, *, request_s: float, response_s: float) -> None:
        self._request_s, self._response_s = request_s, response_s
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free port of 127.0.0.1, and return it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close every connection, so that both ends reconnect without the proxy."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with contextlib.suppress(OSError):
            address = original(writer.get_extra_info("socket"))
            onward_reader, onward_writer = await asyncio.open_connection(*address)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_later(reader, onward_writer, self._request_s))
                    both.create_task(_later(onward_reader, writer, self._response_s))
            except* OSError:
                pass
            finally:
                onward_writer.close()
                writer.close()


def original(connection: socket.socket) -> tuple[str, int]:
    """Return the original destination of a redirected connection."""
    found = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", found)
    return socket.inet_ntoa(address), port


async def _later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_CHUNKS)

    async def take() -> None:
        while True:
            data = await reader.read(CHUNK_BYTES)
            await waiting.put((time.monotonic() + delay_s, data))
            if not data:
                return

    async with asyncio.TaskGroup() as both:
        both.create_task(take())
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
