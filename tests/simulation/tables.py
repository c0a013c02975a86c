"""The orders' tables and the statements that the service sends, each as PostgreSQL does it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from orders_svc import sql
from runtime.messaging import outbox, outbox_backlog, outbox_shards, relay

if TYPE_CHECKING:
    from tests.simulation.postgres import Transaction

Row = dict[str, Any]
OWNED = ("CONFIRMED", "FULFILLED")
FINAL = ("REJECTED", "CANCELLED", "FULFILLED")
CLOCKS_DIFFER = timedelta(seconds=2)


@dataclass
class Tables:
    """What is committed."""

    orders: dict[Any, Row] = field(default_factory=dict)
    changes: dict[tuple[Any, int], Row] = field(default_factory=dict)
    archived: dict[Any, Row] = field(default_factory=dict)
    archived_changes: dict[tuple[Any, int], Row] = field(default_factory=dict)
    keys: dict[tuple[str, str], Row] = field(default_factory=dict)
    outbox: dict[int, Row] = field(default_factory=dict)
    generation: int = 0
    last_outbox_id: int = 0
    sold: Counter[str] = field(default_factory=Counter)
    on_order: Callable[[Row | None, Row], None] | None = None
    """Is told of each version of an order as it is committed: the one before, and the new one."""

    on_generation: Callable[[int, set[str]], None] | None = None
    """Is told of each stock generation as it starts, and of the orders that own their units then."""

    def put_generation(self, number: int) -> None:
        """
        Start a stock generation.
        """
        self.generation = number
        if self.on_generation is not None:
            self.on_generation(number, {str(name) for name, row in self.every_order().items() if row["state"] in OWNED})

    def every_order(self) -> dict[Any, Row]:
        """
        Return every order, archived or not.
        """
        return self.orders | self.archived

    def every_change(self) -> dict[tuple[Any, int], Row]:
        """
        Return every version of every order, archived or not.
        """
        return self.changes | self.archived_changes

    def archive(self, ids: list[Any]) -> None:
        """
        Move orders to the archive.
        """
        for place in [each for each in self.changes if each[0] in ids]:
            self.archived_changes[place] = self.changes.pop(place)
        for each in ids:
            self.archived[each] = self.orders.pop(each)

    def next_outbox_id(self) -> int:
        """
        Return the identity of a new row; they have gaps, as in PostgreSQL, and may be committed in another order.
        """
        self.last_outbox_id += 1
        return self.last_outbox_id

    def put_order(self, row: Row) -> None:
        """
        Insert or replace an order, with what the triggers count.
        """
        before = self.orders.get(row["order_id"])
        for each, sign in ((before, -1), (row, 1)):
            if each is not None and each["state"] in OWNED:
                for line in json.loads(each["lines"]):
                    self.sold[line["product"]] += sign * line["quantity"]
        self.orders[row["order_id"]] = row
        if self.on_order is not None:
            self.on_order(before, row)


def _rows(names: Iterable[str], values: dict[str, Any]) -> list[Row]:
    columns = {name: values[name] for name in names}
    return [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]


PLACED = ("order_id", "customer", "request_id", "fingerprint", "state", "state_reason", "lines", "currency", "total",
          "generation", "create_time", "snapshot", "lease", "trace_id")  # fmt: skip
MOVED = ("state", "state_reason", "lines", "currency", "total", "generation", "version", "update_time")
EVENT = ("shard", "topic", "key", "value", "headers")


def _named(statement: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(statement._names, arguments, strict=True))


async def place(tx: Transaction, *arguments: Any) -> list[Row]:
    """Insert those orders of the batch that are not fenced and whose request ids have no answer."""
    values = _named(sql.PLACE, arguments)
    orders = _rows(PLACED, values)
    events = _rows(("event_of", *EVENT), values)
    await tx.lock(sql.FENCE, shared=True)
    generation, passed_at = tx.tables.generation, tx.clock()
    unfenced = [
        each
        for each in orders
        if each["state"] != "CONFIRMED"
        or (each["generation"] >= generation and (each["lease"] is None or each["lease"] > passed_at + CLOCKS_DIFFER))
    ]
    for each in sorted(unfenced, key=lambda row: (row["customer"], row["request_id"])):
        await tx.lock(("key", each["customer"], each["request_id"]))
    fresh = [each for each in unfenced if (each["customer"], each["request_id"]) not in tx.tables.keys]
    placed = {each["order_id"] for each in fresh}
    if any(each in tx.tables.orders for each in placed):
        raise asyncpg.UniqueViolationError("orders_pkey")
    for each in fresh:
        _store(tx, each, version=1, replica=values["replica"])
    for event in events:
        if event.pop("event_of") in placed:
            _queue(tx, event)
    return [{"order_id": each["order_id"]} for each in fresh]


def _store(tx: Transaction, row: Row, *, version: int, replica: str) -> None:
    order = {name: row[name] for name in
             ("order_id", "customer", "state", "state_reason", "lines", "currency", "total", "generation")}  # fmt: skip
    order |= {"version": version, "create_time": row["create_time"], "update_time": row["create_time"]}
    key = {"fingerprint": row["fingerprint"], "order_id": row["order_id"], "version": version}
    key["create_time"] = row["create_time"]
    change = {"snapshot": row["snapshot"], "replica": replica, "trace_id": row["trace_id"]}
    tx.write(lambda: tx.tables.put_order(order))
    tx.write(lambda: tx.tables.changes.__setitem__((row["order_id"], version), change))
    tx.write(lambda: tx.tables.keys.__setitem__((row["customer"], row["request_id"]), key))


def _queue(tx: Transaction, event: Row) -> None:
    row = {**event, "id": tx.tables.next_outbox_id(), "create_time": tx.clock(), "refused": None}
    tx.write(lambda: tx.tables.outbox.__setitem__(row["id"], row))


async def save(tx: Transaction, *arguments: Any) -> list[Row]:
    """Move an order from one version to the next, unless it, or the generation, is not what the caller saw."""
    new = _named(sql.SAVE, arguments)
    await tx.lock(("order", new["order_id"]))
    old, present = tx.tables.orders.get(new["order_id"]), tx.tables.generation
    if old is None or old["version"] != new["version_before"]:
        return [{"count": 0}]
    lapsed = new["lease"] is not None and new["lease"] <= tx.clock() + CLOCKS_DIFFER
    if new["state"] == "CONFIRMED" and (new["generation"] < present or lapsed):
        return [{"count": 0}]
    if old["state"] == "CONFIRMED" and new["state"] == "CANCELLED" and new["generation"] != present:
        return [{"count": 0}]
    if new["customer"] is not None:
        await tx.lock(("key", new["customer"], new["request_id"]))
        if (new["customer"], new["request_id"]) in tx.tables.keys:
            raise asyncpg.UniqueViolationError("idempotency_keys_pkey")
        key = {"fingerprint": new["fingerprint"], "order_id": new["order_id"], "version": new["version"]}
        key["create_time"] = new["update_time"]
        tx.write(lambda: tx.tables.keys.__setitem__((new["customer"], new["request_id"]), key))
    moved = {**old, **{name: new[name] for name in MOVED}}
    change = {"snapshot": new["snapshot"], "replica": new["replica"], "trace_id": new["trace_id"]}
    tx.write(lambda: tx.tables.put_order(moved))
    tx.write(lambda: tx.tables.changes.__setitem__((new["order_id"], new["version"]), change))
    for event in _rows(EVENT, new):
        _queue(tx, event)
    return [{"count": 1}]


async def find(tx: Transaction, customers: list[str], requests: list[str], ids: list[Any]) -> list[Row]:
    """Return what requests were answered with, of archived orders their place; a pruned key is made up for."""
    found = []
    for number, (customer, request_id, order_id) in enumerate(zip(customers, requests, ids, strict=True), 1):
        key = tx.tables.keys.get((customer, request_id))
        place = (key["order_id"], key["version"]) if key else (order_id, 1)
        change, archived = tx.tables.changes.get(place), tx.tables.archived.get(place[0])
        row = {"number": number, "fingerprint": key["fingerprint"] if key else None, "order_id": place[0]}
        row |= {"version": place[1], "snapshot": None, "create_time": None}
        if change is not None:
            row["snapshot"] = change["snapshot"]
        elif archived is not None:
            row["create_time"] = archived["create_time"]
        found.append(row)
    return found


async def get(tx: Transaction, order_id: Any) -> list[Row]:
    """Return one order."""
    row = tx.tables.orders.get(order_id)
    return [] if row is None else [row]


async def of_ids(tx: Transaction, ids: list[Any]) -> list[Row]:
    """Return several orders."""
    return [tx.tables.orders[each] for each in ids if each in tx.tables.orders]


async def generation(tx: Transaction) -> list[Row]:
    """Return the stock generation."""
    return [{"generation": tx.tables.generation}]


async def start_generation(tx: Transaction, above: int) -> list[Row]:
    """Raise the stock generation."""
    await tx.lock("stock_generation")
    raised = max(tx.tables.generation, above) + 1
    tx.write(lambda: tx.tables.put_generation(raised))
    return [{"generation": raised}]


async def sold(tx: Transaction) -> list[Row]:
    """Return the units that orders own."""
    return [{"product": product, "units": units} for product, units in sorted(tx.tables.sold.items()) if units]


async def owners(tx: Transaction, ids: list[Any], least: int) -> list[Row]:
    """Return which orders own their units, on a hold of a generation that is not older."""
    known = tx.tables.every_order()
    orders = [known[each] for each in ids if each in known]
    return [{"order_id": row["order_id"]} for row in orders if row["state"] in OWNED and row["generation"] >= least]


async def lock_fence(tx: Transaction) -> list[Row]:
    """Wait for the fence, alone."""
    await tx.lock(sql.FENCE)
    return [{"lock": ""}]


async def lock_fence_shared(tx: Transaction) -> list[Row]:
    """Wait for the fence, with others."""
    await tx.lock(sql.FENCE, shared=True)
    return [{"lock": ""}]


async def erasable(tx: Transaction, customer: str, limit: int) -> list[Row]:
    """Lock final orders of a customer, except those that are locked."""
    final = [row for row in tx.tables.orders.values() if row["customer"] == customer and row["state"] in FINAL]
    free = (row for row in final if tx.server.locks.try_take(tx, ("order", row["order_id"])))
    return [row for row, _ in zip(free, range(limit), strict=False)]


async def versions_of(tx: Transaction, ids: list[Any]) -> list[Row]:
    """Return every version of some orders."""
    found = sorted((place, row) for place, row in tx.tables.changes.items() if place[0] in ids)
    return [{"order_id": place[0], "version": place[1], **row} for place, row in found]


async def waiting_at_most(tx: Transaction, limit: int) -> list[Row]:
    """Count the outbox's rows up to a limit."""
    return [{"count": min(len(tx.tables.outbox), limit)}]


