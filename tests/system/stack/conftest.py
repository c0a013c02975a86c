"""A stack in a temporary folder, on a network that no other test uses."""

import sys
from pathlib import Path

import pytest

from stack.settings import CHECKOUT, Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(checkout=CHECKOUT, state=tmp_path / "state", tools=Path(sys.prefix).parent, network=77)
