"""Whether Redis responds, and how full it is, so that operators are alerted before it rejects writes."""

from __future__ import annotations

import asyncio
import math

import structlog
from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

USED = Gauge("inventory_redis_memory_used_ratio", "Used share, 0 to 1, of Redis's maxmemory.")
UP = Gauge("inventory_redis_up", "Whether Redis answered when this replica last asked: 1 or 0.")
EVERY_S = 15.0
log = structlog.get_logger()


async def watch(redis: Redis) -> None:
    """
    Probe periodically, until cancelled.
    """
    while True:
        try:
            USED.set(ratio(await redis.info("memory")))
            UP.set(1)
        except (RedisError, OSError) as error:
            UP.set(0)
            log.info("redis_memory_unknown", error=str(error) or type(error).__name__)
        await asyncio.sleep(EVERY_S)


def ratio(info: dict[str, object]) -> float:
    """
    Return the used share of memory according to `INFO memory`; NaN without a limit.
    """
    limit = int(str(info.get("maxmemory", 0)))
    return int(str(info["used_memory"])) / limit if limit else math.nan
