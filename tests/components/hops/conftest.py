"""The rig of edge, services and sidecars, and its callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.components.hops import rig

Clients = Callable[[str], httpx.Client]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Rig]:
    """
    Start edge, services and sidecars.
    """
    folder: Path = tmp_path_factory.mktemp("hops")
    with rig.running(folder) as made:
        yield made


@pytest.fixture
def hops(started: rig.Rig) -> rig.Rig:
    """
    Return the rig with every replica healthy.
    """
    started.settle()
    return started


@pytest.fixture
def customer(hops: rig.Rig) -> Iterator[httpx.Client]:
    """
    Return a customer with access to the whole shop.
    """
    headers = {"authorization": f"Bearer {hops.token('bystander')}"}
    with httpx.Client(base_url=f"http://{rig.HTTP}", headers=headers, timeout=30) as client:
        yield client
