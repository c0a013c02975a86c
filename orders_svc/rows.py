"""The database rows of an order."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders_svc import sql, wire
from orders_svc.operations_ports import Version
from orders_svc.order import Change, Line, Order, State
from orders_svc.ports import Placement, Request
from orders_svc.topics import ORDER_EVENTS, PENDING_ORDERS
from runtime import spans
from runtime.messaging import outbox
from runtime.messaging.message import Record
from runtime.money import Money


@dataclass(frozen=True)
class Prepared:
    """A placement with everything that does not depend on the database."""

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
    Return the outbox rows of *change*, in the current trace, which the consumers continue.
    """
    key, headers = str(change.after.id).encode(), spans.trace_headers()
    records = [Record(ORDER_EVENTS, key, wire.order_event(change).SerializeToString(), headers)]
    if change.after.state is State.PENDING:
        pending = wire.pending_order(change.after).SerializeToString()
        records.append(Record(PENDING_ORDERS, key, pending, headers))
    return tuple(records)


def columns(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """
    Return *rows*, of which there is at least one, as columns by name: the form that `unnest` takes.
    """
    return {name: [row[name] for row in rows] for name in rows[0]}


def find_arguments(requests: Sequence[Request]) -> list[object]:
    """
    Return the parameters of `sql.FIND`.
    """
    keys = [{"customer": r.customer, "request_id": r.request_id, "order_id": r.order_id} for r in requests]
    return sql.FIND.arguments(**columns(keys))


def place_arguments(batch: Sequence[Prepared], replica: str | None) -> list[object]:
    """
    Return the parameters of `sql.PLACE`; *replica* is recorded with the change.
    """
    orders = [_placed(each) for each in batch]
    events = [{"event_of": each.placement.order.id, **outbox.named(record)} for each in batch for record in each.rows]
    return sql.PLACE.arguments(**columns(orders), **columns(events), replica=replica)


def _placed(prepared: Prepared) -> dict[str, object]:
    placement = prepared.placement
    return {
        "order_id": placement.order.id,
        "create_time": placement.order.create_time,
        "snapshot": prepared.snapshot,
        "lease": placement.lease,
        "trace_id": outbox.trace_id(prepared.rows[0]),
        **_request(placement.request),
        **_state(placement.order),
    }


def save_arguments(
    change: Change, before: Order, request: Request | None, lease: datetime | None, replica: str | None
) -> list[object]:
    """
    Return the parameters of `sql.SAVE`; *replica* is recorded with the change.
    """
    order, records = change.after, outbox_rows(change)
    return sql.SAVE.arguments(
        order_id=order.id,
        version_before=before.version,
        version=order.version,
        update_time=order.update_time,
        snapshot=snapshot_of(order),
        lease=lease,
        trace_id=outbox.trace_id(records[0]),
        replica=replica,
        **_request(request),
        **_state(order),
        **columns([outbox.named(record) for record in records]),
    )


def _request(request: Request | None) -> dict[str, object]:
    if request is None:
        return dict.fromkeys(("customer", "request_id", "fingerprint"))
    return {"customer": request.customer, "request_id": request.request_id, "fingerprint": request.fingerprint}


def snapshot_of(order: Order) -> bytes:
    """
    Return *order* as its serialized message, which is what callers receive.
    """
    return wire.order_message(order).SerializeToString()


def _state(order: Order) -> dict[str, object]:
    total = order.total
    return {
        "state": str(order.state),
        "state_reason": order.state_reason,
        "lines": json.dumps([_line_column(line) for line in order.lines]),
        "currency": None if total is None else total.currency,
        "total": None if total is None else Decimal(total.nanos).scaleb(-9),
        "generation": order.generation,
    }


def _line_column(line: Line) -> dict[str, object]:
    column: dict[str, object] = {"product": line.product, "quantity": line.quantity}
    if line.unit_price is not None:
        column |= {"currency": line.unit_price.currency, "price": line.unit_price.nanos}
    return column


def version_of(row: Mapping[str, Any]) -> Version:
    """
    Return the version in a row of `order_changes`; replica and trace are empty where none is recorded.
    """
    return Version(row["version"], row["snapshot"], row["replica"] or "", (row["trace_id"] or b"").hex())


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
