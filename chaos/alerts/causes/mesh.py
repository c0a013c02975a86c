"""Causes in the mesh: old certificates, an Envoy with another configuration, a file that cannot be used."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from chaos.alerts.causes.machine import stack_command
from stack.settings import Settings
from translator.control.certificates import WORKLOAD_LIFETIME, issue_certificates, utc_now
from translator.model.registry_file import load_registry

LEFT = timedelta(hours=5)
CONTROLLER = "mesh"
REPLACED = "alerts"
UNUSABLE = "zz-alerts-unusable.yaml"
RESOURCE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: alerts-unusable, namespace: shop}
spec:
  hosts: [inventory]
  http:
  - route: [{destination: {host: inventory, port: {number: 50051}}, weight: -1}]
"""


def age_certificates(chosen: Settings, _kept: Path) -> None:
    """Stop the controller, which renews certificates, and give all workloads those of 19 hours ago."""
    stack_command(chosen, "stop", CONTROLLER)
    registry = load_registry(chosen.conf / "registry.yaml")
    issue_certificates(registry, chosen.secrets / "certificates", now=utc_now() - WORKLOAD_LIFETIME + LEFT, renew=True)


def renew_certificates(chosen: Settings, _kept: Path) -> None:
    """Start the controller."""
    stack_command(chosen, "start", CONTROLLER)


def replace_version(chosen: Settings, kept: Path, workload: str) -> None:
    """Have a workload's Envoy load its clusters as a version that the controller did not write."""
    clusters = _clusters(chosen, workload)
    text = clusters.read_text(encoding="utf-8")
    kept.write_text(text, encoding="utf-8")
    _replace(clusters, text.replace(_version(clusters), REPLACED))


def put_version_back(chosen: Settings, kept: Path, workload: str) -> None:
    """Put the controller's back, unless it has written another since."""
    if kept.exists():
        clusters = _clusters(chosen, workload)
        if _version(clusters) == REPLACED:
            _replace(clusters, kept.read_text(encoding="utf-8"))
        kept.unlink()


def _version(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8"))["version_info"])


def _clusters(chosen: Settings, workload: str) -> Path:
    return chosen.mesh / workload / "cds.json"


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.alerts")
    draft.write_text(text, encoding="utf-8")
    # An Envoy looks at its folder for files that are moved there.
    draft.replace(path)


def add_unusable(chosen: Settings, _kept: Path) -> None:
    """Save an Istio resource that is not valid where `make mesh-apply` saves valid ones."""
    applied = chosen.mesh / "applied"
    applied.mkdir(exist_ok=True)
    (applied / UNUSABLE).write_text(RESOURCE, encoding="utf-8")


def remove_unusable(chosen: Settings, _kept: Path) -> None:
    """Remove it."""
    (chosen.mesh / "applied" / UNUSABLE).unlink(missing_ok=True)
