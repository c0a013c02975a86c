"""The Kafka topics of orders."""

from __future__ import annotations

ORDER_EVENTS = "order_events"
PENDING_ORDERS = "pending_orders"
ORDERS_RESTORED = "orders_restored"
DEAD_ORDERS = "pending_orders.dead"
# Of inventory's consumer; redriven through orders.
DEAD_EVENTS = "order_events.inventory.dead"
EVENTS_GROUP = "inventory"
PARTITIONS = 8
