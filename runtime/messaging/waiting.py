"""Finds uncommitted messages of a consumer group by key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.group_lag import GroupLags
from runtime.messaging.message import Message
from runtime.messaging.reader import Ends, messages_to_end

MAX_RECORDS = 20_000
READ_S = 3.0


class WaitingMessages:
    """Searches the uncommitted messages of topics; a topic without any is not read."""

    def __init__(self, kafka: KafkaCluster, lags: GroupLags) -> None:
        self._kafka = kafka
        self._lags = lags

    async def of(self, topics: Mapping[str, str], key: bytes) -> list[Message]:
        """
        Return the messages with *key* that the groups, the values of *topics*, have not committed.

        Raises `Unavailable` while Kafka can't be asked or read within `READ_S` for each topic, and `ResourceExhausted`
        where more than `MAX_RECORDS` are uncommitted in one.
        """
        found: list[Message] = []
        for topic, starts in (await self._lags.waiting(topics)).items():
            found += await asyncio.to_thread(self._read, topic, starts, key)
        return found

    def _read(self, topic: str, starts: Ends, key: bytes) -> list[Message]:
        messages = messages_to_end(self._kafka, topic, starts=starts, within_s=READ_S, max_records=MAX_RECORDS)
        return [each for each in messages if each.key == key]
