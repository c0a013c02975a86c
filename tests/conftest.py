"""What holds for all tests."""

import gc

import pytest
from hypothesis import settings

# A test counts and does not time: an example that takes long on a busy machine is no mistake.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """
    Collect without looking for garbage: what is imported and collected stays until the end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """
    Have `--dist loadgroup` keep together the tests that share servers.
    """
    from tests.support.scheduling import ByServers

    return ByServers(config, log) if config.getvalue("dist") == "loadgroup" else None
