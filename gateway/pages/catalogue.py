"""Caches the catalogue, for visitors who come while inventory is unavailable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from google.protobuf.json_format import MessageToDict
from shop.inventory.v1 import inventory_pb2

from runtime.errors import Error, Unavailable

EVERY_S = 5.0
MAX_BYTES = 8 * 1024 * 1024
log = structlog.get_logger()


class NoCatalogue(Unavailable):
    """Inventory has not answered since this server started."""

    reason = "NO_CATALOGUE"


class TooLarge(Error):
    """The catalogue is larger than the cache allows."""

    reason = "CATALOGUE_TOO_LARGE"


class Products(Protocol):
    """The source of the products."""

    async def products(self) -> Sequence[inventory_pb2.Product]:
        """Return the products with their stock."""


class Catalogue:
    """Keeps the last catalogue in memory, with the time at which it was read."""

    def __init__(self, source: Products, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._kept: dict[str, Any] | None = None
        self._away = False

    def last(self) -> dict[str, Any]:
        """
        Return the products in the API's form, and `asOf`, seconds since 1970; raises `NoCatalogue`.
        """
        if self._kept is None:
            raise NoCatalogue("the products are unknown: inventory has not answered yet", retry_after_s=EVERY_S)
        return self._kept

    async def keep(self) -> None:
        """
        Refresh the catalogue periodically until cancelled; while inventory is unavailable the last one is kept.
        """
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """
        Refresh the catalogue once; on an error keep the last one.
        """
        try:
            products = await self._source.products()
            if sum(each.ByteSize() for each in products) > MAX_BYTES:
                raise TooLarge(f"the catalogue is larger than {MAX_BYTES} bytes")
        except Error as error:
            if not self._away:
                log.warning("catalogue_not_refreshed", error=str(error))
            self._away = True
            return
        self._away = False
        self._kept = {"products": [_json(each) for each in products], "asOf": self._clock()}


def _json(product: inventory_pb2.Product) -> dict[str, Any]:
    """Return the JSON as the edge encodes it: with zero values."""
    return MessageToDict(product, always_print_fields_with_no_presence=True)
