"""The Kafka topics that inventory writes and reads, and its consumer groups."""

from __future__ import annotations

from runtime.messaging.topics import Topic, dead_letter_topic

LEDGER = Topic("stock_ledger", partitions=1, compacted=True)
STOCK_EVENTS = Topic("stock_events")
ORDER_EVENTS = "order_events"
DEAD_EVENTS = dead_letter_topic("order_events.inventory.dead")
EVENTS_GROUP = "inventory"
LEDGER_GROUP = "inventory-ledger"
