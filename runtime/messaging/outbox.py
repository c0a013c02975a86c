"""
The outbox: records written in a transaction, published after its commit.

Rows are written in the transaction itself, by the owner of the schema that has this table:

id                 bigint, identity: rows of a topic and key go out in its order
shard              smallint, `shard_of(key)`: which relay publishes the row
topic, key, value  text, bytea, bytea
headers            jsonb: an object of texts
create_time        timestamptz, when it was written
refused            text: why Kafka will never take it; such a row waits for an operator

with indexes on (shard, id) where refused is null, and on (id) where it is not. `runtime.messaging.relay` publishes the
rows.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from runtime.messaging.message import Record

CHANNEL = "outbox"
SHARDS = 8
COLUMNS = "shard, topic, key, value, headers"
INSERT = f"INSERT INTO outbox ({COLUMNS})"
PUT = f"{INSERT} SELECT * FROM unnest($1::smallint[], $2::text[], $3::bytea[], $4::bytea[], $5::jsonb[])"  # noqa: S608


async def put(connection: Any, records: Sequence[Record]) -> None:
    """
    Write *records* to the outbox in *connection*'s transaction; they are published in their order after its commit.
    """
    rows = [named(record) for record in records]
    await connection.execute(PUT, *([row[name] for row in rows] for name in COLUMNS.split(", ")))


def named(record: Record) -> dict[str, object]:
    """
    Return *record* as the values of `COLUMNS` by name.
    """
    return {
        "shard": shard_of(record.key),
        "topic": record.topic,
        "key": record.key,
        "value": record.value,
        "headers": json.dumps(dict(record.headers)),
    }


def shard_of(key: bytes) -> int:
    """
    Return the shard of *key*; never to change, since rows carry it.
    """
    return zlib.crc32(key) % SHARDS


def trace_id(record: Record) -> bytes | None:
    """
    Return the trace in which *record* was made, 16 bytes; None without one.
    """
    parts = record.headers.get("traceparent", "").split("-")
    return bytes.fromhex(parts[1]) if len(parts) == 4 else None
