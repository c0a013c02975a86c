"""
Configuration that an Envoy did not load is never reported as in force.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from tests.unit.translator.rig import mesh
from translator.control import rollout
from translator.control.admin import Loaded
from translator.control.files import write_files
from translator.control.rollout import Result, generation, is_change, roll_out, stale

Roll = Callable[..., Awaitable[tuple[dict[str, Result], dict[str, list[str]]]]]

BEFORE = ""
AFTER = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inventory, namespace: shop}
spec:
  hosts: [inventory]
  http: [{timeout: 7s, route: [{destination: {host: inventory}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: inventory, namespace: shop}
spec:
  host: inventory
  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}
"""


class Envoys:
    """Envoys that load every file at once, except later versions of paths that begin with *stuck*."""

    def __init__(self, out: Path, subscriptions: Mapping[str, str], stuck: str) -> None:
        self._out, self._subscriptions, self._stuck = out, subscriptions, stuck
        self._versions: dict[str, dict[str, str]] = {}

    async def loaded(self, name: str) -> Loaded:
        """Return what the Envoy of a workload has loaded."""
        versions = self._versions.setdefault(name, {})
        for file in sorted((self._out / name).rglob("*.json")):
            path = str(file.relative_to(self._out / name))
            subscription, version = self._subscriptions[path], json.loads(file.read_text()).get("version_info")
            if version and not (subscription in versions and self._stuck and path.startswith(self._stuck)):
                versions[subscription] = version
        return Loaded(dict(versions))


@pytest.fixture
def roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roll:
    """Roll out from one mesh to another; return the results, and the stale files of each Envoy."""

    async def run(stuck: str, *, must_be_taken: bool = True) -> tuple[dict[str, Result], dict[str, list[str]]]:
        before, after = generation(mesh(BEFORE).values()), generation(mesh(AFTER).values())
        files = [each for one in (before, after) for group in one.files.values() for each in group.items()]
        envoys = Envoys(tmp_path, {path: file.subscription for path, file in files}, stuck)
        names = {configuration.workload.admin: name for name, configuration in after.configurations.items()}
        monkeypatch.setattr(rollout, "loaded", lambda address: envoys.loaded(names[address]))
        monkeypatch.setattr(rollout, "WAIT_S", 0.1)
        for name, group in before.files.items():
            write_files(tmp_path / name, group)
            await envoys.loaded(name)
        results = await roll_out(tmp_path, before, after, must_be_taken=must_be_taken)
        return results, {name: stale(group, await envoys.loaded(name)) for name, group in after.files.items()}

    return run


async def test_configuration_that_every_envoy_loaded_is_in_force(roll: Roll) -> None:
    results, lacking = await roll("")
    assert results
    assert not any(result.refused or result.pending for result in results.values())
    assert not any(lacking.values())


@pytest.mark.parametrize("stuck", ["cds.json", "rds/"])
async def test_a_step_that_was_not_loaded_still_counts_in_the_next_rollout(roll: Roll, stuck: str) -> None:
    results, lacking = await roll(stuck)
    failed = {name for name, result in results.items() if any(path.startswith(stuck) for path in result.pending)}
    assert failed
    assert failed == {name for name, paths in lacking.items() if any(path.startswith(stuck) for path in paths)}


@pytest.mark.parametrize("stuck", ["cds.json", "rds/"])
async def test_irreversible_changes_are_written_completely(roll: Roll, tmp_path: Path, stuck: str) -> None:
    results, lacking = await roll(stuck, must_be_taken=False)
    after = generation(mesh(AFTER).values())
    for name, files in after.files.items():
        written = {path: (tmp_path / name / path).read_text() for path in files}
        assert {path: json.loads(text).get("version_info", "") for path, text in written.items()} == {
            path: file.version for path, file in files.items()
        }
    assert {name for name, result in results.items() if result.pending} == {
        name for name, paths in lacking.items() if paths
    }


def test_readiness_changes_are_not_rolled_back() -> None:
    ready = generation(mesh(BEFORE).values())
    assert not is_change(ready, generation(mesh(BEFORE, not_ready=frozenset({"inventory-0"})).values()))
    assert is_change(ready, generation(mesh(AFTER).values()))
