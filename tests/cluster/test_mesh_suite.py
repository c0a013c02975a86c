"""The suite of tests/mesh, unchanged, on real Istio."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from images.catalogue import CHECKOUT, SERVICES

SUITE_S = 900
pytestmark = pytest.mark.timeout(1200)


def test_the_mesh_suite_passes_on_istio(facts):
    python = next(image for image in SERVICES if image.name == "orders").reference()
    finished = subprocess.run(
        [str(CHECKOUT / "tests/mesh/cluster/run.sh"), python, "-q", "--tb=short", "-p", "no:cacheprovider"],
        cwd=CHECKOUT, env={**os.environ, "PYTHON": sys.executable},
        capture_output=True, text=True, timeout=SUITE_S, check=False,
    )  # fmt: skip
    print(finished.stdout[-15_000:], finished.stderr[-2_000:])
    facts.append(f"tests/mesh on Istio: {finished.stdout.strip().splitlines()[-1]}")
    assert finished.returncode == 0
