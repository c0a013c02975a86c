"""What `make hostile` measures of a stack, and its table of attacks."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from chaos.hostile import observer, turns
from chaos.hostile.bystander import Service
from chaos.hostile.observer import MAX_MIB, MIB, Observer
from chaos.hostile.rows import ROWS, Row, chosen
from chaos.hostile.runner import Outcome, Runner
from chaos.hostile.target import Answers
from runtime.loop_lag import BLOCKED as LOOP_BLOCKED

TAKEN, FREE = 200 * MIB, 150 * MIB
ENVOY = SimpleNamespace(
    name="edge-0", command=["/opt/envoy"], listens=[SimpleNamespace(address="127.0.0.1", port=1)] * 2
)
SERVICE = SimpleNamespace(name="orders-0", command=["python"], listens=[])


@pytest.fixture
def watching(monkeypatch):
    """Return the observer of an Envoy whose allocator keeps most of its memory free, and of a service."""

    async def get(_, path):
        return json.dumps({"pageheap_free": str(FREE)}) if path == "/memory" else ""

    monkeypatch.setattr(observer.admin, "get", get)
    monkeypatch.setattr(observer, "memory_of", lambda _, pids: dict.fromkeys(pids, TAKEN))
    monkeypatch.setattr(observer.restarts, "load", lambda _: {})
    monkeypatch.setattr(observer.supervisor, "restarts_file", lambda _: None)
    info = {each.name: {"pid": 1} for each in (ENVOY, SERVICE)}
    monkeypatch.setattr(observer, "Supervisor", lambda _: SimpleNamespace(info=lambda: info))
    return Observer(None, [ENVOY, SERVICE])


async def test_the_peak_is_measured_like_what_it_is_compared_with(watching):
    stop = asyncio.Event()
    peak = asyncio.create_task(watching.highest(stop))
    await asyncio.sleep(0.1)
    stop.set()
    assert await peak == (await watching.look()).memory == {"edge-0": TAKEN - FREE, "orders-0": TAKEN}


async def test_a_row_is_compared_with_the_state_after_the_last_ejection_ended(watching, monkeypatch):
    """Two looks are enough for a row: one of them is the one that saw nothing ejected any more."""
    gauges = iter([(1, 5), (0, 7), (0, 9)])

    async def get(_, path):
        if path == "/memory":
            return json.dumps({"pageheap_free": str(FREE)})
        active, enforced = next(gauges)
        prefix = "cluster.orders.outlier_detection.ejections"
        return f"{prefix}_active: {active}\n{prefix}_enforced_total: {enforced}\n"

    async def attack(_target):
        return Answers({"grpc 3": 1})

    async def ended(_before):
        return None

    @asynccontextmanager
    async def unmeasured(_look):
        yield turns.Longest()

    monkeypatch.setattr(observer.admin, "get", get)
    monkeypatch.setattr(watching, "turns", unmeasured)
    runner = Runner.__new__(Runner)
    runner._observer, runner._seconds, runner._least_s = watching, 3, 0
    runner._target = lambda *_: None
    bystander = SimpleNamespace(seen=[], ended=ended)
    before = await watching.healed()
    assert (before.ejected, dict(before.ejections)) == (0, {"edge-0 of orders": 7})
    outcome = await runner._attack(Row("a-row", attack), bystander, "products/mug", before)
    assert outcome.ejections == {"edge-0 of orders": 2}
    assert outcome.memory_kept == {}
    assert next(gauges, None) is None


async def test_memory_is_looked_at_until_it_is_back(watching, monkeypatch):
    before = await watching.look()
    more = replace(before, memory={name: taken + 2 * MAX_MIB * MIB for name, taken in before.memory.items()})
    assert await watching.memory_back(before, more) == {}
    monkeypatch.setattr(observer, "memory_of", lambda _, pids: dict.fromkeys(pids, TAKEN + 2 * MAX_MIB * MIB))
    assert await watching.memory_back(before, more) == {"edge-0": 64, "orders-0": 64}


def test_the_delays_of_a_service_are_read_from_its_metrics():
    registry = CollectorRegistry()
    blocked = Histogram("event_loop_blocked_seconds", "As in runtime.", registry=registry, buckets=(0.01, 0.05))
    Histogram("event_loop_lag_seconds", "Another one.", registry=registry, buckets=(0.01, 0.05)).observe(0.02)
    for seconds in (0.002, 0.03, 7):
        blocked.observe(seconds)
    assert observer.delays_in(generate_latest(registry).decode()) == {0.01: 1, 0.05: 2, float("inf"): 3}
    assert LOOP_BLOCKED._name == blocked._name


def test_every_row_has_a_name_of_its_own():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_rows_are_chosen_by_name_or_prefix():
    assert [row.name for row in chosen("rest-json")] == ["rest-json"]
    assert {row.name.split("-")[0] for row in chosen("slow,http2")} == {"slow", "http2"}
    assert len(chosen("")) == len(ROWS)
    with pytest.raises(LookupError, match="nothing"):
        chosen("nothing")


def test_the_longest_delay_is_the_bound_of_the_highest_bucket_that_was_added_to():
    before = {0.01: 5, 0.05: 6, 0.1: 6, float("inf"): 6}
    assert observer.longest_ms({0.01: 9, 0.05: 11, 0.1: 11, float("inf"): 11}, before) == 50
    assert observer.longest_ms({0.01: 9, 0.05: 11, 0.1: 12, float("inf"): 12}, before) == 100
    assert observer.longest_ms({0.01: 9, 0.05: 11, 0.1: 11, float("inf"): 12}, before) == float("inf")
    assert observer.longest_ms(before, before) is None


@pytest.mark.parametrize(
    ("found", "criterion"),
    [
        ({"peak_mib": {"orders-0": 33, "edge": 1}}, "MiB taken {'orders-0': 33}"),
        (
            {"peak_mib": {"edge-0": 63, "orders-0-envoy": 62, "orders-0": 33}, "streams": 2000},
            "MiB taken {'edge-0': 63, 'orders-0': 33}",
        ),
        ({"turn_ms": {"edge": 51.0, "orders-0": 50.0}}, "event loops blocked for ms {'edge': 51}"),
        ({"unmeasured": ["edge"]}, "event loops not measured ['edge']"),
        ({"peak_mib": {"orders-0": 32}, "turn_ms": {"edge": 50.0}}, None),
    ],
)
def test_each_part_is_judged_by_itself(found, criterion):
    served = Service(calls=1, good=1, pending=0, p99_s=0.1, failures=Answers())
    outcome = Outcome("row", Answers({"http 400": 1}), served, **found)
    assert outcome.broken() == ([criterion] if criterion else [])
