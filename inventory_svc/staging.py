"""
Writes a stock that is not active yet, and removes old ones.

Each has its own prefix, so that none is ever partial: it is active when the marker names it, which `activate.lua` does
in one step.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from inventory_svc import codec
from inventory_svc.ports import Started
from inventory_svc.projection import StockProjection
from inventory_svc.scripts import FORMAT, MARKER, REBUILD_LOCK, Scripts, unavailable
from inventory_svc.stock import Listing, Stock

COMMANDS = 500
"""Sent to Redis at a time."""


class Staging:
    """Builds a stock in Redis: everything except the units that orders own, which are known last."""

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts
        self._prefix = f"stock:{secrets.token_hex(4)}:"

    async def write(self, projection: StockProjection) -> None:
        """
        Write products with received units, and the receipts, which must not be applied again; raise `Unavailable`.
        """
        try:
            await self._write_products(projection)
            await self._write_receipts(projection)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _write_products(self, projection: StockProjection) -> None:
        rows = [(listing, at, projection.stock(product)) for product, (listing, at) in projection.listings.items()]
        await self._write_hashes((f"product:{each[0].product}", _product_fields(*each)) for each in rows)
        for part in codec.slices(sorted(projection.listings), COMMANDS):
            await self._redis.zadd(f"{self._prefix}products", dict.fromkeys(part, 0))

    async def _write_receipts(self, projection: StockProjection) -> None:
        for part in codec.slices(list(projection.receipts.values()), COMMANDS):
            texts: dict[Any, Any] = {each.request: json.dumps([each.product, each.quantity, True]) for each in part}
            await self._redis.hset(f"{self._prefix}receipts", mapping=texts)

    async def _write_hashes(self, hashes: Iterable[tuple[str, Mapping[Any, Any]]]) -> None:
        for part in codec.slices(list(hashes), COMMANDS):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name, fields in part:
                    pipeline.hset(f"{self._prefix}{name}", mapping=fields)
                await pipeline.execute()

    async def activate(self, projection: StockProjection, started: Started, token: str) -> bool:
        """
        Activate the stock as generation *started*; False if another replica was faster, or *token* lost the lock.
        """
        arguments: list[str | int] = []
        for product in projection.listings:
            if owned := started.owned.get(product, 0):
                stock = projection.stock(product, owned)
                arguments += [product, stock.available, stock.sold, stock.short]
        keys = [MARKER, REBUILD_LOCK]
        header = (token, started.generation, self._prefix, FORMAT)
        return bool(await self._scripts.call_alone("activate", keys, *header, *arguments))

    async def remove(self) -> None:
        """
        Remove what was written, unless it is active by now.
        """
        await self._remove(f"{self._prefix}*", token="")

    async def sweep(self, token: str) -> int:
        """
        Remove every stock that is not active, if the lock has *token*; return the number of keys removed.
        """
        return await self._remove("stock:*:*", token=token)

    async def _remove(self, pattern: str, *, token: str) -> int:
        removed = 0
        keys: list[str] = []
        try:
            async for key in self._redis.scan_iter(match=pattern, count=COMMANDS):
                keys.append(key)
                if len(keys) >= COMMANDS:
                    removed += await self._unlink(token, keys)
                    keys = []
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        return removed + (await self._unlink(token, keys) if keys else 0)

    async def _unlink(self, token: str, keys: list[str]) -> int:
        return int(await self._scripts.call_alone("unlink", [MARKER, REBUILD_LOCK], token, self._prefix, *keys))


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
