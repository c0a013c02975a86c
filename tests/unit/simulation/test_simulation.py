"""Both services in one process: seeds pass, one seed is one run, and planted defects are found."""

import dataclasses

import pytest

from tests.simulation.plan import draw
from tests.simulation.run import Result
from tests.simulation.shrink import Shrinking
from tests.simulation.trial import simulated

SEEDS, TOGETHER = 40, 4
FOUND_BY = {
    "acknowledge-before-commit": 1,
    "drop-request-ids": 1,
    "sell-twice": 1,
    "reorder-the-outbox": 4,
    "hold-what-is-not-there": 1,
    "keep-the-name-in-versions": 1,
    "forget-leases": 93,
    "forget-the-archive": 1,
}
"""Defects, each with a seed that finds it."""


@pytest.mark.parametrize("first", range(1, SEEDS + 1, TOGETHER))
def test_no_order_is_lost_duplicated_or_stuck(first):
    for seed in range(first, first + TOGETHER):
        result = simulated(seed)
        assert result.problem is None, f"seed {seed}: {result.problem}\n" + "\n".join(result.lines[-40:])


def test_the_same_seed_is_the_same_run():
    first, again, other = simulated(3, operations=40), simulated(3, operations=40), simulated(4, operations=40)
    assert first.lines == again.lines
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize("defect", FOUND_BY)
def test_a_planted_defect_is_found(defect):
    assert simulated(FOUND_BY[defect], defect=defect).problem is not None


def test_a_failing_plan_is_shrunk():
    plan = draw(5, operations=60)
    culprits = {plan.operations[7], plan.operations[31]}

    def run(tried):
        problem = "wrong" if culprits <= set(tried.operations) else None
        return Result(tried, problem, "", (), 0, 0.0)

    smallest = Shrinking(run, run(plan)).shrink().plan
    assert set(smallest.operations) == culprits
    assert smallest.faults == ()
    assert dataclasses.replace(smallest, operations=plan.operations).seed == plan.seed
