"""What an operator sees of a topic's messages."""

from __future__ import annotations

import json
import sys
import time

import pytest
from shop.inventory.v1 import events_pb2 as inventory_events_pb2
from shop.orders.v1 import events_pb2

from orders_svc import messages
from runtime.messaging import reader
from runtime.messaging.message import Message

ID = "0b0f6d2e-0000-5000-8000-000000000000"
ID_KEY = ID.encode()


def message(value, *, topic="pending_orders", key=ID_KEY, offset=7):
    return Message(topic, 3, offset, key, value, {"traceparent": "00-ab"}, 1_800_000_000_000)


def pending(order=ID):
    waiting = events_pb2.PendingOrder(event_id="e1")
    waiting.order.name = f"orders/{order}"
    return waiting.SerializeToString()


def test_a_message_is_decoded_by_the_contract():
    decoded = json.loads(messages.shown(message(pending())))
    assert decoded == {
        "time": "2027-01-15T08:00:00.000+00:00", "place": "pending_orders/3/7", "key": ID,
        "headers": {"traceparent": "00-ab"}, "message": {"eventId": "e1", "order": {"name": f"orders/{ID}"}},
    }  # fmt: skip


def test_a_dead_letter_is_decoded_as_its_topic_and_undecodable_bytes_are_escaped():
    assert json.loads(messages.shown(message(pending(), topic="pending_orders.dead")))["message"]["eventId"] == "e1"
    broken = json.loads(messages.shown(message(b"\xff\xff\x1b[2J", topic="pending_orders.dead", key=b"\xff")))
    assert broken["bytes"] == 6
    assert broken["undecoded"].startswith("no shop.orders.v1.PendingOrder")
    assert broken["key"] == "\\xff"
    assert json.loads(messages.shown(message(None)))["message"] is None


def test_only_what_is_about_an_order_is_shown():
    assert messages.shown(message(pending()), order=ID)
    assert messages.shown(message(pending(), key=b"a-product"), order=ID)
    assert not messages.shown(message(pending("other"), key=b"other"), order=ID)
    sold = inventory_events_pb2.StockEvent(hold=f"holds/{ID}").SerializeToString()
    assert messages.shown(message(sold, topic="stock_events", key=b"tea"), order=ID)
    assert not messages.shown(message(b"\xff", key=b"x"), order=ID)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["passwords"], "pending_orders"), (["pending_orders", "--last", "0"], "from 1 to"),
        (["pending_orders", "--last", "x"], "from 1 to"),
    ],
)  # fmt: skip
def test_unknown_topics_and_ranges_are_refused_by_name(monkeypatch, capsys, words, names):
    monkeypatch.setattr(sys, "argv", ["messages", *words])
    with pytest.raises(SystemExit):
        messages.main()
    assert names in capsys.readouterr().err


def test_following_reads_each_message_once(monkeypatch):
    log = [message(pending(), offset=n) for n in range(5)]
    positions = []

    def read(_brokers, _topic, *, starts, within_s):
        positions.append(dict(starts))
        new = [each for each in log if each.offset >= starts[3]]
        log.append(message(pending(), offset=len(log)))
        return iter(new)

    monkeypatch.setattr(messages, "topic_ends", lambda *_: {3: 5})
    monkeypatch.setattr(messages, "messages_to_end", read)
    monkeypatch.setattr(messages.time, "sleep", lambda _: None)
    following = messages._followed("brokers", "pending_orders", 2)
    assert [next(following).offset for _ in range(4)] == [3, 4, 5, 6]
    assert positions == [{3: 3}, {3: 5}, {3: 6}]


def test_an_unreachable_kafka_is_reported_in_one_sentence_within_seconds(monkeypatch):
    monkeypatch.setattr(reader, "CALL_S", 0.1)
    monkeypatch.setattr(messages, "ANSWER_S", 0.1)
    monkeypatch.setattr(sys, "argv", ["messages", "pending_orders"])
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(SystemExit, match=r"^messages: pending_orders cannot be read from Kafka to its end: [^{}\n]+$"):
        messages.main()
    assert time.monotonic() - started < messages.READ_S / 3
