"""The prober on a stack: only where it was asked for, and after everything that it calls."""

import dataclasses
import json
from graphlib import TopologicalSorter

import pytest

from stack import settings as stack_settings
from stack.run import end, write
from stack.topology import configuration, prober, system


@pytest.fixture
def probed(plan):
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, probe=True))


def test_only_a_stack_that_asks_for_it_has_a_prober(plan, probed):
    for each, wanted in ((plan, []), (probed, [str(prober.listens_at(plan))])):
        assert (prober.NAME in system.steps(each)) == bool(wanted)
        groups = json.loads(configuration.prometheus_targets(each)["probe.json"])
        assert [target for group in groups for target in group["targets"]] == wanted


def test_it_starts_after_everything_that_an_order_needs(probed):
    steps = system.steps(probed)
    assert steps[prober.NAME].after <= set(steps)
    assert {"edge-0", "issuer-0", "orders-0", "orders-1-envoy", "inventory-1"} <= steps[prober.NAME].after


def test_it_is_remembered_until_it_is_turned_off(plan, probed, tmp_path):
    def chosen(**environ):
        environ = {"STATE": str(plan.settings.state), **environ}
        return stack_settings.read(environ, checkout=tmp_path / "checkout").probe

    plan.settings.conf.mkdir(parents=True, exist_ok=True)
    assert (chosen(), chosen(PROBE="1")) == (False, True)
    write._probe(probed)
    assert (chosen(), chosen(PROBE=""), chosen(PROBE="0")) == (True, True, False)
    write._probe(plan)
    assert not chosen()


def test_it_is_stopped_before_everything_that_it_calls(probed):
    steps = system.steps(probed)
    order = list(TopologicalSorter(end.ending_order(steps)).static_order())
    assert all(order.index(prober.NAME) < order.index(called) for called in steps[prober.NAME].after)
