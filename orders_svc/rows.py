"""The rows of an order: what is written and what is read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders_svc import wire
from orders_svc.order import Change, Line, Money, Order, State
from orders_svc.ports import OK, Placement, Request
from runtime.messaging import outbox
from runtime.messaging.message import Record

ORDER_EVENTS = "order_events"
PENDING_ORDERS = "pending_orders"


@dataclass(frozen=True)
class Prepared:
    """A placement with everything that does not need the database."""

    placement: Placement
    snapshot: bytes
    rows: tuple[Record, ...]


def prepare(placement: Placement) -> Prepared:
    """
    Return *placement* with its rows, in the caller's trace.
    """
    order = placement.order
    return Prepared(placement, snapshot_of(order), outbox_rows(Change(None, order)))


def outbox_rows(change: Change) -> tuple[Record, ...]:
    """
    Return what is published about *change*, in the present trace, which the consumers join.
    """
    key, headers = str(change.after.id).encode(), outbox.trace_headers()
    records = [Record(ORDER_EVENTS, key, wire.order_event(change).SerializeToString(), headers)]
    if change.after.state is State.PENDING:
        pending = wire.pending_order(change.after).SerializeToString()
        records.append(Record(PENDING_ORDERS, key, pending, headers))
    return tuple(records)


def columns(rows: Sequence[Sequence[object]], count: int) -> list[list[object]]:
    """
    Return *rows* as *count* columns, the form that `unnest` takes.
    """
    return [[row[index] for row in rows] for index in range(count)]


def place_arguments(batch: Sequence[Prepared]) -> list[list[object]]:
    """
    Return the parameters of `sql.PLACE`.
    """
    orders: list[Sequence[object]] = []
    queued: list[Sequence[object]] = []
    for each in batch:
        order, request = each.placement.order, each.placement.request
        orders.append(
            (
                *(order.id, order.customer, request.request_id, request.fingerprint, each.placement.http_code),
                *(*_state_columns(order), order.create_time, each.snapshot, each.placement.lease),
            )
        )
        queued += [(order.id, *outbox.row(record)) for record in each.rows]
    return columns(orders, 14) + columns(queued, 6)


def save_arguments(change: Change, before: Order, request: Request | None, lease: datetime | None) -> list[object]:
    """
    Return the parameters of `sql.SAVE`.
    """
    order = change.after
    key = (
        (None, None, None, None) if request is None else (request.customer, request.request_id, request.fingerprint, OK)
    )
    state, reason, lines, currency, total, generation = _state_columns(order)
    return [
        *(order.id, before.version, state, reason, lines, currency, total, generation, order.version),
        *(
            order.update_time,
            snapshot_of(order),
            *key,
            *outbox.columns(outbox_rows(change)),
            lease,
        ),
    ]


def snapshot_of(order: Order) -> bytes:
    """
    Return *order* as its serialized message, which is what callers are told.
    """
    return wire.order_message(order).SerializeToString()


def _state_columns(order: Order) -> tuple[object, ...]:
    currency, total = (
        (None, None) if order.total is None else (order.total.currency, Decimal(order.total.nanos).scaleb(-9))
    )
    lines = json.dumps([_line_column(line) for line in order.lines])
    return str(order.state), order.state_reason, lines, currency, total, order.generation


def _line_column(line: Line) -> dict[str, object]:
    column: dict[str, object] = {"product": line.product, "quantity": line.quantity}
    if line.unit_price is not None:
        column |= {"currency": line.unit_price.currency, "price": line.unit_price.nanos}
    return column


def order_of(row: Any) -> Order:
    """
    Return the order in *row*, which has `COLUMNS`.
    """
    return Order(
        id=uuid.UUID(bytes=row["order_id"].bytes),
        customer=row["customer"],
        lines=lines_of(row["lines"]),
        state=State(row["state"]),
        state_reason=row["state_reason"],
        total=None if row["total"] is None else Money(row["currency"], int(row["total"].scaleb(9))),
        version=row["version"],
        generation=row["generation"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


def lines_of(column: str) -> tuple[Line, ...]:
    """
    Return the lines in the column *lines*.
    """
    return tuple(
        Line(each["product"], each["quantity"], Money(each["currency"], each["price"]) if "price" in each else None)
        for each in json.loads(column)
    )
