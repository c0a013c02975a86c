"""One exchange with a server at the byte level, for requests that a client library would not send."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

LIMIT_S = 5.0
MAX_READ_BYTES = 64 * 1024
Address = tuple[str, int]
Header = tuple[bytes, bytes]
# Requests are invalid on purpose; responses are read as they come.
_ANYTHING_GOES = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
)


@dataclass(frozen=True)
class Call:
    """An HTTP/2 request as it goes on the wire; without *end* it stays unfinished."""

    headers: tuple[Header, ...]
    body: bytes = b""
    end: bool = True


class Answered(Exception):
    """The server has responded or closed the stream; the text says with what."""


class Http2:
    """An HTTP/2 connection that does not validate what it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.state = H2Connection(config=_ANYTHING_GOES)
        self._status: dict[int, str] = {}

    async def begin(self) -> None:
        """
        Send the preface.
        """
        self.state.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        """
        Write the pending bytes.
        """
        self.writer.write(self.state.data_to_send())
        await self.writer.drain()

    async def start(self, call: Call) -> int:
        """
        Send the header of *call*, and its body as far as the window allows; return the stream id.
        """
        number = self.state.get_next_available_stream_id()
        self.state.send_headers(number, call.headers, end_stream=call.end and not call.body)
        await self.flush()
        return number

    async def ask(self, call: Call) -> str:
        """
        Send *call* and return the response, such as `grpc 14`, `http 400` or `reset 2`.
        """
        number = await self.start(call)
        try:
            await self._send_body(number, call)
            while True:
                await self.read(number)
        except Answered as answer:
            return str(answer)
        except ProtocolError:
            return "protocol error"

    async def _send_body(self, number: int, call: Call) -> None:
        left = call.body
        while left:
            room = min(self.state.local_flow_control_window(number), self.state.max_outbound_frame_size)
            if room <= 0:
                await self.read(number)
                continue
            piece, left = left[:room], left[room:]
            self.state.send_data(number, piece, end_stream=call.end and not left)
            await self.flush()

    async def read(self, number: int = 0) -> None:
        """
        Read from the server; raises `Answered` once there is a response on stream *number*.
        """
        data = await self._reader.read(MAX_READ_BYTES)
        if not data:
            raise Answered("closed")
        for event in self.state.receive_data(data):
            self._take(event, number)
        await self.flush()

    def _take(self, event: events.Event, number: int) -> None:
        if isinstance(event, events.ConnectionTerminated):
            raise Answered(f"goaway {int(event.error_code or 0)}")
        if getattr(event, "stream_id", number) != number:
            return
        if isinstance(event, events.DataReceived):
            self.state.acknowledge_received_data(event.flow_controlled_length or 0, number)
        elif isinstance(event, events.ResponseReceived | events.TrailersReceived):
            self._status[number] = _status_of(event.headers or (), self._status.get(number, "nothing"))
        elif isinstance(event, events.StreamReset):
            raise Answered(f"reset {int(event.error_code)}")
        if isinstance(event, events.StreamEnded):
            raise Answered(self._status.get(number, "nothing"))


def _status_of(headers: Iterable[Any], before: str) -> str:
    status = before
    for name, value in headers:
        if name == b":status" and value != b"200":
            status = f"http {value.decode('latin-1')}"
        elif name == b":status":
            status = "http 200"
        elif name == b"grpc-status" and not status.startswith(("http 4", "http 5")):
            status = f"grpc {value.decode('latin-1')}"
    return status


@contextlib.asynccontextmanager
async def connected(at: Address, tls: ssl.SSLContext | None = None) -> AsyncIterator[Http2]:
    """
    Yield an HTTP/2 connection, with *tls* if given, and close it at the end.
    """
    reader, writer = await asyncio.open_connection(*at, ssl=tls)
    try:
        connection = Http2(reader, writer)
        await connection.begin()
        yield connection
    finally:
        writer.transport.abort()


async def exchange(at: Address, call: Call, *, limit_s: float = LIMIT_S, tls: ssl.SSLContext | None = None) -> str:
    """
    Return the response to *call* on a connection of its own; `silence` after *limit_s*.
    """
    try:
        async with asyncio.timeout(limit_s), connected(at, tls) as connection:
            return await connection.ask(call)
    except TimeoutError:
        return "silence"
    except OSError:
        return "refused"


async def raw(at: Address, pieces: Sequence[bytes], *, pause_s: float = 0, limit_s: float = LIMIT_S) -> str:
    """
    Send HTTP/1.1 bytes, *pause_s* after each piece, and return the status; `silence` after *limit_s*.
    """
    writer = None
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection(*at)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            return _status_line(await reader.readline())
    except TimeoutError:
        return "silence"
    except OSError:
        return "closed"
    finally:
        if writer is not None:
            writer.transport.abort()


def _status_line(line: bytes) -> str:
    words = line.split()
    return f"http {words[1].decode('latin-1')}" if len(words) > 1 else "closed"