async def waiting_of(tx: Transaction, keys: list[bytes]) -> list[Row]:
    """Return the outbox's rows of some orders."""
    return [row for _, row in sorted(tx.tables.outbox.items()) if row["key"] in keys]


async def erase(tx: Transaction, *arguments: Any) -> list[Row]:
    """Give orders to nobody, and rewrite their versions and their waiting events."""
    return _erase(tx, _named(sql.ERASE, arguments), tx.tables.orders, tx.tables.changes)


async def erasable_archived(tx: Transaction, customer: str, limit: int) -> list[Row]:
    """Lock archived orders of a customer, except those that are locked."""
    own = [row for row in tx.tables.archived.values() if row["customer"] == customer]
    free = (row for row in own if tx.server.locks.try_take(tx, ("order", row["order_id"])))
    return [row for row, _ in zip(free, range(limit), strict=False)]


async def erase_archived(tx: Transaction, *arguments: Any) -> list[Row]:
    """Give archived orders to nobody, and rewrite their versions and their waiting events."""
    return _erase(tx, _named(sql.ERASE_ARCHIVED, arguments), tx.tables.archived, tx.tables.archived_changes)


def _erase(
    tx: Transaction, values: dict[str, Any], orders: dict[Any, Row], changes: dict[tuple[Any, int], Row]
) -> list[Row]:
    def rewrite() -> None:
        for order_id in values["order_id"]:
            before = orders[order_id]
            orders[order_id] = {**before, "customer": values["nobody"]}
            if tx.tables.on_order is not None:
                tx.tables.on_order(before, orders[order_id])
        for row in _rows(("change_of", "version", "snapshot"), values):
            change = changes[row["change_of"], row["version"]]
            changes[row["change_of"], row["version"]] = {**change, "snapshot": row["snapshot"]}
        for row in _rows(("row", "new_value"), values):
            if row["row"] in tx.tables.outbox:
                tx.tables.outbox[row["row"]] = {**tx.tables.outbox[row["row"]], "value": row["new_value"]}

    tx.write(rewrite)
    return [{"count": len(values["order_id"])}]


