"""A sound history is damaged once for each kind of defect; the checker for that kind must find it."""

import inspect
import io
from dataclasses import replace

import pytest

from chaos.guarantees import Facts
from chaos.lab import checks
from chaos.lab.checks import Evidence, Snapshot, memory_of, verdicts
from chaos.lab.history import Call, History, Outcome
from chaos.truth import Published, StockNow, StoredOrder

TEA = "products/tea"
ANA, BEN = "lab1-0", "lab1-1"
GOOD = StockNow(on_hand=10, available=9, held=0, sold=1)


def call(number, operation, began_s, ended_s, *, client=ANA, outcome=Outcome.OK, request=None, **response):
    return Call(number, client, operation, began_s, request or {}, ended_s, outcome, response)


def place(number, began_s, key, order, state="CONFIRMED", version=1, **more):
    request = {"key": key, "lines": {TEA: 1}}
    return call(number, "place", began_s, began_s + 0.1, request=request, order=order, state=state, version=version,
                status=201, **more)  # fmt: skip


@pytest.fixture
def calls():
    """
    Build a history: Ana's order is confirmed, read and listed; Ben's is pending, watched and cancelled; a third call
    is unknown.
    """
    return [
        place(0, 1, "k1", "orders/1"),
        place(1, 1.05, "k2", "orders/2", "PENDING", client=BEN),
        call(2, "read", 2, 2.1, order="orders/1", state="CONFIRMED", version=1),
        call(
            3, "cancel", 3, 3.1, client=BEN, request={"order": "orders/2"},
            order="orders/2", state="CANCELLED", version=2,
        ),
        call(4, "read", 4, 4.1, client=BEN, order="orders/2", state="CANCELLED", version=2),
        call(5, "list", 5, 5.1, orders=["orders/1"]),
        call(6, "watch", 1.2, 3.2, client=BEN, request={"order": "orders/2"}, seen=[(1, "PENDING"), (2, "CANCELLED")]),
        place(7, 6, "k1", "orders/1"),
    ]  # fmt: skip


@pytest.fixture
def evidence(calls):
    facts = Facts(
        memory=memory_of(calls),
        orders={
            "orders/1": StoredOrder("orders/1", "CONFIRMED", 1, {TEA: 1}),
            "orders/2": StoredOrder("orders/2", "CANCELLED", 2, {TEA: 1}),
        },
        events=Published({"orders/1": [1], "orders/2": [1, 2]}),
        stock={TEA: GOOD},
        counted={TEA: 1},
    )
    keys = {(ANA, "k1"): "orders/1", (BEN, "k2"): "orders/2"}
    return Evidence(calls, facts, keys, {"orders/1": ANA, "orders/2": BEN}, [Snapshot(1.5, {TEA: GOOD})])


def broken(evidence):
    return [verdict.guarantee for verdict in verdicts(evidence) if verdict.broken]


def with_calls(evidence, *more):
    calls = [*evidence.calls, *more]
    return replace(evidence, calls=calls, facts=replace(evidence.facts, memory=memory_of(calls)))


UNIQUE = "an unknown call happened at most once"
MOVES = "state transitions are legal for every reader"
BACK = "reads of an order never go back in time"
LISTS = "lists are complete"


def test_a_sound_history_has_no_violation(evidence):
    assert broken(evidence) == []


def test_an_acknowledged_order_that_is_not_stored_is_found(evidence):
    assert broken(with_calls(evidence, place(8, 7, "k3", "orders/3"))) == ["acknowledged orders are stored"]


def test_a_duplicate_order_of_one_request_id_is_found(evidence):
    owners = {**evidence.owners, "orders/9": ANA}
    assert broken(replace(evidence, owners=owners)) == [UNIQUE]


def test_orders_of_other_runs_are_ignored(evidence):
    assert broken(replace(evidence, owners={**evidence.owners, "orders/9": "somebody else"})) == []


def test_a_replay_with_another_order_is_found_by_both_checks(evidence):
    assert broken(with_calls(evidence, place(8, 7, "k1", "orders/2"))) == [
        "one request is one order", UNIQUE, MOVES,
    ]  # fmt: skip


def test_an_order_that_was_refused_and_is_stored_is_found(evidence):
    refused = replace(place(8, 7, "k4", "-"), outcome=Outcome.FAILED, response={"status": 400})
    damaged = with_calls(evidence, refused)
    assert broken(replace(damaged, keys={**damaged.keys, (ANA, "k4"): "orders/1"})) == [UNIQUE]


