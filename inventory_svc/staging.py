"""
Writes a generation that does not count yet, and removes those that no longer do.

Each generation has a prefix of its own, so that nothing is half there: it counts
when the marker names it, which `start_generation.lua` does in one step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio import Redis

from inventory_svc import codec
from inventory_svc.account import Account
from inventory_svc.scripts import MARKER, REBUILD_LOCK, Scripts
from inventory_svc.stock import Listing, Sale, Stock

COMMANDS = 500
"""Sent to Redis at a time."""


class Staging:
    """Builds up *generation* in Redis."""

    def __init__(self, redis: Redis, generation: int) -> None:
        self._redis = redis
        self._prefix = f"stock:{generation}:"
        self._generation = generation

    async def add_sales(self, sales: Iterable[Sale]) -> None:
        """
        Write a committed hold for each of *sales*.
        """
        await self._write_hashes(
            (f"hold:{sale.order}", {"state": "committed", "lines": codec.lines_text(sale.lines)}) for sale in sales
        )

    async def add_account(self, account: Account) -> None:
        """
        Write the products with their stock, and the receipts, which must not come in again.
        """
        rows = [(listing, at, account.stock(product)) for product, (listing, at) in account.listings.items()]
        await self._write_hashes((f"product:{each[0].product}", _product_fields(*each)) for each in rows)
        for part in codec.slices(sorted(account.listings), COMMANDS):
            await self._redis.zadd(f"{self._prefix}products", dict.fromkeys(part, 0))
        await self._write_receipts(account)

    async def _write_receipts(self, account: Account) -> None:
        for part in codec.slices(list(account.receipts.values()), COMMANDS):
            texts: dict[Any, Any] = {}
            for receipt in part:
                stock = account.stock(receipt.product)
                numbers = (stock.on_hand, stock.available, stock.held, stock.sold)
                texts[receipt.request] = json.dumps([receipt.product, receipt.quantity, *numbers])
            await self._redis.hset(f"{self._prefix}receipts", mapping=texts)

    async def _write_hashes(self, hashes: Iterable[tuple[str, Mapping[Any, Any]]]) -> None:
        for part in codec.slices(list(hashes), COMMANDS):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name, fields in part:
                    pipeline.hset(f"{self._prefix}{name}", mapping=fields)
                await pipeline.execute()

    async def start(self, scripts: Scripts, token: str) -> bool:
        """
        Let the generation count, if the lock still has *token*; False if somebody was faster.
        """
        keys = [MARKER, REBUILD_LOCK]
        return bool(await scripts.call_alone("start_generation", keys, token, self._generation))


def _product_fields(listing: Listing, listed_ms: int, stock: Stock) -> dict[str, str | int]:
    return {
        "on_hand": stock.on_hand,
        "available": stock.available,
        "held": stock.held,
        "sold": stock.sold,
        "short": stock.short,
        "display_name": listing.display_name,
        "description": listing.description,
        "price": codec.price_text(listing.unit_price),
        "low": listing.low_stock,
        "listed_ms": listed_ms,
    }


async def sweep(redis: Redis, *, keep: int) -> int:
    """
    Remove every generation but *keep*, little by little; returns the number of keys removed.
    """
    removed = 0
    found: list[str] = []
    async for key in redis.scan_iter(match="stock:[0-9]*", count=COMMANDS):
        if not key.startswith(f"stock:{keep}:"):
            found.append(key)
        if len(found) >= COMMANDS:
            removed += await redis.unlink(*found)
            found = []
    if found:
        removed += await redis.unlink(*found)
    return removed
