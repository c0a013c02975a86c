"""The order in which a restore starts the stack."""

from pathlib import Path

import pytest

from stack.commands import restore
from stack.run.restore import Restored
from stack.topology import system
from stack.topology.processes import Task

SERVING = {"orders-0", "orders-1", "inventory-0", "inventory-1", "edge-0"}


@pytest.fixture
def steps(plan):
    return system.steps(plan)


@pytest.fixture
def before(plan, steps):
    return restore.before_serving(plan, steps, Restored(to=1.5, at=2.5))


def test_no_service_is_started_before_the_other_stores_follow_the_restored_orders(before, steps):
    assert set(steps) - set(before) == SERVING
    assert before[restore.FOLLOWED].after == {"orders-migrate", "inventory-migrate"}
    assert before[restore.FOLLOWED].command[-2:] == ("--to=1.5", "--at=2.5")


def test_the_second_member_waits_for_the_first_and_for_nothing_slower(before):
    assert before["postgres-1"].after == {"etcd-0", "postgres-0"}


def test_every_further_member_waits_for_the_first(ha):
    found = restore.before_serving(ha, system.steps(ha), Restored(to=1.5, at=2.5))
    assert {found[name].after for name in ("postgres-1", "postgres-2")} == {frozenset({"etcd-0", "postgres-0"})}


def test_what_is_left_to_start_waits_for_no_task(before, steps):
    done = {name for name, step in before.items() if isinstance(step, Task)}
    left = {name: step for name, step in steps.items() if name not in done}
    assert not any(isinstance(step, Task) for step in left.values())
    assert set(left) >= SERVING


def test_the_last_line_of_a_log_is_what_the_task_printed(tmp_path: Path):
    log = tmp_path / "orders-restored.log"
    log.write_text('{"event": "x"}\nstock generation 7, 5 pending orders published again\n')
    assert restore._last_line(log) == "stock generation 7, 5 pending orders published again"
    log.write_text("")
    assert restore._last_line(log) == ""
