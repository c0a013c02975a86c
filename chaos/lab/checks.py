"""
The checkers: pure functions that find violations in a history and the state after it.

Checks that do not depend on times are in `chaos.guarantees`; these are about the times of responses.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shop.orders.v1 import order_pb2

from chaos import guarantees
from chaos.buyers import AcknowledgedOrder, Memory
from chaos.guarantees import Facts, Verdict
from chaos.lab.figures import is_placed
from chaos.lab.history import Call, Outcome
from chaos.truth import StockNow

# The states that an order may reach, including unobserved transitions.
MAY_FOLLOW: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PENDING", "CONFIRMED", "REJECTED", "CANCELLED", "FULFILLED"}),
    "CONFIRMED": frozenset({"CONFIRMED", "CANCELLED", "FULFILLED"}),
    "REJECTED": frozenset({"REJECTED"}),
    "CANCELLED": frozenset({"CANCELLED"}),
    "FULFILLED": frozenset({"FULFILLED"}),
}


@dataclass(frozen=True)
class Snapshot:
    """Every product's stock at one time of the run."""

    at_s: float
    stock: Mapping[str, StockNow]


@dataclass(frozen=True)
class Evidence:
    """The input of the checkers."""

    calls: Sequence[Call]
    facts: Facts
    # Customer and key of every stored request of this run's customers, with the resulting order.
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)  # the customer of each of their stored orders
    snapshots: Sequence[Snapshot] = ()
    pending: int = 0
    waiting: int = 0  # events that are not published


def verdicts(evidence: Evidence) -> list[Verdict]:
    """Return the verdict of every checker."""
    return [*guarantees.kept(evidence.facts), *(check(evidence) for check in CHECKS)]


def memory_of(calls: Sequence[Call]) -> Memory:
    """Return the responses that a history's clients got, in the form of `chaos.guarantees`."""
    memory = Memory(calls=len(calls), failed_calls=sum(call.outcome is not Outcome.OK for call in calls))
    for key, tries in _by_key(calls).items():
        _remember(memory, key, tries)
    for call in calls:
        if call.operation == "cancel" and call.outcome is Outcome.OK:
            memory.cancelled.add(call.response["order"])
    return memory


def _remember(memory: Memory, key: tuple[str, str], tries: Sequence[Call]) -> None:
    """Record the result of all tries of one intent; every success must return the same."""
    succeeded = [call for call in tries if call.outcome is Outcome.OK]
    if succeeded:
        first = min(succeeded, key=lambda call: call.ended_s)
        state = order_pb2.Order.State.Value(first.response["state"])
        memory.acknowledged[":".join(key)] = AcknowledgedOrder(
            key[1], first.response["order"], state, dict(first.request["lines"])
        )
        orders = {(call.response["order"], call.response["state"]) for call in succeeded}
        if len(orders) > 1:
            memory.doubled.append(f"{key[1]} returned different orders: {sorted(orders)}")
    elif any(call.outcome is Outcome.FAILED and not call.response.get("again") for call in tries):
        memory.refused += 1
    else:
        memory.given_up.append(f"{key[1]}: {tries[-1].response.get('status', 'no response')}")


def _by_key(calls: Iterable[Call]) -> dict[tuple[str, str], list[Call]]:
    found: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in calls:
        if call.operation == "place":
            found[(call.client, call.request["key"])].append(call)
    return found


def unique_ids(evidence: Evidence) -> Verdict:
    """
    Check that one intent is one order, even if the client never got the response, and that definite failures had no
    effect.
    """
    placed = _by_key(evidence.calls)
    broken = []
    for key, name in evidence.keys.items():
        if key not in placed:
            continue
        broken += [
            f"{key[1]} is stored as {name}, but the client was told {call.response['order']}"
            for call in placed[key]
            if call.outcome is Outcome.OK and call.response["order"] != name
        ]
        if all(call.outcome is Outcome.FAILED and not call.response.get("again") for call in placed[key]):
            broken.append(f"{key[1]} always failed definitely, but is stored as {name}")
    of_keys = {name for key, name in evidence.keys.items() if key in placed}
    clients = {client for client, _ in placed}
    nobodys = sorted(name for name, owner in evidence.owners.items() if owner in clients and name not in of_keys)
    broken += [f"{name} is stored, but no client asked for it" for name in nobodys]
    return Verdict("an unknown call happened at most once", len(placed), broken)


