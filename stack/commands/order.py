"""
`make order`: one order's life, as the operators' method tells it.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from shop_client.plain import Plain
from stack import customer
from stack.commands.columns import table
from stack.describe import describe
from stack.errors import StackError
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology.plan import Plan

ASKING = "operator"
ASK_S = 20
HEADER = ("TIME", "AFTER", "WHAT", "DETAIL", "REPLICA", "TRACE")
WORDS = {
    "ANSWERED": "answered",
    "UNPUBLISHED": "waits to be published",
    "PUBLISHING_REFUSED": "refused by Kafka",
    "MESSAGE_WAITS": "waits to be worked on",
    "DEAD_LETTER": "dead letter",
    "STOCK_HELD": "stock is held",
    "STOCK_SOLD": "stock is sold",
    "STOCK_RELEASED": "stock was given back",
}


class NoTimeline(StackError):
    """The order's life was not told; the message has the answer."""


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Print one order's life."""
    require_running(chosen)
    print(report(ask(describe(chosen), options.order.removeprefix("orders/"))))
    return 0


def ask(plan: Plan, order: str) -> dict[str, Any]:
    """
    What the edge answers an operator about the order.

    Raises `NoTimeline`.
    """
    edge = Plain(plan.settings.edge_url, customer.token(plan.settings, ASKING, operator=True), timeout_s=ASK_S)
    try:
        answer = edge.get(f"/v1/orders/{order}:timeline")
        if answer.status_code != 200:
            raise NoTimeline(f"orders/{order}: {answer}")
        told: dict[str, Any] = answer.json()
    except (OSError, ValueError) as error:
        raise NoTimeline(f"the edge at {edge.url}: {error}") from error
    return told


def report(told: Mapping[str, Any]) -> str:
    """The life as a person reads it."""
    order = told["order"]
    head = f"{order['name']} of {order['customer']} is {order['state']} {order.get('stateReason', '')}".rstrip()
    rows = [HEADER, *(_row(entry) for entry in told.get("entries", ()))]
    unknown = [f"Not known: {part}" for part in told.get("unknown", ())]
    return "\n".join([head, "", table(rows), *unknown])


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        entry.get("time") or "now",
        entry.get("after") or "",
        _what(entry),
        _detail(entry),
        entry.get("replica", ""),
        entry.get("traceId", ""),
    )


def _what(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "CHANGED":
        return f"{entry['state']} (version {entry['version']})"
    kind = str(entry["kind"])
    return WORDS.get(kind, kind)


def _detail(entry: Mapping[str, Any]) -> str:
    deliveries = int(entry.get("deliveries", 0))
    tried = f"{deliveries} times in vain" if deliveries else ""
    return ", ".join(part for part in (entry.get("topic"), entry.get("detail"), tried) if part)
