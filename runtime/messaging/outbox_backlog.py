"""The backlog of the outbox: for operators and for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

LAG = Gauge("outbox_lag_seconds", "Age of the oldest row that waits to be published.")
WAITING = Gauge("outbox_waiting_rows", "Rows that wait to be published.")
REFUSED = Gauge("outbox_refused_rows", "Rows that Kafka refuses for good; an operator must look.")
TOPIC_LAG = Gauge("outbox_topic_lag_seconds", "Age of a topic's oldest row that waits to be published.", ["topic"])
TOPIC_WAITING = Gauge("outbox_topic_waiting_rows", "Rows of a topic that wait to be published.", ["topic"])
BACKLOG = """
SELECT topic,
       count(*) FILTER (WHERE refused IS NULL) AS waiting,
       count(*) FILTER (WHERE refused IS NOT NULL) AS refused,
       coalesce(extract(epoch FROM clock_timestamp() - min(create_time) FILTER (WHERE refused IS NULL)), 0) AS lag_s
FROM outbox GROUP BY topic
"""
REDRIVE = "UPDATE outbox SET refused = NULL WHERE refused IS NOT NULL"
_shown: set[str] = set()


@dataclass(frozen=True)
class Waiting:
    """Rows of one topic, and the age of the oldest unpublished one."""

    waiting: int = 0
    refused: int = 0
    lag_s: float = 0.0


async def look(connection: Any) -> Mapping[str, Waiting]:
    """
    Return the backlog by topic; topics without one are left out.
    """
    return {
        row["topic"]: Waiting(row["waiting"], row["refused"], max(0.0, float(row["lag_s"])))
        for row in await connection.fetch(BACKLOG)
    }


def show(topics: Iterable[str]) -> None:
    """
    Let the metrics of *topics* exist before anything waits.
    """
    _shown.update(topics)


async def measure(connection: Any) -> None:
    """
    Set the metrics.
    """
    found = await look(connection)
    LAG.set(max((each.lag_s for each in found.values()), default=0.0))
    WAITING.set(sum(each.waiting for each in found.values()))
    REFUSED.set(sum(each.refused for each in found.values()))
    _shown.update(found)
    for topic in _shown:
        rows = found.get(topic, Waiting())
        TOPIC_LAG.labels(topic).set(rows.lag_s)
        TOPIC_WAITING.labels(topic).set(rows.waiting)