def bank(evidence: Evidence) -> Verdict:
    """
    Check that units of stock are conserved in every snapshot, including those during a fault.
    """
    broken = [
        f"at {snapshot.at_s:.1f} s {name}: {each}"
        for snapshot in evidence.snapshots
        for name, each in snapshot.stock.items()
        if each.on_hand != each.available + each.held + each.sold or min(each.available, each.held, each.sold) < 0
    ]
    return Verdict("stock adds up in every snapshot", len(evidence.snapshots), broken)


def lawful_moves(evidence: Evidence) -> Verdict:
    """
    Check that every reader sees legal state transitions, and a watcher each version once and in order.
    """
    broken = []
    views = list(_views(evidence.calls))
    for name, seen in views:
        for (before, state), (after, next_state) in itertools.pairwise(seen):
            if next_state not in MAY_FOLLOW[state] or (before == after and state != next_state):
                broken.append(f"{name} went from {state} ({before}) to {next_state} ({after})")
    for call in evidence.calls:
        if call.operation == "watch":
            versions = [version for version, _ in call.response.get("seen", ())]
            if versions != sorted(set(versions)):
                broken.append(f"a watcher of {call.request['order']} saw the versions {versions}")
    return Verdict("state transitions are legal for every reader", len(views), broken)


def _views(calls: Sequence[Call]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Return what was observed of each order by any reader, sorted by version."""
    found: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for call in calls:
        if call.operation == "watch":
            found[call.request["order"]] |= {(version, state) for version, state in call.response.get("seen", ())}
        elif call.outcome is Outcome.OK and "version" in call.response:
            found[call.response["order"]].add((call.response["version"], call.response["state"]))
    for name, seen in found.items():
        yield name, sorted(seen)


def no_step_back(evidence: Evidence) -> Verdict:
    """
    Check that a read that begins after another read or write of the same order ended never returns an older version.
    """
    by_order: dict[str, list[Call]] = defaultdict(list)
    for call in evidence.calls:
        if call.operation in ("place", "read", "cancel") and call.outcome is Outcome.OK and "version" in call.response:
            by_order[call.response["order"]].append(call)
    broken = []
    for name, calls in by_order.items():
        broken += [f"{name} {each}" for each in _steps_back(calls)]
    return Verdict("reads of an order never go back in time", len(by_order), broken)


def _steps_back(calls: Sequence[Call]) -> Iterator[str]:
    """
    Return the reads whose version was already outdated when they began; an idempotent replay is exempt, as it returns
    the first response.
    """
    moments: list[tuple[float, int, Call]] = [(call.ended_s, 0, call) for call in calls]
    moments += [(call.began_s, 1, call) for call in calls if call.operation == "read"]
    known, floors = 0, dict[int, int]()
    for _, is_begin, call in sorted(moments, key=lambda each: each[:2]):
        if is_begin:
            floors[call.number] = known
        else:
            known = max(known, call.response["version"])
    for call in calls:
        if call.response["version"] < floors.get(call.number, 0):
            yield f"returned version {call.response['version']} after {floors[call.number]} had been returned"


def complete_lists(evidence: Evidence) -> Verdict:
    """
    Check that a listing of all pages has every order of the customer acknowledged before it began, and none twice.
    """
    placed: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for call in evidence.calls:
        if is_placed(call):
            placed[call.client].append((call.ended_s, call.response["order"]))
    walks = [call for call in evidence.calls if call.operation == "list" and call.outcome is Outcome.OK]
    broken = []
    for walk in walks:
        listed = walk.response["orders"]
        missing = {name for at_s, name in placed[walk.client] if at_s < walk.began_s} - set(listed)
        broken += [f"the list at {walk.began_s:.1f} s lacks {name}" for name in sorted(missing)]
        if len(set(listed)) != len(listed):
            broken.append(f"the list at {walk.began_s:.1f} s has an order twice")
    return Verdict("lists are complete", len(walks), broken)


def nothing_left(evidence: Evidence) -> Verdict:
    """
    Check that after the faults every order reaches a final state, every event is published and every hold is committed
    or released.
    """
    broken = []
    if evidence.pending:
        broken.append(f"{evidence.pending} orders are still pending")
    if evidence.waiting:
        broken.append(f"{evidence.waiting} events are still not published")
    broken += [f"{each.held} of {name} are still held" for name, each in evidence.facts.stock.items() if each.held]
    return Verdict("nothing is left unfinished", len(evidence.facts.orders), broken)


CHECKS: tuple[Callable[[Evidence], Verdict], ...] = (
    unique_ids,
    bank,
    lawful_moves,
    no_step_back,
    complete_lists,
    nothing_left,
)
