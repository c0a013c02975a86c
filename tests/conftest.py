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
