"""The suite of tests/mesh, unchanged, on real Istio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.catalogue import CHECKOUT, SERVICES
from k8s.kubectl import kubectl

HERE = Path(__file__).parent
RULES = CHECKOUT / "tests/mesh/rules"
NAMESPACE = "mesh-test"
SUITE_SECONDS = 900
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def applications() -> Iterator[dict[str, str]]:
    """The suite's applications on the cluster, by name with their pods' addresses; gone after it."""
    orders = next(image for image in SERVICES if image.name == "orders")
    manifests = (HERE / "mesh.yaml").read_text().replace("image: shop/orders", f"image: {orders.reference()}")
    try:
        kubectl("apply", "-f", "-", stdin=manifests)
        program = CHECKOUT / "tests/mesh/app.py"
        kubectl("create", "configmap", "program", "-n", NAMESPACE, f"--from-file={program}")
        kubectl("apply", "-f", str(RULES))
        kubectl(
            "wait", "deployments", "--all", "-n", NAMESPACE, "--for=condition=Available", "--timeout=180s", seconds=190
        )
        pods = json.loads(kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
        yield {pod["metadata"]["labels"]["pod"]: pod["status"]["podIP"] for pod in pods}
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", seconds=180)


def environment(addresses: dict[str, str]) -> dict[str, str]:
    """What tests/mesh reads to know its mesh."""
    control = {name: f"http://{address}:9000" for name, address in addresses.items()}
    return {
        "MESH_FRONT": control["front-0"],
        "MESH_VISITOR": control["visitor-0"],
        "MESH_STRANGER": control["stranger-0"],
        "MESH_BACKS": f"back-0={control['back-0']},back-1={control['back-1']}",
        "MESH_EDGE": f"http://{addresses['edge-0']}:8080",
        "MESH_PLAIN": f"{addresses['back-0']}:50051",
        "MESH_APPLY": "kubectl apply -f {}",
        # What a test replaced is put back as it was.
        "MESH_DELETE": f"sh -c 'kubectl delete --wait -f {{}} && kubectl apply -f {RULES}'",
    }


def test_every_rule_does_on_istio_what_it_does_on_one_machine(applications, facts):
    command = [sys.executable, "-m", "pytest", "tests/mesh", "-q", "--tb=short", "-p", "no:cacheprovider"]
    finished = subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **environment(applications)},
        capture_output=True, text=True, timeout=SUITE_SECONDS, check=False,
    )  # fmt: skip
    print(finished.stdout[-15_000:], finished.stderr[-2_000:])
    facts.append(f"tests/mesh on Istio: {finished.stdout.strip().splitlines()[-1]}")
    assert finished.returncode == 0
