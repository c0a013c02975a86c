"""Traces with errors, slow calls or pending orders are always kept; of the others a share, each complete."""

import random

import pytest

from stack import tail_sampling
from stack.tail_sampling import TailSampler

TRACE, OTHER = "a" * 32, "b" * 32


def span(number, trace=TRACE, *, name="store orders", seconds=0.01, **tags):
    return {"traceId": trace, "id": str(number), "name": name, "duration": int(seconds * 1e6), "tags": tags}


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def sampler(now):
    return TailSampler(0, clock=lambda: now[0])


def ids(spans):
    return [each["id"] for each in spans]


@pytest.mark.parametrize(
    "telling",
    [
        span(2, error="true"),
        span(2, error="the hold lapsed"),
        span(2, seconds=1.0),
        span(2, name="publish pending_orders"),
        span(2, name="finish pending order"),
    ],
)
def test_a_trace_with_an_error_or_a_slow_or_pending_order_is_kept_complete(sampler, telling):
    assert sampler.offer([span(1), span(1, OTHER)]) == []
    assert ids(sampler.offer([telling])) == ["1", "2"]
    assert ids(sampler.offer([span(3), span(2, OTHER)])) == ["3"]


@pytest.mark.parametrize(
    "dull",
    [
        span(1),
        span(1, error="false"),
        span(1, name="shop.orders.v1.OrderService/WatchOrder", seconds=30),
        span(1, name="ingress", seconds=30, **{"http.url": "http://shop/v1/orders/1:watch"}),
    ],
)
def test_ordinary_traces_are_buffered_and_dropped(sampler, now, dull):
    assert sampler.offer([dull]) == []
    now[0] += tail_sampling.WAIT_S
    sampler.offer([])
    assert ids(sampler.offer([span(2, error="true")])) == ["2"]


def test_sampled_traces_are_chosen_by_trace_id_and_kept_at_once():
    drawn = random.Random(7)
    traces = [f"{drawn.getrandbits(128):032x}" for _ in range(5000)]
    sampler = TailSampler(10)
    kept = {each["traceId"] for each in sampler.offer(span(1, trace) for trace in traces)}
    assert 400 < len(kept) < 600
    assert {each["traceId"] for each in sampler.offer(span(2, trace) for trace in traces)} == kept
    assert len(TailSampler(100).offer(span(1, trace) for trace in traces)) == len(traces)


def test_a_span_that_is_sent_twice_is_kept_once(sampler):
    sampler.offer([span(1)])
    sampler.offer([span(1)])
    assert ids(sampler.offer([span(2, error="true")])) == ["1", "2"]


def test_unsent_spans_are_sent_with_the_next_of_their_trace(sampler):
    sampler.offer([span(1)])
    sampler.give_back(sampler.offer([span(2, error="true")]))
    assert ids(sampler.offer([span(2, error="true")])) == ["1", "2"]


def test_the_buffer_is_limited_and_the_oldest_trace_is_dropped_first(sampler, monkeypatch):
    monkeypatch.setattr(tail_sampling, "MAX_WAITING_SPANS", 2)
    sampler.offer([span(1), span(1, OTHER), span(2, OTHER)])
    assert ids(sampler.offer([span(3, OTHER, error="true")])) == ["1", "2", "3"]
    assert ids(sampler.offer([span(3, error="true")])) == ["3"]


def test_remembered_decisions_are_limited(sampler, monkeypatch):
    monkeypatch.setattr(tail_sampling, "MAX_KEPT", 1)
    sampler.offer([span(1, error="true"), span(1, OTHER, error="true")])
    assert ids(sampler.offer([span(2), span(2, OTHER)])) == ["2"]
