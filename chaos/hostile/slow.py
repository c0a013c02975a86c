"""Slow clients: requests that never end, and responses that are never read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

from chaos.hostile.malformed import call
from chaos.hostile.target import CREATE, ORDERS, PRODUCTS, Answers, Target
from chaos.hostile.wire import Address, Answered, Http2, connected

RENEW_S = 4.0


async def _hold(at: Address, first: bytes, drip: bytes, ends: float, *, every_s: float) -> str:
    """
    Send *first*, then *drip* every *every_s* until the server closes the connection or the time is over.
    """
    try:
        reader, writer = await asyncio.open_connection(*at)
    except OSError:
        return "refused"
    try:
        writer.write(first)
        while (left_s := ends - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(every_s, left_s)):
                    line = await reader.readline()
                    return line.split()[1].decode("latin-1") if line.split() else "closed"
            writer.write(drip)
    except (OSError, IndexError):
        return "closed"
    finally:
        writer.transport.abort()
    return "held"


async def _held(target: Target, first: bytes, drip: bytes, *, count: int, lasts_s: float, every_s: float) -> Answers:
    """
    Keep *count* connections in that state, each replaced after *lasts_s*.
    """
    end, answers = time.monotonic() + target.seconds, Answers()

    async def client() -> None:
        while time.monotonic() < end:
            until = min(end, time.monotonic() + lasts_s)
            answers[await _hold(target.edge, first, drip, until, every_s=every_s)] += 1
            await asyncio.sleep(0.05)

    await asyncio.gather(*(client() for _ in range(count)))
    return answers


def _post(target: Target, path: bytes, *headers: bytes, signed: bool) -> bytes:
    token = [b": ".join(target.bearer)] if signed else []
    lines = [b"POST " + path + b" HTTP/1.1", b"host: 127.0.0.1", b"content-type: application/json", *headers, *token]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def bodies_never_sent(target: Target) -> Answers:
    """
    Send 75 requests with a content-length and no body, replaced every 4 s.
    """
    head = _post(target, b"/v1/orders", b"content-length: 100", signed=True)
    return await _held(target, head, b"", count=75, lasts_s=RENEW_S, every_s=RENEW_S)


async def anonymous_bodies(target: Target) -> Answers:
    """
    Send 240 anonymous chunked bodies, each of a MiB so far, that never end.
    """
    head = _post(target, b"/v1/orders", b"transfer-encoding: chunked", signed=False)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    return await _held(target, head + chunk * 16, chunk[:100], count=240, lasts_s=60, every_s=2)


async def endless_bodies_of_a_customer(target: Target) -> Answers:
    """
    Send 75 chunked bodies of a customer that grow by a byte a second.
    """
    head = _post(target, b"/v1/orders", b"transfer-encoding: chunked", signed=True)
    return await _held(target, head, b"1\r\n \r\n", count=75, lasts_s=60, every_s=1)


async def headers_byte_by_byte(target: Target) -> Answers:
    """
    Send 300 requests whose header arrives at a byte a second.
    """
    return await _held(target, b"GET /v1/products HTTP/1.1\r\nx: ", b"a", count=300, lasts_s=60, every_s=1)


async def idle_connections(target: Target) -> Answers:
    """
    Open 500 connections that stay idle.
    """
    return await _held(target, b"", b"", count=500, lasts_s=60, every_s=60)


async def _streams(target: Target, connection: Http2, count: int, *, signed: bool, path: str) -> Answers:
    """
    Keep *count* streams open without a message, until the time is over or the server closes the connection.
    """
    headers = (target.bearer,) if signed else ()
    unfinished = replace(call(path, b"", *headers), body=b"", end=False)
    for _ in range(count):
        await connection.start(unfinished)
    answers = Answers({"held": count})
    try:
        async with asyncio.timeout(target.seconds):
            while True:
                await connection.read(-1)
    except Answered as answer:
        answers[str(answer)] += 1
    except TimeoutError:
        pass
    return answers


async def empty_streams(target: Target) -> Answers:
    """
    Open 200 calls on one HTTP/2 connection and send no message.
    """
    async with connected(target.edge) as connection:
        return await _streams(target, connection, 200, signed=True, path=CREATE)


async def anonymous_empty_streams(target: Target) -> Answers:
    """
    Open 200 anonymous calls to inventory on each of three HTTP/2 connections, and send no message.
    """

    async def one() -> Answers:
        async with connected(target.edge) as connection:
            return await _streams(target, connection, 200, signed=False, path=PRODUCTS)

    found = await asyncio.gather(*(one() for _ in range(3)))
    return sum(found, Answers())


async def slow_readers(target: Target) -> Answers:
    """
    Open five connections that request 100 lists each and never read; their flow-control window is zero.
    """

    async def one(path: str) -> Answers:
        async with connected(target.edge) as connection:
            # SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2): no byte of a body may be sent.
            connection.state.update_settings({4: 0})
            for _ in range(100):
                await connection.start(call(path, b"", target.bearer))
            await asyncio.sleep(target.seconds)
        return Answers({"unread": 100})

    found = await asyncio.gather(*(one(path) for path in (ORDERS, PRODUCTS, ORDERS, PRODUCTS, ORDERS)))
    return sum(found, Answers())
