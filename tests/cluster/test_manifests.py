"""What a cluster and Istio say to the files themselves."""

from __future__ import annotations

import json
import subprocess

import pytest

from k8s import render
from k8s.kubectl import get, kubectl

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("overlay", ["one-node", "production"])
def test_every_manifest_passes_the_servers_dry_run(overlay):
    manifests = render.manifests(overlay)
    said = kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(manifests))
    assert said.count("serverside-applied") >= 50


def test_istio_finds_nothing_to_complain_about(facts):
    analysed = subprocess.run(
        ["istioctl", "analyze", "-n", "shop"], capture_output=True, text=True, timeout=120, check=False
    )
    said = (analysed.stdout + analysed.stderr).strip()
    facts.append(f"istioctl analyze: {said.splitlines()[-1]}")
    assert "No validation issues found" in said


def test_every_container_is_restricted():
    for pod in [
        each
        for kind in ("orders", "inventory", "postgres", "kafka", "redis")
        for each in get("pods", "-l", f"app={kind}")
    ]:
        [app] = [each for each in pod["spec"]["containers"] if each["name"] == "app"]
        limits = app["securityContext"]
        assert limits["readOnlyRootFilesystem"] is True
        assert limits["allowPrivilegeEscalation"] is False
        assert limits["capabilities"] == {"drop": ["ALL"]}
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, json.dumps(pod["metadata"])
