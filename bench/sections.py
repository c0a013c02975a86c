"""The tables of `make bench`, one function each; the title says what is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import limits, load, open_loop, outage, reads, rpc, stored, tables, versus, watching
from bench.go_tools import NotThere
from bench.latencies import Called
from bench.load import Load, LoadFailed, Measured
from bench.peer.running import Peer
from bench.results import Row, Section
from bench.running import Running, draw_tokens
from bench.target import Target
from stack.progress import Progress
from stack.topology.addresses import Host, Network, Port
from stack.topology.plan import REPLICAS

ORDERS = ("orders/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s per 1,000", "failed")
CALLS = ("orders/s", "p50 ms", "p99 ms", "p99.9 ms", "failed")
READS = ("reads/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s per 1,000", "failed")
BATCHES = (1, 10, 100)
WATCHERS = (1, 50, 500)
# Of the slower stack's throughput in the closed loop.
SHARES = (0.3, 0.6, 0.9)
# A customer may place a batch a second: this many never reach that limit.
BATCH_CUSTOMERS = 2000
GRPC_CUSTOMERS = 32
NOT_THERE = (NotThere, LoadFailed)


@dataclass(frozen=True)
class Bench:
    """Both stacks, and how much is measured."""

    ours: Running
    peer: Peer
    load: Load
    rounds: int
    stored: Sequence[int]
    backlog: int
    progress: Progress

    def metadata(self) -> Mapping[str, str]:
        """Return ghz's authorization metadata for the edge: its workers take the customers in turn."""
        tokens = self.ours.tokens.read_text().split()[:GRPC_CUSTOMERS]
        return {"authorization": f"Bearer {rpc.by_worker(tokens)}"}

    def rest(self) -> None:
        """Wait until both stacks have an empty backlog."""
        self.ours.come_to_rest()
        self.peer.come_to_rest()


def closed_loop(bench: Bench) -> Iterator[Section]:
    """
    Orders by as many callers as there are connections, each waiting for its response, all kinds in turn.
    """
    rest: dict[str, list[Measured]] = {"ours": [], "peer": []}
    calls: dict[str, list[_Grpc] | str] = {"gRPC, through the mesh": [], "gRPC, straight to orders": []}
    for target in (bench.ours, bench.peer):
        load.warm(target, bench.load)
    for number in range(bench.rounds):
        for target in (bench.ours, bench.peer) if number % 2 else (bench.peer, bench.ours):
            rest[target.name].append(load.run(target, bench.load))
        for name, rounds in calls.items():
            if not isinstance(rounds, str):
                try:
                    rounds.append(_grpc(bench, straight="straight" in name))
                except NOT_THERE as why:
                    calls[name] = str(why)
    measured = [*rest["ours"], *rest["peer"]]
    rows = [tables.row("ours, REST through the edge", rest["ours"])]
    rows += [_row_of_grpc(name, rounds) for name, rounds in calls.items()]
    rows.append(tables.row("peer, REST", rest["peer"]))
    yield Section(
        f"Orders in a closed loop, {bench.load.connections} callers", ORDERS, rows, bars=("orders/s", "p99 ms")
    )
    by_part: dict[str, list[Mapping[str, float]]] = {
        f"{name}, REST": [each.cpu_s for each in rounds] for name, rounds in rest.items()
    }
    by_part |= {name: [each.cpu_s for each in rounds] for name, rounds in calls.items() if not isinstance(rounds, str)}
    yield tables.by_part("CPU seconds per 1,000 orders, by part", by_part)
    ratios = {
        column: versus.ratios(measured, field)
        for column, field in tables.COLUMNS.items()
        if column not in ("pending", "failed")
    }
    yield Section("Ours divided by the peer, round by round", tuple(ratios), [Row("ours / peer", ratios)])
    written = {"WAL": "wal_bytes", "Kafka": "kafka_bytes"}
    rows = [
        Row(name, {n: [getattr(r, f) for r in rounds] for n, f in written.items()}) for name, rounds in rest.items()
    ]
    yield Section("Bytes per order", tuple(written), rows, note="WAL of the leader; what the broker's log grows by")
    memory = {target.name: [target.parts.memory_mb()] for target in (bench.ours, bench.peer)}
    yield tables.by_part("Memory after that, in MB", memory, note="proportional set size: shared pages are divided")


