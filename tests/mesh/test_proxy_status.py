"""
`proxy-status` of real Envoys: synced, and what an Envoy refuses.
"""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.rig import TAKES_EFFECT_S, Mesh
from tests.support.waiting import wait_until

ROUTES, WORKLOADS = "front-0/rds/50051.json", ("back-0", "back-1", "edge-0", "front-0", "visitor-0")


@pytest.fixture
def local(mesh: Mesh) -> Mesh:
    """Return the mesh if it is the one of this machine."""
    if not mesh.status_command:
        pytest.skip("a cluster's Istio has istioctl")
    return mesh


def states(mesh: Mesh) -> dict[str, set[str]]:
    """Return the states of each Envoy, by its name."""
    rows = [line.split("  ") for line in mesh.run(mesh.status_command).splitlines()[1:] if ".mesh-test  " in line]
    cells = {row[0]: [cell.strip().partition(" (")[0] for cell in row[1:] if cell.strip()] for row in rows}
    return {name: set(words[1:-2]) for name, words in cells.items()}


def test_every_envoy_has_what_it_was_given(local: Mesh) -> None:
    assert states(local) == {f"{name}.mesh-test": {"SYNCED", "IGNORED"} for name in WORKLOADS}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda hosts: hosts.append(hosts[0]), id="rejected"),
        pytest.param(lambda hosts: hosts.append({"no_such_field": 1}), id="unparsable"),
    ],
)
def test_an_envoy_that_refuses_an_update_is_named(local: Mesh, change: Callable[[list[Any]], None]) -> None:
    folder = next(word for word in shlex.split(local.status_command) if word.startswith("--out="))
    routes = Path(folder.removeprefix("--out=")) / ROUTES
    good = routes.read_text()
    content = json.loads(good)
    change(content["resources"][0]["virtual_hosts"])
    content["version_info"] = "refused"
    try:
        _replace(routes, json.dumps(content))
        wait_until(lambda: states(local)["front-0.mesh-test"] >= {"ERROR"}, within_s=TAKES_EFFECT_S)
        output = local.run(local.status_command)
        assert "front-0.mesh-test: rds/50051.json: ERROR" in output.splitlines()
        assert states(local)["back-0.mesh-test"] == {"SYNCED", "IGNORED"}
        assert "Routes Don't Match (RDS)" in local.run(f"{local.status_command} --workload=front-0")
    finally:
        _replace(routes, good)
    wait_until(lambda: states(local)["front-0.mesh-test"] == {"SYNCED", "IGNORED"}, within_s=TAKES_EFFECT_S)


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.test")
    temporary.write_text(text)
    temporary.replace(file)
