"""The manifests validated by a cluster and by Istio."""

from __future__ import annotations

import json
import re
import subprocess

from k8s import render, stages
from k8s.kubectl import NAMESPACE, get, kubectl


def dry_run(manifests: str) -> int:
    """Return how many objects, except for jobs, the server would accept; an error names the one that it would not."""
    arguments = ("--server-side", "--force-conflicts", "--dry-run=server", "-l", stages.NO_MIGRATION, "-f", "-")
    return kubectl("apply", *arguments, stdin=manifests).count("serverside-applied")


def test_every_deployed_manifest_passes_a_server_side_dry_run():
    assert dry_run(render.manifests("one-node").read_text()) >= 60


def test_every_production_manifest_passes_a_server_side_dry_run():
    # In its own namespace, since a volume's size, for one, cannot change in the deployed one.
    elsewhere = render.manifests("production", namespace="dry-run").read_text()
    kubectl("create", "namespace", "dry-run")
    try:
        assert dry_run(elsewhere) >= 60
    finally:
        kubectl("delete", "namespace", "dry-run", "--wait")


def test_other_images_pass_the_dry_run_though_the_migrations_of_these_are_still_there(tmp_path):
    jobs = kubectl("get", "jobs", "-n", NAMESPACE, "-o", "name")
    assert "job.batch/orders-migrate" in jobs
    text = render.manifests("one-node").read_text()
    others = tmp_path / "manifests.yaml"
    others.write_text(re.sub(r"/orders:[0-9a-f]{12}", "/orders:another", text))
    stages.dry_run(others)
    # Nothing of it is there.
    assert kubectl("get", "jobs", "-n", NAMESPACE, "-o", "name") == jobs


def test_istioctl_analyze_has_no_findings(facts):
    analysed = subprocess.run(
        ["istioctl", "analyze", "-n", NAMESPACE], capture_output=True, text=True, timeout=120, check=False
    )
    output = (analysed.stdout + analysed.stderr).strip()
    facts.append(f"istioctl analyze: {output.splitlines()[-1]}")
    assert "No validation issues found" in output


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
