"""How many faults are in force, as a metric: the board draws into its history when that was so."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Gauge

from gateway.pages.board import Faults
from runtime.errors import Error

EVERY_S = 10.0
COUNT = Gauge("mesh_faults_in_force", "Faults in the VirtualServices in force that have an effect.", ["source"])
SOURCE = "virtual services"
log = structlog.get_logger()


async def keep_counting(faults: Faults, *, every_s: float = EVERY_S) -> None:
    """
    Export the number every *every_s* until cancelled; nothing while it is unknown.
    """
    while True:
        try:
            count = sum(not each.get("idle") for each in await faults.active())
            COUNT.labels(SOURCE).set(count)
        except Error as error:
            COUNT.clear()
            log.warning("faults_unknown", error=str(error))
        await asyncio.sleep(every_s)
