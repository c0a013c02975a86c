import threading
import time

import pytest

from stack.run.end import ending_order
from stack.run.order import run_in_order
from stack.topology import system


def test_each_step_starts_after_its_dependencies():
    done = []
    after = {"c": frozenset({"a", "b"}), "a": frozenset(), "b": frozenset({"a"})}
    run_in_order(after, lambda name, _: done.append(name))
    assert done == ["a", "b", "c"]


def test_independent_steps_run_concurrently():
    both = threading.Barrier(2, timeout=5)
    run_in_order({"a": frozenset(), "b": frozenset()}, lambda name, _: both.wait())


def test_the_first_error_is_raised_and_cancels_the_others():
    seen = []

    def work(name, give_up):
        if name == "bad":
            raise RuntimeError("no")
        seen.append(give_up.wait(timeout=10))

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="no"):
        run_in_order({"bad": frozenset(), "slow": frozenset(), "later": frozenset({"slow"})}, work)
    assert seen == [True]
    assert time.monotonic() - began < 5


def order_of_ending(plan):
    ended = []
    run_in_order(ending_order(system.steps(plan)), lambda name, _: ended.append(name))
    return ended.index


def test_the_edge_stops_first_and_etcd_after_postgresql(plan):
    at = order_of_ending(plan)
    assert at("edge-0") < at("orders-0") < at("orders-0-envoy")
    assert at("orders-0") < at("postgres-0") < at("etcd-0")
    assert at("inventory-1") < at("redis-0")
    assert max(at("orders-1"), at("inventory-1")) < at("kafka-0")
