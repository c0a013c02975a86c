"""What holds for unit tests: they start no servers, and sleep no real seconds."""

import contextlib
from pathlib import Path

import pytest

from tests.support.virtual_time import VirtualTimeLoop, clocks_of_the_loop, sleeps_at_no_cost, sleeps_refused

UNIT = Path(__file__).parent
_CLOCKS = contextlib.ExitStack()
# Here, not in a fixture: modules keep a clock as a parameter's default when they are imported.
_CLOCKS.enter_context(clocks_of_the_loop())


def pytest_unconfigure():
    """Give the clocks back."""
    _CLOCKS.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Refuse sleeps while a unit test runs, not while others of the same process do: pytest calls this for all."""
    with sleeps_refused() if UNIT in item.path.parents else contextlib.nullcontext():
        return (yield)


def pytest_asyncio_loop_factories():
    """Have every asynchronous test run in virtual time."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def virtual_sleep():
    """Have `time.sleep` move the clocks instead of waiting."""
    with sleeps_at_no_cost():
        yield
