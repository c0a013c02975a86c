"""
Renders an overlay, the generated files, and the images' names into one file of manifests.

Needs the output of `python -m gateway.edge` in build/istio.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from images.catalogue import CHECKOUT, CLUSTER, default_registry
from k8s.kubectl import NAMESPACE, ClusterError, kubectl, need_namespace
from k8s.names import rendered
from k8s.traces import Receiver, patches, receiver

OUTPUT = Path("build/deploy")


def manifests(
    overlay: str, checkout: Path = CHECKOUT, *, components: Sequence[str] = (), namespace: str = NAMESPACE
) -> Path:
    """
    Write all manifests to a file and return its path; *components* are folders of k8s/ that are added to the overlay.

    Raises `ClusterError` if there is no such overlay, it does not render, or TRACES_TO cannot be a receiver of spans.
    """
    if not (checkout / "k8s/overlays" / overlay / "kustomization.yaml").exists():
        known = sorted(path.name for path in (checkout / "k8s/overlays").iterdir())
        raise ClusterError(f"OVERLAY={overlay!r} is not one of {', '.join(known)}")
    need_namespace(namespace)
    folder = checkout / OUTPUT
    _write(folder, kustomization(overlay, components, namespace, receiver(namespace=namespace)))
    _write(folder / "contract", of_the_contract())
    target = folder / "manifests.yaml"
    target.write_text(rendered(kubectl("kustomize", str(folder)), namespace), encoding="utf-8")
    return target


def kustomization(
    overlay: str, components: Sequence[str] = (), namespace: str = NAMESPACE, spans_to: Receiver | None = None
) -> dict[str, object]:
    """Return the overlay with the generated file, the images that this checkout builds, and where spans go."""
    registry = default_registry()
    up = os.path.relpath(".", OUTPUT)
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [f"{up}/k8s/overlays/{overlay}", "contract"],
        "components": [f"{up}/k8s/{each}" for each in components],
        "patches": patches(spans_to),
        "images": [
            {"name": f"shop/{image.name}", "newName": f"{registry}/{image.name}", "newTag": image.tag()}
            for image in CLUSTER
        ],
    }


def of_the_contract() -> dict[str, object]:
    """Return the EnvoyFilter generated from the contract, which belongs to the stage of the mesh."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "labels": [{"pairs": {"stage": "mesh"}}],
        "commonAnnotations": {"galley.istio.io/analyze-suppress": "IST0133,IST0151"},
        "resources": [os.path.relpath("build/istio", OUTPUT / "contract")],
    }


def _write(folder: Path, kustomization: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2), encoding="utf-8")
