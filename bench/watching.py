"""Watchers: streams of WatchOrder that stay open through the edge while orders are placed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

import grpc

from bench.load import LoadFailed
from shop_client.calls import Shop

A_CHANNEL = 50
"""Fewer than an HTTP/2 connection through the edge allows."""
FIRST_S = 30
LONGEST_S = 600
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
Result = TypeVar("Result")


def during(address: str, orders: Sequence[tuple[str, str]], measure: Callable[[], Result]) -> Result:
    """
    Return what *measure* returns while each of *orders*, an id with its owner's token, is watched through *address*.

    Raises `LoadFailed` if a stream does not begin within 30 s, or none is left at the end.
    """
    return asyncio.run(_during(address, orders, measure))


async def _during(address: str, orders: Sequence[tuple[str, str]], measure: Callable[[], Result]) -> Result:
    async with AsyncExitStack() as channels:
        watchers = []
        for first in range(0, len(orders), A_CHANNEL):
            channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, options=OWN_CONNECTION))
            watchers += [_Watcher(channel, *each) for each in orders[first : first + A_CHANNEL]]
        try:
            await asyncio.wait_for(asyncio.gather(*(each.begun.wait() for each in watchers)), FIRST_S)
            result = await asyncio.to_thread(measure)
            ended = sum(each.task.done() for each in watchers)
            if ended:
                raise LoadFailed(f"{ended} of {len(watchers)} streams ended too early")
            return result
        except TimeoutError:
            begun = sum(each.begun.is_set() for each in watchers)
            raise LoadFailed(f"{begun} of {len(watchers)} streams began") from None
        finally:
            for each in watchers:
                each.task.cancel()
            await asyncio.gather(*(each.task for each in watchers), return_exceptions=True)


class _Watcher:
    """One stream, read until it is cancelled."""

    def __init__(self, channel: grpc.aio.Channel, order: str, token: str) -> None:
        self.begun = asyncio.Event()
        shop = Shop(channel, (("authorization", f"Bearer {token}"),), timeout_s=LONGEST_S)
        self.task = asyncio.create_task(self._watch(shop, order))

    async def _watch(self, shop: Shop, order: str) -> None:
        with suppress(grpc.aio.AioRpcError):
            async for _ in shop.watch(f"orders/{order}"):
                self.begun.set()
