"""The probes of the steady state."""

import pytest

from chaos.lab.experiment import Bound
from chaos.lab.probes import Probes
from chaos.lab.samples import Sample
from stack.commands import status
from stack.run import health
from stack.run.health import Health


class Named:
    def __init__(self, name):
        self.name = self.check = name


class Beside:
    """A history, a sampler and an environment that only the test fills."""

    def __init__(self, **state):
        self.calls, self.samples, self.states = [], [], {}
        self.__dict__.update(state)

    def now(self):
        return 10.0

    def info(self):
        return {name: {"statename": state} for name, state in self.states.items()}

    def unhealthy(self):
        return status.unhealthy(self, [Named(name) for name in self.states])


def probing(**state):
    beside = Beside(**state)
    return Probes(beside, beside, beside, "http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def _health(monkeypatch):
    """Report every process as healthy except one."""
    monkeypatch.setattr(health, "ask", lambda check: Health(check != "sick-0", "answers 503"))


async def test_a_stopped_process_is_unhealthy_whatever_its_last_metrics():
    states = {"mesh": "STOPPED", "sick-0": "RUNNING", "good-0": "RUNNING"}
    assert await probing(states=states).unhealthy() == {"mesh": "stopped", "sick-0": "answers 503"}
    [reading] = await probing(states=states).read([Bound("unhealthy", at_most=0)])
    assert (reading.value, reading.good) == (2, False)


@pytest.mark.parametrize(
    ("sample", "value"), [(Sample(9, 4, 1), 4), (Sample(1, 4, 1), None), (Sample(9, None, None), None)]
)
async def test_the_backlog_is_a_fresh_measurement(sample, value):
    [reading] = await probing(samples=[sample]).read([Bound("pending", at_most=10)])
    assert (reading.value, reading.good) == (value, value is not None)


async def test_without_calls_the_success_rate_is_unknown():
    readings = await probing().read([Bound("success", at_least=0.9), Bound("promql", at_least=0, promql="up")])
    assert [reading.good for reading in readings] == [False, False]
    assert readings[1].describe() == "up >= 0: could not be measured"
