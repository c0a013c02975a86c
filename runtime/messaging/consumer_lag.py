"""Consumer lag, and whether a consumer reaches Kafka, from librdkafka's statistics."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import Gauge

LAG = Gauge(
    "kafka_consumer_lag",
    "Messages that a group has not processed yet, in the partitions that this replica has.",
    ["group", "topic", "partition"],
)
BROKERS = Gauge("kafka_brokers_up", "Brokers to which a consumer of the group has a connection that works.", ["group"])
INTERVAL_MS = 5_000


def reporter(group: str) -> Callable[[str], Awaitable[None]]:
    """
    Return a `stats_cb` that sets the gauges of the consumer of *group*.
    """
    shown: set[tuple[str, str]] = set()

    async def report(statistics: str) -> None:
        parsed = json.loads(statistics)
        lags = read(parsed)
        BROKERS.labels(group).set(sum(each.get("state") == "UP" for each in parsed.get("brokers", {}).values()))
        # The partition's new consumer reports its lag.
        for gone in shown - lags.keys():
            LAG.remove(group, *gone)
        for (topic, partition), lag in lags.items():
            LAG.labels(group, topic, partition).set(lag)
        shown.clear()
        shown.update(lags)

    return report


def read(statistics: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """
    Return the lag of each partition, (topic, partition), that this consumer has; -1 in the statistics means unknown.

    librdkafka keeps reporting the last lag of a partition that has moved on, which is no longer "desired".
    """
    topics = statistics.get("topics", {})
    return {
        (topic, partition): state["consumer_lag"]
        for topic, about in topics.items()
        for partition, state in about.get("partitions", {}).items()
        if state.get("desired") and state.get("consumer_lag", -1) >= 0
    }
