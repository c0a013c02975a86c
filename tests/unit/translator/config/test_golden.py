"""
The golden files, and Envoy's validation rules on them.
"""

import os
from pathlib import Path

import pytest
import yaml

from tests.unit.translator.rig import mesh
from translator.checks import constraints
from translator.config.discovery import as_dict, to_json
from translator.config.translate import Configuration

HERE = Path(__file__).parent
SAMPLE = (HERE / "golden" / "resources.yaml").read_text()


def whole(configuration: Configuration) -> str:
    """Return the whole configuration of one Envoy as text."""
    parts = ("bootstrap", "listeners", "routes", "clusters", "endpoints", "secrets")
    found = {part: getattr(configuration, part) for part in parts}
    return to_json({k: [as_dict(m) for m in v] if isinstance(v, tuple) else as_dict(v) for k, v in found.items()})


def test_the_sample_passes_envoys_validation_rules() -> None:
    for configuration in mesh(SAMPLE).values():
        for part in (configuration.listeners, configuration.routes, configuration.clusters, configuration.endpoints):
            assert [mistake for message in part for mistake in constraints.mistakes(message)] == []


@pytest.mark.parametrize("workload", ["orders-0", "edge-0"])
def test_output_matches_the_golden_files(workload: str) -> None:
    """Compare with the golden file; UPDATE_GOLDEN=1 rewrites it."""
    golden = HERE / "golden" / f"{workload}.json"
    found = whole(mesh(SAMPLE)[workload])
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_output_does_not_depend_on_the_order_of_input() -> None:
    documents = list(yaml.safe_load_all(SAMPLE))
    shuffled = yaml.safe_dump_all(reversed(documents))
    for name, configuration in mesh(SAMPLE).items():
        assert whole(configuration) == whole(mesh(shuffled)[name])
