"""Kafka's topics that orders write and read."""

from __future__ import annotations

ORDER_EVENTS = "order_events"
PENDING_ORDERS = "pending_orders"
ORDERS_RESTORED = "orders_restored"
DEAD_ORDERS = "pending_orders.dead"
# Of inventory's consumer; operators of orders look after it.
DEAD_EVENTS = "order_events.inventory.dead"
EVENTS_GROUP = "inventory"
PARTITIONS = 8
