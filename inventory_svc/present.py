"""The listings and receipts of the current stock, read from Redis."""

from __future__ import annotations

import json

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from inventory_svc import codec
from inventory_svc.scripts import FORMAT, MARKER, unavailable
from inventory_svc.stock import Entry, Listing, Receipt
from runtime import errors

AT_A_TIME = 500
TRIES = 3
FIELDS = ("display_name", "description", "price", "low", "listed_ms")
log = structlog.get_logger()


class PresentStock:
    """The port `Present` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def entries(self) -> list[Entry]:
        """
        Return the listings and receipts of the current stock; none without a stock. Raises `Unavailable`.
        """
        try:
            for _ in range(TRIES):
                prefix = await self._prefix()
                if prefix is None:
                    return []
                found = [*await self._listings(prefix), *await self._receipts(prefix)]
                # Another stock may have taken effect meanwhile, and this one be half removed.
                if await self._prefix() == prefix:
                    return found
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        raise errors.Unavailable("the stock is being replaced", reason="STOCK_REBUILDING", retry_after_s=1)

    async def _prefix(self) -> str | None:
        prefix, form = await self._redis.hmget(MARKER, ["prefix", "format"])
        return str(prefix) if prefix and form == FORMAT else None

    async def _listings(self, prefix: str) -> list[Entry]:
        names = [str(name) for name in await self._redis.zrange(f"{prefix}products", 0, -1)]
        found: list[Entry] = []
        for part in codec.slices(names, AT_A_TIME):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in part:
                    pipeline.hmget(f"{prefix}product:{name}", list(FIELDS))
                rows = await pipeline.execute()
            found += [entry for name, row in zip(part, rows, strict=True) if (entry := _listing(name, row))]
        return found

    async def _receipts(self, prefix: str) -> list[Entry]:
        found: list[Entry] = []
        async for request, text in self._redis.hscan_iter(f"{prefix}receipts", count=AT_A_TIME):
            if (receipt := _receipt(str(request), text)) is not None:
                found.append(receipt)
        return found


def _listing(name: str, row: list[str | None]) -> tuple[Listing, int] | None:
    """
    Return a listing; None for what is none: the stock may be replaced because of just that.
    """
    display_name, description, amount, low, listed_ms = (text or "" for text in row)
    try:
        price = codec.price(amount)
        return None if price is None else (Listing(name, display_name, description, price, int(low)), int(listed_ms))
    except ValueError as error:
        log.warning("present_entry_unusable", product=name, error=str(error))
        return None


def _receipt(request: str, text: str) -> Receipt | None:
    """
    Return what came in; None for what is only reserved, which may never have come in.
    """
    try:
        product, quantity, *applied = json.loads(text)
        return Receipt(request, str(product), int(quantity)) if applied else None
    except (ValueError, TypeError) as error:
        log.warning("present_entry_unusable", request=request[:80], error=str(error))
        return None
