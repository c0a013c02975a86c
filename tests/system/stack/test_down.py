"""`make down` of a stack with everything that may be asked for, under a real supervisord; its processes only sleep."""

import dataclasses
import itertools
from graphlib import TopologicalSorter

import pytest

from stack.describe import describe
from stack.progress import Progress
from stack.run import end, members, supervisor
from stack.run import state as stack_state
from stack.run.supervisor import Supervisor
from stack.settings import HA
from stack.topology import system
from stack.topology.passwords import write_private
from stack.topology.processes import Process
from tests.support.waiting import wait_until

OPTIONS = {"probe": True, "traces": True, "alert_webhook": "http://127.0.0.1:9/", "profile": HA}


@pytest.fixture
def claimed(settings):
    stack_state.claim(settings)
    return settings


@pytest.mark.parametrize(
    "names", [names for count in range(len(OPTIONS) + 1) for names in itertools.combinations(OPTIONS, count)]
)
def test_whatever_is_asked_for_there_is_an_order_in_which_it_ends(claimed, names):
    asked = dataclasses.replace(claimed, **{name: OPTIONS[name] for name in names})
    steps = system.steps(describe(asked))
    order = list(TopologicalSorter(end.ending_order(steps)).static_order())
    assert set(order) == set(steps)
    for step in steps.values():
        for needed in step.after:
            assert order.index(step.name) < order.index(needed), (step.name, needed)


def test_a_stack_with_everything_is_down_afterwards(claimed, capsys):
    asked = dataclasses.replace(claimed, **OPTIONS)
    steps = system.steps(describe(asked))
    sleeping = {
        name: dataclasses.replace(step, command=("sleep", "300"), environment={}, user=None, directory=None)
        for name, step in steps.items()
        if isinstance(step, Process)
    }
    write_private(asked.conf / "supervisord.conf", supervisor.render(asked, list(sleeping.values())))
    under = Supervisor(asked)
    under.launch()
    try:
        for name in sleeping:
            under.start(name)
        wait_until(lambda: all(each["statename"] == "RUNNING" for each in under.info().values()), within_s=30)
        assert end.down(asked, steps, Progress())
        assert members.of_stack(asked) == []
        said = capsys.readouterr().out.splitlines()
        stopped = [line.split()[-2].removesuffix(":") for line in said if line.endswith(": stopped")]
        assert set(stopped) == set(sleeping)
        assert stopped.index("prober-0") < stopped.index("edge-0") < stopped.index("orders-0")
        assert stopped.index("orders-0") < stopped.index("postgres-0")
    finally:
        end.strays(asked, Progress())
