"""
The mesh under test: the one of the environment, or one of real Envoys on this machine.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh.local import local_mesh
from tests.mesh.rig import Mesh


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    named = Mesh.from_environment()
    if named:
        yield named
        return
    folder: Path = tmp_path_factory.mktemp("mesh")
    with local_mesh(folder) as mesh:
        yield mesh


@pytest.fixture
def mesh(running: Mesh) -> Mesh:
    """Return a mesh without set behaviour and with only the base rules in force."""
    running.settle()
    return running
