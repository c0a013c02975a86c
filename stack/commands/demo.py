"""
`make demo`: places an order with curl and shows its row and its event.
"""

import argparse
import json
import subprocess
import time
import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from psycopg.rows import dict_row
from shop.orders.v1 import events_pb2

from runtime.errors import Error
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end, topic_ends
from shop_client import rest
from stack import customer
from stack.commands import edge
from stack.describe import describe
from stack.errors import StackError
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology.plan import Plan

TOPIC = "order_events"
EVENT_S = 15
CONNECT_S = 5
OK = 200


class DemoFailed(StackError):
    """A step did not give the expected result; the message says which."""


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Show the path of one order through the system."""
    plan = describe(chosen)
    require_running(chosen)
    try:
        demo(plan)
    except Error as error:
        raise DemoFailed(f"Kafka at {plan.kafka_brokers}: {error.message}") from error
    except psycopg.Error as error:
        raise DemoFailed(f"PostgreSQL: {' '.join(str(error).split())}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoFailed(f"the edge at {chosen.edge_url} did not answer within {error.timeout:.0f} s") from error
    except (OSError, ValueError, LookupError) as error:
        raise DemoFailed(f"the edge at {chosen.edge_url}: {type(error).__name__}: {error}") from error
    return 0


def demo(plan: Plan) -> None:
    """Show the response, the row and the event of one order."""
    before = topic_ends(KafkaCluster(plan.kafka_brokers), TOPIC, within_s=CONNECT_S)
    order = _place(plan)
    print("\n== The order in PostgreSQL ==")
    _show_rows(plan, order["name"])
    print(f"\n== Its event in Kafka's topic {TOPIC} ==")
    print(json_format.MessageToJson(_event(plan, before, order["name"])))


def _place(plan: Plan) -> dict[str, Any]:
    """Place an order for two units of a product in stock, with the command a person would type."""
    listed = edge.shop(plan.settings).get("/v1/products")
    if listed.status_code != OK:
        raise DemoFailed(f"the edge at {plan.settings.edge_url}: {listed}")
    stocked = rest.in_stock(listed.json())
    if not stocked:
        raise DemoFailed("no product is in stock; restock one with POST /v1/products/…:restock")
    body = json.dumps(rest.basket(stocked[0], 2))
    command = [
        "curl",
        "-sS",
        "-i",
        f"{plan.settings.edge_url}{rest.ORDERS}",
        "-H",
        f"authorization: Bearer {customer.token(plan.settings, edge.BUYER)}",
        "-H",
        "content-type: application/json",
        "-H",
        f"idempotency-key: {uuid.uuid4()}",
        "-d",
        body,
    ]
    print("== An order ==\n$ " + " ".join(_shown(plan, word) for word in command))
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    print(answer.stdout or answer.stderr)
    _, _, text = answer.stdout.replace("\r\n", "\n").partition("\n\n")
    try:
        order: dict[str, Any] = json.loads(text)
        order["name"]
    except (ValueError, KeyError):
        raise DemoFailed("the edge did not accept the order") from None
    return order


def _shown(plan: Plan, word: str) -> str:
    """Return a word of the command as a person would type it; the token as the command that prints it."""
    if word.startswith("authorization:"):
        token = plan.settings.command(f"-s token CUSTOMER={edge.BUYER}")
        return f'"authorization: Bearer $({token})"'
    return f"'{word}'" if " " in word or "{" in word else word


def _show_rows(plan: Plan, name: str) -> None:
    """Print every column of the order's row."""
    address = plan.database_url.replace("=primary", "=read-write")
    with psycopg.connect(address, row_factory=dict_row, connect_timeout=CONNECT_S) as connection:
        row = connection.execute("SELECT * FROM orders WHERE order_id = %s", [name.removeprefix("orders/")]).fetchone()
    if row is None:
        raise DemoFailed(f"PostgreSQL has no row for {name}")
    for column, value in row.items():
        print(f"{column:<16} {value}")


def _event(plan: Plan, before: Mapping[int, int], name: str) -> events_pb2.OrderEvent:
    """Return the order's event, reading the topic from the end offsets *before* until it arrives."""
    deadline = time.monotonic() + EVENT_S
    while time.monotonic() < deadline:
        for message in messages_to_end(KafkaCluster(plan.kafka_brokers), TOPIC, starts=before, within_s=EVENT_S):
            event = _order_event(message.value or b"")
            if event is not None and event.order.name == name:
                return event
    raise DemoFailed(f"no event of {name} arrived within {EVENT_S} s")


def _order_event(value: bytes) -> events_pb2.OrderEvent | None:
    try:
        return events_pb2.OrderEvent.FromString(value)
    except DecodeError:
        return None
