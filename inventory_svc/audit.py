"""Periodic work on the whole stock: checking that it adds up, for metrics and alerts, and pruning final orders."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Gauge

from inventory_svc.ports import Audited
from runtime import errors

UNBALANCED = Gauge("inventory_unbalanced_products", "Products whose units do not add up; alert on any.")
LOW = Gauge("inventory_low_stock_products", "Products at their low stock or below.")
SHORT = Gauge("inventory_short_units", "Units that confirmed orders own but are not there; alert on any.")
REMEMBERED = Gauge("inventory_remembered_orders", "Final orders that are remembered, so that repeats do no harm.")
log = structlog.get_logger()


async def audit_regularly(stock: Audited, *, every_s: float) -> None:
    """
    Check the stock every *every_s* until cancelled.
    """
    while True:
        try:
            await audit(stock)
        except errors.Error as error:
            log.info("audit_skipped", error=error.message)
        await asyncio.sleep(every_s)


async def audit(stock: Audited) -> None:
    """
    Check the stock once.
    """
    found = await stock.audit()
    UNBALANCED.set(len(found.broken))
    LOW.set(found.low)
    SHORT.set(found.short)
    if found.broken:
        log.error("products_do_not_add_up", products=found.broken[:20])


async def forget_regularly(stock: Audited, *, every_s: float) -> None:
    """
    Prune final orders that are old enough, or too many, in small steps, until cancelled.
    """
    while True:
        more = False
        try:
            memory = await stock.forget()
            more = memory.more
            REMEMBERED.set(memory.remembered)
        except errors.Error as error:
            log.info("pruning_skipped", error=error.message)
        # A pass over all shards takes some seconds, with pauses in which Redis serves other clients.
        await asyncio.sleep(0.02 if more else every_s)
