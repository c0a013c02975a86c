"""
`make order`: the timeline of one order, from the operators' RPC.
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
    "PUBLISHED": "published",
    "UNPUBLISHED": "waiting to be published",
    "PUBLISHING_REFUSED": "refused by Kafka",
    "MESSAGE_WAITS": "waiting to be processed",
    "DEAD_LETTER": "dead letter",
    "STOCK_HELD": "stock held",
    "STOCK_SOLD": "stock committed",
    "STOCK_RELEASED": "stock released",
}


class NoTimeline(StackError):
    """The timeline could not be fetched; the message has the response."""


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Print the timeline of one order."""
    require_running(chosen)
    print(report(ask(describe(chosen), options.order.removeprefix("orders/"))))
    return 0


def ask(plan: Plan, order: str) -> dict[str, Any]:
    """
    Return the edge's response to an operator's request for the timeline.

    Raises `NoTimeline`.
    """
    edge = Plain(plan.settings.edge_url, customer.token(plan.settings, ASKING, operator=True), timeout_s=ASK_S)
    try:
        answer = edge.get(f"/v1/orders/{order}:timeline")
        if answer.status_code != 200:
            raise NoTimeline(f"orders/{order}: {answer}")
        timeline: dict[str, Any] = answer.json()
    except (OSError, ValueError) as error:
        raise NoTimeline(f"the edge at {edge.url}: {error}") from error
    return timeline


def report(timeline: Mapping[str, Any]) -> str:
    """Return the timeline as text."""
    order = timeline["order"]
    head = f"{order['name']} of {order['customer']} is {order['state']} {order.get('stateReason', '')}".rstrip()
    rows = [HEADER, *(_row(entry) for entry in timeline.get("entries", ()))]
    unknown = [f"Unknown: {part}" for part in timeline.get("unknown", ())]
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
    tried = f"{deliveries} failed deliveries" if deliveries else ""
    topic = entry.get("topic")
    if entry["kind"] == "PUBLISHED":
        topic = f"{topic}/{entry.get('partition', 0)}/{entry.get('offset', 0)}"
    return ", ".join(part for part in (topic, entry.get("detail"), tried) if part)
