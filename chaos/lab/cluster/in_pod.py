"""
Reads topics from within a pod of orders, which reaches Kafka and has the credentials: `python - ends|published TOPIC…`.

It is passed to that pod's Python as text, so it imports what the image of orders has, and nothing of this package.

ends       a line TOPIC RECORDS for each topic: how many records were written since it was created
published  a line ORDER VERSION for each event of the topic in the order of arrival; ORDER is ? where it is unreadable
"""

from __future__ import annotations

import sys

from google.protobuf.message import DecodeError
from shop.orders.v1 import events_pb2

from runtime.messaging.reader import messages_to_end, topic_ends
from runtime.settings import KafkaSettings, load

READ_S = 300


def main(what: str, topics: list[str]) -> None:
    """Print what was asked for."""
    kafka = load(KafkaSettings).kafka
    for topic in topics:
        if what == "ends":
            print(topic, sum(topic_ends(kafka, topic).values()))
            continue
        for message in messages_to_end(kafka, topic, within_s=READ_S):
            try:
                order = events_pb2.OrderEvent.FromString(message.value or b"").order
                print(order.name or "?", order.version)
            except DecodeError:
                print("?", 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