def fixed_rates(bench: Bench) -> Iterator[Section]:
    """
    Orders at a fixed rate, independent of responses.
    """
    targets: list[Target] = [bench.ours, bench.peer]
    for target in targets:
        load.warm(target, bench.load)
    slowest = min(load.run(each, bench.load).orders_per_s for each in targets)
    rows = []
    for share in SHARES:
        rate = max(1, round(slowest * share))
        measured: dict[str, list[Called]] = {bench.ours.name: [], bench.peer.name: []}
        try:
            for target in targets * bench.rounds:
                measured[target.name].append(open_loop.place(target, rate=rate, seconds=bench.load.seconds))
                target.come_to_rest()
            rows += [tables.row_of_calls(f"{name}, {rate}/s arrive", rounds) for name, rounds in measured.items()]
        except NOT_THERE as why:
            rows.append(tables.missing(f"{rate}/s arrive", why))
    note = "latency from when an order was due to arrive (vegeta); rates are shares of what the slower one takes"
    yield Section("Orders at fixed rates, open loop", CALLS, rows, note=note, bars=("p99 ms",))


def without_inventory(bench: Bench) -> Iterator[Section]:
    """
    Orders while inventory is down, and how fast they are confirmed afterwards.
    """
    outages = [outage.measure(bench.ours, bench.load, backlog=bench.backlog), outage.measure(bench.peer, bench.load)]
    drained = {"backlog": "backlog", "drained in s": "drain_s", "drained/s": "drained_per_s"}
    rows = []
    for each in outages:
        cells = {name: [float(getattr(each, field))] for name, field in drained.items()}
        rows.append(Row(each.load.stack, {**tables.row("", [each.load]).cells, **cells}))
    yield Section("Inventory dead, then back", (*ORDERS, "pending", *drained), rows, bars=("orders/s", "drained/s"))


def limits_of_others(bench: Bench) -> Iterator[Section]:
    """
    Yield the limits of PostgreSQL and Envoy without our services.
    """
    settings, rows = bench.ours.settings, []
    with limits.empty_database(settings) as name:
        seconds, connections = bench.load.seconds, bench.load.connections
        rounds = [limits.pgbench(settings, name, seconds=seconds, connections=connections) for _ in range(bench.rounds)]
        rows.append(tables.row_of_calls("PostgreSQL, an order's rows (pgbench)", rounds))
    answers = [limits.envoy_alone(settings, bench.load) for _ in range(bench.rounds)]
    rows.append(tables.row_of_wrk("Envoy alone, a direct response", answers, per_s="orders/s"))
    yield Section("Limits: the same calls and rows without us", CALLS, rows, bars=("orders/s",))


def batches(bench: Bench) -> Iterator[Section]:
    """
    BatchCreateOrders through the edge.
    """
    ours = replace(bench.ours, tokens=draw_tokens(bench.ours.settings, BATCH_CUSTOMERS))
    rounds = [
        [load.run(ours, replace(bench.load, batch=size, connections=4)) for size in BATCHES]
        for _ in range(bench.rounds)
    ]
    rows = [tables.row(f"{size} a call", [each[number] for each in rounds]) for number, size in enumerate(BATCHES)]
    note = "4 connections; milliseconds are a call's"
    yield Section("BatchCreateOrders", ORDERS, rows, note=note, bars=("orders/s", "CPU s per 1,000"))


def reading(bench: Bench) -> Iterator[Section]:
    """
    Reads through the edge, which admits 1,000 calls a second from one address.
    """
    rows = []
    for kind in ("GetOrder", "ListOrders", "ListProducts"):
        before = bench.ours.parts.cpu_s()
        rounds = [reads.run(bench.ours, kind, bench.load) for _ in range(bench.rounds)]
        spent = sum(load.used(before, bench.ours.parts.cpu_s()).values())
        served = sum(each["calls"] - each["refused"] for each in rounds)
        row = tables.row_of_wrk(kind, rounds, per_s="reads/s")
        rows.append(Row(kind, {**row.cells, "CPU s per 1,000": [1000 * spent / max(1.0, served)]}))
    note = (
        f"{reads.PAGE} orders a page; the edge refuses more than 1,000 calls a second of one address, which fail here"
    )
    yield Section("Reads", READS, rows, note=note, bars=("reads/s",))


