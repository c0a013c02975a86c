"""A stack in a folder of the test's own, on a network that no other test has."""

import sys
from pathlib import Path

import pytest

from stack.settings import CHECKOUT, Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(checkout=CHECKOUT, state=tmp_path / "state", tools=Path(sys.prefix).parent, network=77)