async def erase_requests(tx: Transaction, customer: str, limit: int) -> str:
    """Forget request ids of a customer, except those that are being written."""
    keys = [place for place in tx.tables.keys if place[0] == customer]
    free = [place for place in keys if tx.server.locks.try_take(tx, ("key", *place))][:limit]
    for place in free:
        tx.write(lambda place=place: tx.tables.keys.pop(place, None))
    return f"DELETE {len(free)}"


async def alone(tx: Transaction, name: int) -> list[Row]:
    """Be the only one, until the transaction ends."""
    return [{"lock": tx.server.locks.try_take(tx, name)}]


async def to_archive(tx: Transaction, kept: timedelta, limit: int) -> list[Row]:
    """Lock the oldest final orders, except those that are locked."""
    final = (row for row in tx.tables.orders.values() if row["state"] in FINAL)
    old = [row for row in final if row["create_time"] < tx.clock() - kept]
    oldest = sorted(old, key=lambda row: (row["create_time"], row["order_id"]))[:limit]
    return [row for row in oldest if tx.server.locks.try_take(tx, ("order", row["order_id"]))]


async def make_months(tx: Transaction, _: list[datetime]) -> str:
    """Have partitions, of which nothing is seen here."""
    return "SELECT"


async def archive(tx: Transaction, ids: list[Any]) -> str:
    """Move orders to the archive."""
    tx.write(lambda: tx.tables.archive(ids))
    return "SELECT"


