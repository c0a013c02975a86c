"""
Prints the messages of a topic, decoded by the contract, one line of JSON each.

    python -m orders_svc.messages TOPIC [--order ID] [--follow] [--last N]

It joins no group and moves no offset. KAFKA_BROKERS and the other variables of a service say how Kafka is reached.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf
from shop.inventory.v1 import events_pb2 as inventory_events_pb2
from shop.orders.v1 import events_pb2

from orders_svc.topics import ORDER_EVENTS, ORDERS_RESTORED, PENDING_ORDERS
from runtime.errors import Error
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.message import Message
from runtime.messaging.reader import messages_to_end, topic_ends
from runtime.settings import KafkaSettings, load

# Retry and dead-letter topics have the name of their topic before the first dot.
KINDS: Mapping[str, type[Protobuf]] = {
    PENDING_ORDERS: events_pb2.PendingOrder,
    ORDER_EVENTS: events_pb2.OrderEvent,
    ORDERS_RESTORED: events_pb2.OrdersRestored,
    "stock_events": inventory_events_pb2.StockEvent,
}
LAST, MAX_LAST = 20, 100_000
READ_S, ANSWER_S, LOOK_AGAIN_S = 30.0, 5.0, 1.0


def main() -> None:
    """
    Print what the command line asks for; exit with an error if the topic cannot be read.
    """
    options = _parser().parse_args()
    kafka = load(KafkaSettings).kafka
    found = _followed if options.follow else _there
    try:
        # Kafka that is away is told sooner than a long topic is read.
        topic_ends(kafka, options.topic, within_s=ANSWER_S)
        for message in found(kafka, options.topic, options.last):
            if line := shown(message, order=options.order.removeprefix("orders/")):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
    except Error as error:
        sys.exit(f"messages: {error.message}")
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="messages", description=(__doc__ or "").split("\n")[1])
    parser.add_argument("topic", type=_topic, metavar="TOPIC", help=f"{', '.join(KINDS)}, or one of theirs: NAME.dead")
    parser.add_argument("--order", default="", metavar="ORDER", help="only those of this order, its id or name")
    parser.add_argument("--follow", action="store_true", help="go on with new ones until Ctrl-C")
    parser.add_argument("--last", type=_last, default=LAST, help=f"how many of each partition (default {LAST})")
    return parser


def _topic(text: str) -> str:
    if text.partition(".")[0] not in KINDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(KINDS)}, or of their retry and dead topics"
        )
    return text


def _last(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_LAST):
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to {MAX_LAST}")
    return int(text)


def _there(kafka: KafkaCluster, topic: str, last: int) -> list[Message]:
    """
    Return what is there, oldest first.
    """
    return sorted(messages_to_end(kafka, topic, last=last, within_s=READ_S), key=lambda each: each.timestamp_ms)


def _followed(kafka: KafkaCluster, topic: str, last: int) -> Iterator[Message]:
    """
    Yield what is there, then what comes, without an end.
    """
    nexts = {number: max(0, end - last) for number, end in topic_ends(kafka, topic).items()}
    while True:
        for message in messages_to_end(kafka, topic, starts=nexts, within_s=READ_S):
            nexts[message.partition] = message.offset + 1
            yield message
        time.sleep(LOOK_AGAIN_S)


def shown(message: Message, *, order: str = "") -> str:
    """
    Return the line of *message*, empty if it is not of *order*; what cannot be decoded is said, not raised.
    """
    content = _content(message)
    key = message.key.decode("utf-8", "backslashreplace")
    if order and order != key and f"orders/{order}" not in _names(content):
        return ""
    stamp = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": stamp, "place": message.place, "key": key, "headers": dict(message.headers), **content})


def _content(message: Message) -> dict[str, Any]:
    kind = KINDS[message.topic.partition(".")[0]]
    if message.value is None:
        return {"message": None}
    try:
        return {"message": MessageToDict(kind.FromString(message.value))}
    except (DecodeError, ValueError, TypeError) as error:
        return {"undecoded": f"no {kind.DESCRIPTOR.full_name}: {error}", "bytes": len(message.value)}


def _names(content: Mapping[str, Any]) -> set[str]:
    """
    Return the names of orders that a message is about; a hold has the id of its order.
    """
    inside = content.get("message") or {}
    order, hold = inside.get("order") or {}, str(inside.get("hold", ""))
    return {str(order.get("name", "")), hold.replace("holds/", "orders/", 1)}


if __name__ == "__main__":
    main()
