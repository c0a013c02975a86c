"""
The golden output, and what must hold of it whatever Envoy says.
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
    """Everything that one Envoy is given, as text."""
    parts = ("bootstrap", "listeners", "routes", "clusters", "endpoints", "secrets")
    found = {part: getattr(configuration, part) for part in parts}
    return to_json({k: [as_dict(m) for m in v] if isinstance(v, tuple) else as_dict(v) for k, v in found.items()})


def test_nothing_in_the_sample_breaks_envoys_own_constraints() -> None:
    for configuration in mesh(SAMPLE).values():
        for part in (configuration.listeners, configuration.routes, configuration.clusters, configuration.endpoints):
            assert [mistake for message in part for mistake in constraints.mistakes(message)] == []


@pytest.mark.parametrize("workload", ["orders-0", "edge-0"])
def test_output_is_what_it_was(workload: str) -> None:
    """Change the golden file on purpose: UPDATE_GOLDEN=1 writes it anew."""
    golden = HERE / "golden" / f"{workload}.json"
    found = whole(mesh(SAMPLE)[workload])
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_same_input_gives_the_same_bytes_in_any_order() -> None:
    documents = list(yaml.safe_load_all(SAMPLE))
    shuffled = yaml.safe_dump_all(reversed(documents))
    for name, configuration in mesh(SAMPLE).items():
        assert whole(configuration) == whole(mesh(shuffled)[name])