async def archived_at(tx: Transaction, ids: list[Any]) -> list[Row]:
    """Return which orders are in the archive."""
    return [tx.tables.archived[each] for each in ids if each in tx.tables.archived]


async def archived(tx: Transaction, ids: list[Any], *_: datetime) -> list[Row]:
    """Return archived orders."""
    return [tx.tables.archived[each] for each in ids if each in tx.tables.archived]


async def archived_versions(tx: Transaction, ids: list[Any], *_: datetime) -> list[Row]:
    """Return every version of some archived orders."""
    found = sorted((place, row) for place, row in tx.tables.archived_changes.items() if place[0] in ids)
    return [{"order_id": place[0], "version": place[1], **row} for place, row in found]


async def prune_keys(tx: Transaction, limit: int) -> str:
    """Forget old request ids."""
    before = tx.clock() - timedelta(days=sql.KEYS_KEPT_DAYS)
    old = [place for place, key in tx.tables.keys.items() if key["create_time"] < before][:limit]
    for place in old:
        tx.write(lambda place=place: tx.tables.keys.pop(place, None))
    return f"DELETE {len(old)}"


async def oldest_key(tx: Transaction) -> list[Row]:
    """Return the age of the oldest request id."""
    times = [key["create_time"] for key in tx.tables.keys.values()]
    return [{"oldest_s": (tx.clock() - min(times)).total_seconds() if times else 0.0}]


async def put(tx: Transaction, *columns: list[Any]) -> str:
    """Add rows to the outbox."""
    for event in _rows(EVENT, dict(zip(EVENT, columns, strict=True))):
        _queue(tx, event)
    return "INSERT"


async def select_batch(tx: Transaction, shards: list[int], limit: int, without: list[str]) -> list[Row]:
    """Return the first rows of each shard."""
    counts: Counter[int] = Counter()
    found = []
    for _, row in sorted(tx.tables.outbox.items()):
        wanted = row["shard"] in shards and row["refused"] is None and row["topic"] not in without
        if wanted and counts[row["shard"]] < limit:
            counts[row["shard"]] += 1
            found.append(row)
    return found


async def delete_rows(tx: Transaction, ids: list[int]) -> str:
    """Delete what is published; without waiting for the disk, so a crash may bring it back."""
    for each in ids:
        tx.delete_row(each)
    return f"DELETE {len(ids)}"


async def refuse(tx: Transaction, row_id: int, reason: str) -> str:
    """Mark a row that Kafka never takes."""
    tx.write(lambda: tx.tables.outbox[row_id].__setitem__("refused", reason))
    return "UPDATE 1"


async def redrive(tx: Transaction) -> str:
    """Give refused rows to the relay once more."""
    refused = [row for row in tx.tables.outbox.values() if row["refused"] is not None]
    for row in refused:
        tx.write(lambda row=row: row.__setitem__("refused", None))
    return f"UPDATE {len(refused)}"


async def backlog(tx: Transaction) -> list[Row]:
    """Return what waits, by topic."""
    rows: dict[str, list[Row]] = {}
    for row in tx.tables.outbox.values():
        rows.setdefault(row["topic"], []).append(row)
    return [{"topic": topic, "waiting": len(each), "refused": 0, "lag_s": 0.0} for topic, each in sorted(rows.items())]


