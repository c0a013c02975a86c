"""Checks again and again that the stock adds up, for the metrics and their alerts."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Gauge

from inventory_svc.store import Store
from runtime import errors

UNBALANCED = Gauge("inventory_unbalanced_products", "Products whose units do not add up; alert on any.")
LOW = Gauge("inventory_low_stock_products", "Products at their low stock or below.")
SHORT = Gauge("inventory_short_units", "Units that confirmed orders own but are not there; alert on any.")
log = structlog.get_logger()


async def run(store: Store, *, every_s: float) -> None:
    """
    Take stock every *every_s*, for ever.
    """
    while True:
        try:
            await take_stock(store)
        except errors.Error as error:
            log.info("the stock could not be taken", error=error.message)
        await asyncio.sleep(every_s)


async def take_stock(store: Store) -> None:
    """
    Take stock once.
    """
    audit = await store.audit()
    UNBALANCED.set(len(audit.broken))
    LOW.set(audit.low)
    SHORT.set(audit.short)
    if audit.broken:
        log.error("products do not add up", products=audit.broken[:20])