def among_stored(bench: Bench) -> Iterator[Section]:
    """
    Yield the cost of an order with so many stored already.
    """
    ours, rows = bench.ours, []
    with stored.forgotten(ours.settings, ours.rows_in):
        for wanted in bench.stored:
            there = stored.fill(ours.settings, ours.rows_in, wanted)
            rows.append(tables.row(f"{there:,} stored", [load.run(ours, bench.load) for _ in range(bench.rounds)]))
    yield Section("Orders among those that are stored", ORDERS, rows, bars=("orders/s", "CPU s per 1,000"))


def while_watched(bench: Bench) -> Iterator[Section]:
    """
    Yield the cost of an order while so many streams watch others.
    """
    ours, rows = bench.ours, []
    for count in WATCHERS:
        orders = reads.owned(ours, count)
        name = f"{len(orders)} watching"
        try:
            rounds = [_watched(ours, orders, bench.load) for _ in range(bench.rounds)]
            memory = [ours.parts.memory_mb().get("orders", 0.0)]
            rows.append(Row(name, {**tables.row(name, rounds).cells, "orders' MB": memory}))
        except LoadFailed as why:
            rows.append(tables.missing(name, why))
    columns = (*ORDERS, "orders' MB")
    yield Section("Orders while others are watched", columns, rows, bars=("orders/s", "CPU s per 1,000"))


ALL: Mapping[str, Callable[[Bench], Iterator[Section]]] = {
    "closed": closed_loop,
    "rates": fixed_rates,
    "outage": without_inventory,
    "limits": limits_of_others,
    "batches": batches,
    "reads": reading,
    "watchers": while_watched,
    "stored": among_stored,
}


def last_line(sections: Sequence[Section]) -> str:
    """
    Return the ratios to the naive stack in a sentence; nothing if they were not measured.
    """
    rows = [row for section in sections for row in section.rows if row.name == "ours / peer"]
    if not rows:
        return ""
    ratios = {name: statistics.median(map(float, cell)) for name, cell in rows[0].cells.items() if cell}
    return (
        f"ours / peer: {ratios['orders/s']:.2f} times the orders/s, {ratios['CPU s per 1,000']:.2f} times the "
        f"CPU seconds, {ratios['p99 ms']:.2f} times the p99"
    )


def _watched(ours: Running, orders: Sequence[tuple[str, str]], wanted: Load) -> Measured:
    return watching.during(f"127.0.0.1:{ours.settings.port}", orders, lambda: load.run(ours, wanted))


@dataclass(frozen=True)
class _Grpc:
    """A round of ghz, and the CPU seconds of each part per 1,000 orders."""

    called: Called
    cpu_s: Mapping[str, float]


def _row_of_grpc(name: str, rounds: Sequence[_Grpc] | str) -> Row:
    if isinstance(rounds, str):
        return tables.missing(name, rounds)
    row = tables.row_of_calls(name, [each.called for each in rounds])
    return Row(name, {**row.cells, "CPU s per 1,000": [sum(each.cpu_s.values()) for each in rounds]})


def _grpc(bench: Bench, *, straight: bool) -> _Grpc:
    ours = bench.ours
    network = Network(ours.settings.network)
    replicas = [str(network.at(Host.ORDERS, Port.APPLICATION, replica)) for replica in REPLICAS]
    addresses = replicas if straight else [f"127.0.0.1:{ours.settings.port}"]
    metadata = {"x-customer-id": "bench-{{.WorkerID}}"} if straight else bench.metadata()
    before = ours.parts.cpu_s()
    called = rpc.place(
        *(ours.settings, addresses, metadata, ours.products),
        seconds=bench.load.seconds,
        workers=bench.load.connections,
    )
    ours.come_to_rest()
    spent = load.used(before, ours.parts.cpu_s())
    return _Grpc(called, {part: 1000 * seconds / called.served for part, seconds in spent.items()})
