"""Waiting for a condition, within a limit."""

import asyncio
import time

import grpc


async def eventually(probe, *, within_s, every_s=0.5):
    """Return the first true answer of *probe*, asked every *every_s*; fail after *within_s*."""
    end = time.monotonic() + within_s
    answer = None
    while time.monotonic() < end:
        answer = await probe()
        if answer:
            return answer
        await asyncio.sleep(every_s)
    raise AssertionError(f"not within {within_s} s; last answer: {answer!r}")


def wait_until(probe, *, within_s, every_s=0.1):
    """Return the first true answer of a blocking *probe*, as `eventually` does of an asynchronous one."""
    end = time.monotonic() + within_s
    while not (answer := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s; last answer: {answer!r}")
        time.sleep(every_s)
    return answer


async def passes(check, within_s=15):
    """Return what *check* returns once it no longer fails; fail as it does after *within_s*."""
    end = time.monotonic() + within_s
    while True:
        try:
            return await check()
        except (AssertionError, grpc.aio.AioRpcError):
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.05)
