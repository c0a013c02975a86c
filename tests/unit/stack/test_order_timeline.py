"""The output of `make order`."""

from stack.commands.order import report

TIMELINE = {
    "order": {
        "name": "orders/1",
        "customer": "customers/ana",
        "state": "PENDING",
        "stateReason": "INVENTORY_UNAVAILABLE",
    },
    "entries": [
        {
            "kind": "CHANGED",
            "time": "2026-11-26T18:00:00.123Z",
            "state": "PENDING",
            "version": "1",
            "detail": "INVENTORY_UNAVAILABLE",
            "replica": "orders-1",
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "deliveries": "0",
        },
        {
            "kind": "PUBLISHED",
            "time": "2026-11-26T18:00:00.323Z",
            "after": "0.200s",
            "version": "1",
            "topic": "order_events",
            "partition": 0,
            "offset": "42",
            "detail": "consumed by inventory",
        },
        {
            "kind": "MESSAGE_WAITS",
            "time": "2026-11-26T18:00:05Z",
            "after": "4.877s",
            "topic": "pending_orders.retry.5s",
            "detail": "UNAVAILABLE: no (pending_orders.retry.5s/1/2)",
            "deliveries": "2",
        },
        {"kind": "STOCK_HELD", "detail": "until 2026-11-26T18:15:00+00:00"},
    ],
    "unknown": ["Kafka: no broker"],
}


def test_every_timeline_entry_is_one_line():
    head, _, header, placed, published, waits, held, unknown = report(TIMELINE).splitlines()
    assert head == "orders/1 of customers/ana is PENDING INVENTORY_UNAVAILABLE"
    assert header.split() == ["TIME", "AFTER", "WHAT", "DETAIL", "REPLICA", "TRACE"]
    assert "PENDING (version 1)" in placed
    assert placed.split()[-2:] == ["orders-1", "0af7651916cd43dd8448eb211c80319c"]
    assert published.split() == [
        "2026-11-26T18:00:00.323Z", "0.200s", "published", "order_events/0/42,", "consumed", "by", "inventory",
    ]  # fmt: skip
    assert "4.877s" in waits
    assert "2 failed deliveries" in waits
    assert held.startswith("now ")
    assert unknown == "Unknown: Kafka: no broker"