def test_an_unknown_call_may_have_happened(evidence):
    unknown = replace(place(8, 7, "k4", "-"), outcome=Outcome.UNKNOWN, response={})
    refused = replace(place(9, 8, "k4", "-"), outcome=Outcome.FAILED, response={"status": 400})
    damaged = with_calls(evidence, unknown, refused)
    assert broken(replace(damaged, keys={**damaged.keys, (ANA, "k4"): "orders/1"})) == []


def test_a_call_without_a_final_response_is_found(evidence):
    unknown = replace(place(8, 7, "k4", "-"), outcome=Outcome.UNKNOWN, response={})
    assert broken(with_calls(evidence, unknown)) == ["every buyer got a final response"]


@pytest.mark.parametrize(
    "stock",
    [replace(GOOD, available=10), replace(GOOD, sold=2), StockNow(10, -1, 10, 1)],
    ids=["released twice", "sold twice", "oversold"],
)
def test_stock_that_did_not_add_up_temporarily_is_found(evidence, stock):
    snapshots = [*evidence.snapshots, Snapshot(2.5, {TEA: stock})]
    assert broken(replace(evidence, snapshots=snapshots)) == ["stock adds up in every snapshot"]


@pytest.mark.parametrize(
    ("state", "version"),
    [("PENDING", 2), ("CONFIRMED", 3), ("CANCELLED", 0)],
    ids=["two states of one version", "confirmed after it was cancelled", "cancelled before it was confirmed"],
)
def test_an_illegal_state_transition_is_found(evidence, state, version):
    order = "orders/1" if version == 0 else "orders/2"
    read = call(8, "read", 0.5, 0.6, order=order, state=state, version=version)
    assert MOVES in broken(with_calls(evidence, read))


@pytest.mark.parametrize("seen", [[(2, "CANCELLED"), (1, "PENDING")], [(1, "PENDING"), (1, "PENDING")]])
def test_watch_events_out_of_order_or_duplicated_are_found(evidence, seen):
    watch = call(8, "watch", 1.2, 3.2, client=BEN, request={"order": "orders/2"}, seen=seen)
    assert broken(with_calls(evidence, watch)) == [MOVES]


def test_a_stale_read_after_a_newer_one_is_found(evidence):
    stale = call(8, "read", 4.5, 4.6, client=BEN, order="orders/2", state="PENDING", version=1)
    assert broken(with_calls(evidence, stale)) == [BACK]


def test_concurrent_reads_may_return_either_version(evidence):
    beside = call(8, "read", 2.9, 3.5, client=BEN, order="orders/2", state="PENDING", version=1)
    assert broken(with_calls(evidence, beside)) == []


def test_a_replay_returns_the_first_response(evidence):
    assert broken(with_calls(evidence, place(8, 9, "k2", "orders/2", "PENDING", client=BEN))) == []


@pytest.mark.parametrize("orders", [[], ["orders/1", "orders/1"]], ids=["an order is missing", "an order is twice"])
def test_an_incomplete_list_over_pages_is_found(evidence, orders):
    assert broken(with_calls(evidence, call(8, "list", 7, 7.5, orders=orders))) == [LISTS]


def test_a_list_may_omit_orders_placed_while_it_was_read(evidence):
    assert broken(with_calls(evidence, call(8, "list", 1.05, 1.5, orders=[]))) == []


@pytest.mark.parametrize("left", [{"pending": 1}, {"waiting": 3}])
def test_unfinished_work_is_found(evidence, left):
    assert broken(replace(evidence, **left)) == ["nothing is left unfinished"]


def test_a_leaked_hold_is_found(evidence):
    held = {TEA: StockNow(10, 8, 1, 1)}
    assert "nothing is left unfinished" in broken(replace(evidence, facts=replace(evidence.facts, stock=held)))


def test_missing_and_reordered_events_are_found(evidence):
    events = Published({"orders/1": [1], "orders/2": [2, 1]})
    assert broken(replace(evidence, facts=replace(evidence.facts, events=events))) == [
        "events of an order are in order"
    ]


def test_every_checker_runs():
    functions = {name: value for name, value in vars(checks).items() if inspect.isfunction(value)}
    checkers = {name for name, value in functions.items() if value.__annotations__.get("return") == "Verdict"}
    assert checkers == {check.__name__ for check in checks.CHECKS}


def test_a_history_is_written_as_it_happens():
    file, moments = io.StringIO(), iter(range(100))
    history = History(file, clock=lambda: float(next(moments)))
    one = history.invoked(ANA, "place", key="k1")
    history.ended(one, Outcome.UNKNOWN, status=503)
    assert file.getvalue().splitlines() == [
        '{"at_s": 1.0, "call": 0, "type": "invoked", "client": "lab1-0", "operation": "place", "key": "k1"}',
        '{"at_s": 2.0, "call": 0, "type": "unknown", "status": 503}',
    ]
    assert one.took_s == 1