async def unsent(tx: Transaction, before: datetime, limit: int) -> list[Row]:
    """Return rows that wait for long."""
    rows = [row for _, row in sorted(tx.tables.outbox.items())]
    late = [row for row in rows if row["refused"] is not None or row["create_time"] < before]
    return [{**row, "key": row["key"].decode()} for row in late[:limit]]


async def still_unsent(tx: Transaction, ids: list[int]) -> list[Row]:
    """Return which rows are there."""
    return [{"id": each} for each in ids if each in tx.tables.outbox]


async def stuck(tx: Transaction, before: datetime, limit: int) -> list[Row]:
    """Return orders that wait for long."""
    waiting = [row for row in tx.tables.orders.values() if row["state"] == "PENDING" and row["update_time"] < before]
    return sorted(waiting, key=lambda row: row["create_time"])[:limit]


async def pending_after(tx: Transaction, order_id: Any, limit: int) -> list[Row]:
    """Return pending orders by their ids."""
    waiting = [row for row in tx.tables.orders.values() if row["state"] == "PENDING" and row["order_id"] > order_id]
    return sorted(waiting, key=lambda row: row["order_id"])[:limit]


async def join_relays(tx: Transaction, *name: int) -> list[Row]:
    """Be counted among the relays."""
    return [{"lock": tx.session.try_lock(name, shared=True)}]


async def count_relays(tx: Transaction, *name: int) -> list[Row]:
    """Count them."""
    return [{"count": tx.session.holders(name)}]


async def lock_shard(tx: Transaction, *name: int) -> list[Row]:
    """Claim a shard."""
    return [{"lock": tx.session.try_lock(name)}]


async def unlock_shard(tx: Transaction, *name: int) -> list[Row]:
    """Give a shard back."""
    tx.session.unlock(name)
    return [{"unlock": True}]


async def try_lock(tx: Transaction, name: int) -> list[Row]:
    """Be the only one."""
    return [{"lock": tx.session.try_lock(name)}]


async def notify(tx: Transaction, channel: str, payload: str = "") -> list[Row]:
    """Notify those who listen, after the commit."""
    tx.write(lambda: tx.notify(channel, payload))
    return [{"notify": ""}]


async def probe(tx: Transaction) -> list[Row]:
    """Answer."""
    return [{"one": 1}]


STATEMENTS: dict[str, Callable[..., Awaitable[Any]]] = {
    sql.PLACE.text: place,
    sql.SAVE.text: save,
    sql.FIND.text: find,
    sql.GET: get,
    sql.OF_IDS: of_ids,
    sql.GENERATION: generation,
    sql.START_GENERATION: start_generation,
    sql.SOLD: sold,
    sql.OWNERS: owners,
    sql.LOCK_FENCE: lock_fence,
    sql.LOCK_FENCE_SHARED: lock_fence_shared,
    sql.ERASABLE: erasable,
    sql.VERSIONS_OF: versions_of,
    sql.WAITING_AT_MOST: waiting_at_most,
    sql.WAITING_OF: waiting_of,
    sql.ERASE.text: erase,
    sql.ERASABLE_ARCHIVED: erasable_archived,
    sql.ERASE_ARCHIVED.text: erase_archived,
    sql.ALONE: alone,
    sql.TO_ARCHIVE: to_archive,
    sql.MAKE_MONTHS: make_months,
    sql.ARCHIVE: archive,
    sql.ARCHIVED_AT: archived_at,
    sql.ARCHIVED: archived,
    sql.ARCHIVED_VERSIONS: archived_versions,
    sql.ERASE_REQUESTS: erase_requests,
    sql.PRUNE_KEYS: prune_keys,
    sql.OLDEST_KEY: oldest_key,
    sql.UNSENT: unsent,
    sql.STILL_UNSENT: still_unsent,
    sql.STUCK: stuck,
    sql.PENDING_AFTER: pending_after,
    sql.TRY_LOCK: try_lock,
    sql.NOTIFY: notify,
    sql.PROBE: probe,
    "SELECT pg_notify($1, $2)": notify,
    outbox.PUT: put,
    outbox_backlog.BACKLOG: backlog,
    outbox_backlog.REDRIVE: redrive,
    outbox_shards.JOIN_RELAYS: join_relays,
    outbox_shards.COUNT_RELAYS: count_relays,
    outbox_shards.LOCK_SHARD: lock_shard,
    outbox_shards.UNLOCK_SHARD: unlock_shard,
    relay.SELECT_BATCH: select_batch,
    relay.DELETE: delete_rows,
    relay.REFUSE: refuse,
}
